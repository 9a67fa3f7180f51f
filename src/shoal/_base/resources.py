"""Resources that workers offer to tasks: the user's names, and memory in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dask.utils import parse_bytes

from shoal._base.numbers import amounts

__all__ = ["MEMORY", "offered", "requested_amounts"]

MEMORY = "memory"
"""The resource that every worker with a limit offers, unless its user says otherwise: bytes."""


def offered(resources: Mapping[str, float], memory_limit: int) -> dict[str, float]:
    """Return what a worker offers: what its user says it has, and its memory.

    Examples
    --------
    >>> offered({"GPU": 1}, 1000)
    {'GPU': 1, 'memory': 1000}
    """
    found = dict(resources)
    if memory_limit:
        found.setdefault(MEMORY, memory_limit)
    return found


def requested_amounts(resources: Mapping[str, Any] | None) -> dict[str, float] | None:
    """Return what a task asks for as numbers; memory may be a text such as ``"4 GB"``.

    Raises
    ------
    TypeError, ValueError
        When it is no dict of names and amounts.

    Examples
    --------
    >>> requested_amounts({"GPU": 1, "memory": "4 GB"})
    {'GPU': 1.0, 'memory': 4000000000.0}
    """
    if not resources:
        return None
    if isinstance(resources, Mapping) and isinstance(resources.get(MEMORY), str):
        asked = resources[MEMORY]
        try:
            resources = {**resources, MEMORY: float(parse_bytes(asked or "nothing"))}
        except (ValueError, LookupError, AttributeError):
            raise ValueError(
                f"resources={{{MEMORY!r}: {asked!r}}} is no amount; give one such as '4 GB'"
            ) from None
    return amounts("resources=", resources)
