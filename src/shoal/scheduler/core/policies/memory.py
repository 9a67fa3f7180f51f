"""Policies of the active memory manager: which copies of results are made or dropped, and where.

A policy is an object with `suggest(state)`, which yields suggestions and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from shoal.scheduler.core.handlers.copies import is_spare

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState, TaskState, WorkerState

__all__ = ["MemoryPolicy", "ReduceReplicas", "RetireWorker", "Suggestion"]


class Suggestion(NamedTuple):
    """Make a copy of a result on a worker, or drop the one that is there."""

    task: TaskState
    worker: WorkerState
    drop: bool


class MemoryPolicy(Protocol):
    """A policy that the active memory manager asks in its turn."""

    @property
    def done(self) -> bool:
        """Whether it has nothing to suggest any more, ever."""

    def suggest(self, s: SchedulerState) -> Iterator[Suggestion]:
        """Yield what should happen now."""


class ReduceReplicas:
    """Drop copies that no task needs where they are.

    Copies are left behind where results were inputs of tasks. As many stay as there are workers
    with tasks that wait for them, and one in any case; and what users asked for stays: the copies
    of `replicate`, and data that was scattered to several workers.

    Examples
    --------
    >>> scheduler.memory_manager.add_policy(ReduceReplicas())  # doctest: +SKIP
    """

    done = False

    def suggest(self, s: SchedulerState) -> Iterator[Suggestion]:
        """Yield the copies to drop; from the fullest workers first."""
        for ts in list(s.replicated):
            if len(ts.who_has) < 2:
                del s.replicated[ts]
                continue
            if ts.function is None or ts.options.actor:
                continue
            surplus = len(ts.who_has) - max(1, s.pinned.get(ts.key, 0), _users(ts))
            if surplus <= 0:
                continue
            # A retiring worker gives up its copy first; then the one that has most.
            holders = sorted(ts.who_has, key=lambda ws: (not ws.retiring, -ws.nbytes))
            for ws in holders:
                if is_spare(ts, ws):
                    yield Suggestion(ts, ws, True)
                    surplus -= 1
                    if not surplus:
                        break


def _users(ts: TaskState) -> int:
    """Return on how many workers tasks wait for a result, or are about to."""
    if not ts.waiters or ts.dependents is None:
        return 0
    placed = set()
    unplaced = 0
    for dependent in ts.dependents:
        if dependent.state == "processing":
            placed.add(dependent.worker)
        elif dependent.state in ("queued", "waiting"):
            unplaced += 1
    return len(placed) + min(unplaced, len(ts.who_has))


class RetireWorker:
    """Copy to others what one worker alone has. It has done its work when nothing is left.

    Parameters
    ----------
    address : str
        Of the worker.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.done = False

    def suggest(self, s: SchedulerState) -> Iterator[Suggestion]:
        """Yield the copies to make, each on the emptiest other worker."""
        ws = s.workers.get(self.address)
        if ws is None:
            self.done = True
            return
        unique = [ts for ts in ws.held.values() if len(ts.who_has) == 1 and not ts.options.actor]
        others = [other for other in s.workers.values() if other is not ws and other.running]
        self.done = not unique
        coming = {other: other.nbytes for other in others}
        for ts in unique:
            if not others or any(ts in other.pending for other in others):
                continue
            target = min(others, key=lambda other: coming[other])
            coming[target] += ts.nbytes
            yield Suggestion(ts, target, False)
