"""Present and latest activity of a cluster: stacks, profiles, the task stream, numbers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from shoal.scheduler.observe.history import measure
from shoal.scheduler.operations.membership import broadcast

if TYPE_CHECKING:
    from shoal.diagnostics.monitor import SystemMonitor
    from shoal.scheduler.context import SchedulerContext
    from shoal.scheduler.core.state import SchedulerState
    from shoal.scheduler.observe.history import History
    from shoal.scheduler.observe.task_stream import StreamRecord

__all__ = ["call_stack", "history", "profile", "task_stream"]


class HasTaskStream(Protocol):
    """A scheduler, as those know it who ask what ran."""

    @property
    def stream_record(self) -> StreamRecord:
        """The latest runs on the workers."""


class HasHistory(Protocol):
    """A scheduler, as those know it who ask how its numbers went."""

    @property
    def history(self) -> History:
        """The numbers of the cluster."""

    @property
    def monitor(self) -> SystemMonitor:
        """The numbers of the process."""

    @property
    def state(self) -> SchedulerState:
        """The state of its core."""


async def call_stack(
    scheduler: SchedulerContext, keys: list[str] | None = None
) -> dict[str, dict[str, list[str]]]:
    """Return what tasks execute, by worker and key; of all tasks by default."""
    workers: list[str] | None = None
    if keys is not None:
        tasks = (scheduler.state.tasks.get(key) for key in keys)
        workers = list(
            {ts.worker.address: None for ts in tasks if ts is not None and ts.worker is not None}
        )
    if not scheduler.state.workers or workers == []:
        return {}
    msg = {"op": "call_stack", "keys": keys}
    answers = await broadcast(scheduler, msg, workers, on_error="ignore")
    return {address: stacks for address, stacks in answers.items() if stacks}


async def profile(
    scheduler: SchedulerContext,
    key: str | None = None,
    start: float | None = None,
    stop: float | None = None,
    workers: list[Any] | None = None,
    server: bool = False,
    own: bool = False,
) -> dict[str, Any]:
    """Return profile trees by worker; with `own`, the scheduler's."""
    if own:
        return {scheduler.address: scheduler.profiler.collect(start, stop)}
    msg = {"op": "profile", "key": key, "start": start, "stop": stop, "server": server}
    return await broadcast(scheduler, msg, workers, on_error="ignore")


async def task_stream(
    scheduler: HasTaskStream,
    start: float | None = None,
    stop: float | None = None,
    count: int | None = None,
) -> list[dict[str, Any]]:
    """Return what tasks ran between two times, or the last so many; begins to record."""
    return await scheduler.stream_record.collect(start, stop, count)


def history(scheduler: HasHistory, start: float = 0.0) -> dict[str, Any]:
    """Return numbers of the cluster since a time, up to now, and of the scheduler's process."""
    kept, own = scheduler.history, scheduler.monitor.range_query()
    chosen = [i for i, when in enumerate(kept.times) if when >= start]
    now = measure(scheduler.state)
    return {
        "times": [*(kept.times[i] for i in chosen), time.time()],
        "columns": {
            name: [*(column[i] for i in chosen), now[name]] for name, column in kept.columns.items()
        },
        "own": {name: list(values) for name, values in own.items() if name != "count"},
    }
