"""Questions about what runs: stacks, profiles, logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.diagnostics.profile import merge
from shoal.diagnostics.profile_page import small
from shoal.scheduler.operations import activity
from shoal.scheduler.operations.membership import broadcast

if TYPE_CHECKING:
    from shoal.scheduler.scheduler import Scheduler

__all__ = ["call_stacks", "logs", "profile"]

_LINES = 500


async def call_stacks(scheduler: Scheduler, key: str = "") -> dict[str, dict[str, list[str]]]:
    """Return what tasks execute at this moment, by worker and key."""
    return await activity.call_stack(scheduler, [str(key)] if key else None)


async def logs(scheduler: Scheduler, worker: str = "") -> list[list[str]]:
    """Return the last log records of a worker, or of the scheduler: (level, text)."""
    if not worker:
        return [list(record) for record in scheduler.log_buffer.tail(_LINES)]
    msg = {"op": "logs", "n": _LINES}
    answers = await broadcast(scheduler, msg, [str(worker)], on_error="ignore")
    return [list(record) for records in answers.values() for record in records]


async def profile(
    scheduler: Scheduler,
    own: bool = False,
    server: bool = False,
    key: str = "",
    worker: str = "",
    start: float | None = None,
    stop: float | None = None,
) -> dict[str, Any]:
    """Return one tree of what was seen running: tasks, workers' own work, the scheduler's loop."""
    trees = await activity.profile(
        scheduler,
        key=str(key) or None,
        start=start,
        stop=stop,
        workers=[str(worker)] if worker else None,
        server=bool(server),
        own=bool(own),
    )
    return small(merge(trees.values()))
