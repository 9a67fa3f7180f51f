"""Which workers are there for long enough: some know when they end, by their lifetime or walltime.

A task whose duration was learned is sent to no worker that will be gone before it could end. Where
none is left that outlasts it, it waits for one that comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.scheduler.core.policies.restrictions import allowed_workers

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState, TaskState, WorkerState

__all__ = ["fitting_workers", "outlasts", "too_short_for_waiting"]

# Seconds. What is shorter ends while a leaving worker waits for what runs.
_SHORT = 1.0
_LOOKED_AT = 16


def outlasts(s: SchedulerState, ts: TaskState, ws: WorkerState) -> bool:
    """Whether a task that is sent to a worker now can end before the worker does."""
    until = s.departures.lifetimes.get(ws)
    if until is None:
        return True
    seconds = ts.group.prefix.duration
    return seconds <= _SHORT or s.now + ws.occupancy / ws.nthreads + seconds <= until


def fitting_workers(s: SchedulerState, ts: TaskState) -> dict[WorkerState, None] | None:
    """Return the workers that may run a task and outlast it; None means any."""
    allowed = allowed_workers(s, ts)
    if ts.group.prefix.duration <= _SHORT:
        return allowed
    brief = {ws for ws in s.departures.lifetimes if not outlasts(s, ts, ws)}
    if not brief:
        return allowed
    found = s.workers.values() if allowed is None else allowed
    return dict.fromkeys(ws for ws in found if ws not in brief)


def too_short_for_waiting(s: SchedulerState) -> int:
    """Return how many workers are no help to tasks that wait for one which outlasts them."""
    if not s.departures.lifetimes:
        return 0
    for ts in list(s.unrunnable)[:_LOOKED_AT]:
        allowed = allowed_workers(s, ts)
        if allowed is None or allowed:
            return sum(1 for ws in s.departures.lifetimes if not outlasts(s, ts, ws))
    return 0
