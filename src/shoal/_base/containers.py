"""Which types are containers that users' values are looked for in, and how to make them anew."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = ["PLAIN_CONTAINERS", "is_namedtuple", "rebuilt"]

PLAIN_CONTAINERS = frozenset((list, tuple, set, frozenset))
"""Exact types: a subclass may mean anything, and is a value like any other."""


def is_namedtuple(kind: type) -> bool:
    """Return whether objects of a type are made by `collections.namedtuple` or like those."""
    return issubclass(kind, tuple) and hasattr(kind, "_fields") and hasattr(kind, "_make")


def rebuilt(kind: Any, items: Iterable[Any]) -> Any:
    """Return a container of that type with other items.

    Examples
    --------
    >>> rebuilt(set, [1, 1])
    {1}
    """
    if kind in PLAIN_CONTAINERS or not is_namedtuple(kind):
        return kind(items)
    return kind._make(items)
