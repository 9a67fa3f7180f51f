"""Runs that begin when others of this worker have ended, without a word to the loop in between.

The scheduler sends short tasks ahead of their inputs, to the worker that computes these. The thread
that ends the last of the runs that such a one follows puts it into the ready queue; what it needs
of them is in `fresh` until the loop has it in the store. A run follows others however they end:
where an input is missing, that shows when it begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.worker.core import Outcome, TaskRun
    from shoal.worker.executor.pool import ThreadPool

__all__ = ["Following"]


class Following:
    """Which run of a pool follows which; the pool's lock guards all but reading.

    Attributes
    ----------
    leaders : dict
        The runs that others follow, and which.
    fresh : dict
        Results by key that may not be in the store yet.
    """

    __slots__ = ("_left", "_pool", "fresh", "leaders")

    def __init__(self, pool: ThreadPool) -> None:
        self.leaders: dict[TaskRun, list[TaskRun]] = {}
        self.fresh: dict[str, Any] = {}
        self._left: dict[TaskRun, int] = {}  # how many runs a run still follows
        self._pool = pool

    def add(self, after: Mapping[TaskRun, tuple[TaskRun, ...]]) -> list[TaskRun]:
        """With the lock held: keep runs until others have ended; return those that need not wait.

        Of what has ended the loop may not have heard yet.
        """
        pool = self._pool
        unstarted, running = pool.unstarted, pool.running
        ended: dict[TaskRun, Any] | None = None
        free: list[TaskRun] = []
        for task, leaders in after.items():
            if task not in unstarted:
                continue
            self._left[task] = len(leaders)
            for leader in leaders:
                self.leaders.setdefault(leader, []).append(task)
                # Asked when it stands there: a thread that ends it from here on finds it. And in
                # this order: it may begin just now.
                if leader in unstarted or leader in running:
                    continue
                if ended is None:
                    ended = pool.ended()
                if leader in ended:
                    self.fresh[leader.key] = ended[leader]
                free += self._end(leader)
        return free

    def lead(self, task: TaskRun, outcome: Outcome, result: Any) -> None:
        """A run has ended that others follow; on any thread."""
        pool = self._pool
        with pool.lock:
            if outcome.kind == "ok" and task.key not in self.fresh:
                # It got a follower just now, or the loop has it in the store already.
                self.fresh[task.key] = result
                pool.call_loop(self.fresh.pop, task.key, None)
            pool.go_on(self._end(task))

    def revoked(self, runs: list[TaskRun]) -> None:
        """Runs were taken back: they follow nobody, and those that follow them find out."""
        pool = self._pool
        with pool.lock:
            for task in runs:
                self._left.pop(task, None)
            for task in runs:
                pool.go_on(self._end(task))

    def _end(self, leader: TaskRun) -> list[TaskRun]:
        """Return the runs that can begin as this one has ended."""
        free: list[TaskRun] = []
        left = self._left
        for task in self.leaders.pop(leader, ()):
            count = left.get(task)
            if count is None:
                continue
            if count > 1:
                left[task] = count - 1
            else:
                del left[task]
                free.append(task)
        return free
