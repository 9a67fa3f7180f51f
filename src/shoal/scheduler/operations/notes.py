"""Notes of users at the scheduler, by nested keys, and events that they log.

Where there is a journal they are answered when it is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core import SetMetadata
from shoal.scheduler.operations import information

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext

__all__ = ["get_metadata", "log_event", "set_metadata"]


async def set_metadata(scheduler: SchedulerContext, keys: list[Any], value: Any) -> None:
    """Note a value; dicts on the way to it are made, in place of what is no dict there."""
    scheduler.feed(SetMetadata(keys, value))
    if scheduler.journal is not None:
        await scheduler.journal.settled()


def get_metadata(scheduler: SchedulerContext, keys: list[Any]) -> dict[str, Any]:
    """Return a noted value: ``{"found": whether there is one, "value": it}``."""
    place: Any = scheduler.state.notes.metadata
    for key in keys:
        if type(place) is not dict or key not in place:
            return {"found": False, "value": None}
        place = place[key]
    return {"found": True, "value": place}


async def log_event(scheduler: SchedulerContext, topic: str | list[str], msg: Any) -> None:
    """Remember an event under one topic or several."""
    information.log_event(scheduler, topic, msg)
    if scheduler.journal is not None:
        await scheduler.journal.settled()
