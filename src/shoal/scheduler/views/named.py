"""Workers and keys as users name them, made into what operations take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from shoal._base.keys import encode_key

__all__ = ["Names", "addresses", "wire_keys", "wire_keys_or_all"]

Names: TypeAlias = Iterable[Any] | None
"""Workers by address, name or host, or as `WorkerState`; None: all."""


def addresses(names: Names) -> list[Any] | None:
    """Return workers as operations take them."""
    if names is None:
        return None
    if isinstance(names, (str, int)):
        return [names]
    return [getattr(name, "address", name) for name in names]


def wire_keys(keys: Iterable[Any]) -> list[str]:
    """Return keys, or those of tasks, as they are on the wire."""
    return [encode_key(getattr(key, "key", key)) for key in keys]


def wire_keys_or_all(keys: Iterable[Any] | None) -> list[str] | None:
    """Return the same; None for None."""
    return None if keys is None else wire_keys(keys)
