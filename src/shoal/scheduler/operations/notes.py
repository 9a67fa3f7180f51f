"""What users note at the scheduler, by nested keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext

__all__ = ["get_metadata", "set_metadata"]


def set_metadata(scheduler: SchedulerContext, keys: list[Any], value: Any) -> None:
    """Note a value; dicts on the way to it are made, in place of what is no dict there."""
    place: Any = scheduler.state.metadata
    for key in keys[:-1]:
        if type(place.get(key)) is not dict:
            place[key] = {}
        place = place[key]
    place[keys[-1]] = value


def get_metadata(scheduler: SchedulerContext, keys: list[Any]) -> dict[str, Any]:
    """Return a noted value: ``{"found": whether there is one, "value": it}``."""
    place: Any = scheduler.state.metadata
    for key in keys:
        if type(place) is not dict or key not in place:
            return {"found": False, "value": None}
        place = place[key]
    return {"found": True, "value": place}
