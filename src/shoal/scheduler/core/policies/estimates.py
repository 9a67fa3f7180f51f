"""How long tasks take: one moving average per prefix, learnt from what workers report."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shoal.scheduler.core.state import PrefixState, SchedulerState, TaskState, WorkerState

__all__ = ["LONGEST", "OVERHEAD", "estimate", "learn", "learn_many", "load", "transfer_time"]

# A worker's time for a task besides the user's function, in seconds. It keeps the estimate of a
# no-op above zero, so that time-based queues stay finite.
OVERHEAD = 8e-6

# The most that a run counts for, in seconds: sums of estimates stay exact whatever a worker says.
LONGEST = 1e7

# Weight of the newest run in the average.
_WEIGHT = 0.5


def estimate(s: SchedulerState, ts: TaskState) -> float:
    """Return the expected duration of a task, in seconds."""
    duration = ts.group.prefix.duration
    if duration < 0.0:
        return s.settings.unknown_task_duration
    return duration + OVERHEAD


def learn(prefix: PrefixState, duration: float) -> None:
    """Take a measured duration into account."""
    duration = min(duration, LONGEST)
    old = prefix.duration
    if old < 0.0:
        prefix.duration = duration
    else:
        prefix.duration = old + _WEIGHT * (duration - old)


def learn_many(prefix: PrefixState, durations: Iterable[float]) -> None:
    """`learn`, of one run after the other."""
    average = prefix.duration
    for duration in durations:
        average = duration if average < 0.0 else average + _WEIGHT * (duration - average)
    prefix.duration = min(average, LONGEST)


def load(ws: WorkerState) -> float:
    """Return the seconds until a worker could start one more task, roughly."""
    return (ws.occupancy + ws.queued_work) / ws.nthreads


def transfer_time(s: SchedulerState, ts: TaskState, ws: WorkerState) -> float:
    """Return the seconds it takes to bring the inputs of a task to a worker."""
    seconds = 0.0
    for dep in ts.deps:
        if ws not in dep.who_has:
            seconds += s.settings.latency + max(dep.nbytes, 0) / s.settings.bandwidth
    return seconds
