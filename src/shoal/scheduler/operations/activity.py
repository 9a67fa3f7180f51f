"""Present and latest activity of workers: stacks, profiles, the task stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from shoal.scheduler.operations.membership import broadcast

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext
    from shoal.scheduler.observe.task_stream import StreamRecord

__all__ = ["call_stack", "profile", "task_stream"]


class HasTaskStream(Protocol):
    """A scheduler, as those know it who ask what ran."""

    @property
    def stream_record(self) -> StreamRecord:
        """The latest runs on the workers."""


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
