"""What users note at the scheduler, by nested keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.scheduler.scheduler import Scheduler

__all__ = ["get_metadata", "set_metadata"]


def set_metadata(scheduler: Scheduler, keys: list[Any], value: Any) -> None:
    """Note a value; dicts on the way to it are made.

    Raises
    ------
    TypeError
        When something that is no dict is in the way.
    """
    place: Any = scheduler.core.state.metadata
    for depth, key in enumerate(keys[:-1]):
        place = place.setdefault(key, {})
        if type(place) is not dict:
            path = list(keys[: depth + 1])
            raise TypeError(f"metadata {path!r} is {place!r}, so nothing can be noted below it")
    place[keys[-1]] = value


def get_metadata(scheduler: Scheduler, keys: list[Any]) -> dict[str, Any]:
    """Return a noted value: ``{"found": whether there is one, "value": it}``."""
    place: Any = scheduler.core.state.metadata
    for key in keys:
        if type(place) is not dict or key not in place:
            return {"found": False, "value": None}
        place = place[key]
    return {"found": True, "value": place}
