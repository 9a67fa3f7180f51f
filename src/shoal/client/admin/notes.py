"""Metadata and events: plain data that the scheduler keeps for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.client.futures.future import Future
from shoal.wire.plain import plain

if TYPE_CHECKING:
    from shoal.client.session.context import SchedulerAccess

__all__ = ["NO_DEFAULT", "get_metadata", "log_event", "set_metadata"]

NO_DEFAULT = "__no_default__"


def _path(keys: Any) -> list[Any]:
    path = list(keys) if isinstance(keys, list) else [keys]
    if not path:
        raise ValueError("keys= is empty: name what to look for")
    return [part._record.key if isinstance(part, Future) else plain(part) for part in path]


async def get_metadata(client: SchedulerAccess, keys: Any, default: Any = NO_DEFAULT) -> Any:
    """Return a note, or the default.

    Raises
    ------
    KeyError
        When there is neither.
    """
    await client
    answer = await client.scheduler.get_metadata(keys=_path(keys))
    if answer["found"]:
        return answer["value"]
    if isinstance(default, str) and default == NO_DEFAULT:
        raise KeyError(keys)
    return default


async def set_metadata(client: SchedulerAccess, keys: Any, value: Any) -> None:
    """Note plain data."""
    await client
    await client.scheduler.set_metadata(keys=_path(keys), value=plain(value))


async def log_event(client: SchedulerAccess, topic: str | list[str], msg: Any) -> None:
    """Log an event under a topic or several."""
    topics = [topic] if isinstance(topic, str) else list(topic)
    for name in topics:
        if not isinstance(name, str):
            raise TypeError(f"a topic is named by text, got {name!r}")
    await client
    await client.scheduler.log_event(topic=topics, msg=plain(msg))
