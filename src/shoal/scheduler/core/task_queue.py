"""Ready tasks in priority order.

Tasks come mostly in sorted batches (a whole `map`, the newly ready tasks of one message), so the
heap holds *runs*: sorted lists that are consumed from their end. With one run at work, `pop` is a
list pop. Removal is lazy: an entry whose task is no longer queued here is skipped.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush, heapreplace
from itertools import islice
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shoal.scheduler.core.state import TaskState, WorkerState
    from shoal.wire.messages import Priority

__all__ = ["TaskQueue"]


_LAST: Priority = (inf, 0, 0)


def _last_priority(run: list[TaskState]) -> Priority:
    return run[0].priority


class TaskQueue:
    """A priority queue of queued tasks, all with the same `worker` (None: anywhere).

    The queue does not change tasks. A task is in the queue as long as its state is "queued" and its
    `worker` is the queue's; `size` counts those, and the caller reports the ones that left
    otherwise with `forget_one`.
    """

    __slots__ = ("_heap", "_limit", "_serial", "size")

    def __init__(self) -> None:
        # The first run's entry says where the run once began, not where it is now.
        self._heap: list[tuple[Priority, int, list[TaskState]]] = []
        self._limit: Priority = _LAST  # the first run stays the first as far as this
        self._serial = 0
        self.size = 0

    def push(self, ts: TaskState) -> None:
        """Add one task."""
        self.size += 1
        self._push(ts.priority, [ts])

    def push_sorted(self, tasks: list[TaskState]) -> None:
        """Add tasks that are sorted by priority."""
        if tasks:
            self.size += len(tasks)
            tasks.reverse()
            self._push(tasks[-1].priority, tasks)

    def _push(self, priority: Priority, run: list[TaskState]) -> None:
        heap = self._heap
        self._serial += 1
        if heap:
            _, serial, first = heap[0]
            heap[0] = (first[-1].priority, serial, first)  # no run may lie before a later one
        heappush(heap, (priority, self._serial, run))
        self._set_limit()

    def _set_limit(self) -> None:
        """Work out where the second run begins."""
        heap = self._heap
        if len(heap) < 2:
            self._limit = _LAST
        elif len(heap) == 2:
            self._limit = heap[1][0]
        else:
            self._limit = min(heap[1][0], heap[2][0])

    def peek(self, worker: WorkerState | None) -> TaskState | None:
        """Return the first task, or None; stale entries are dropped on the way."""
        heap = self._heap
        while heap:
            run = heap[0][2]
            ts = run[-1]
            if ts.state == "queued" and ts.worker is worker:
                return ts
            self._advance(run)
        return None

    def pop(self, worker: WorkerState | None) -> TaskState | None:
        """Remove and return the first task, or None."""
        heap = self._heap
        while heap:
            run = heap[0][2]
            ts = run[-1]
            self._advance(run)
            if ts.state == "queued" and ts.worker is worker:
                self.size -= 1
                return ts
        return None

    def pop_more(self, like: TaskState, most: int) -> list[TaskState]:
        """Remove and return up to `most` of those that come next and are like this plain one.

        That is plain (see `transitions.bulk`), of the same function, group and life, and wanted by
        the same clients.
        """
        if not self._heap:
            return []
        run = self._heap[0][2]
        limit = self._limit
        function, group, wanted_by = like.function, like.group, like.wanted_by
        life = like.life
        taken: list[TaskState] = []
        for ts in islice(reversed(run), most):
            if (
                ts.state != "queued"
                or ts.worker is not None
                or ts.function is not function
                or ts.group is not group
                or ts.life != life
                or ts.wanted_by is not wanted_by
                or ts.deps
                or ts.dependents is not None
                or ts.options is not like.options
                or ts.buffers is not None
                or ts.rare is not None
                or ts.priority > limit
            ):
                break
            taken.append(ts)
        if like in taken:  # an entry of an earlier time in this queue
            del taken[taken.index(like) :]
        if taken:
            self.size -= len(taken)
            del run[len(run) - len(taken) + 1 :]
            self._advance(run)  # past the last of them
        return taken

    def forget_one(self) -> None:
        """A task of this queue left it by another way than `pop`."""
        self.size -= 1
        if self.size == 0:
            self._heap.clear()
            self._limit = _LAST

    def _advance(self, run: list[TaskState]) -> None:
        heap = self._heap
        run.pop()
        if not run:
            heappop(heap)
        elif run[-1].priority <= self._limit:
            return
        else:
            heapreplace(heap, (run[-1].priority, heap[0][1], run))
        self._set_limit()

    def take_last(self, worker: WorkerState | None, limit: int) -> list[TaskState]:
        """Remove and return up to `limit` tasks, the ones that would run last."""
        taken: dict[TaskState, None] = {}
        runs = sorted((entry[2] for entry in self._heap), key=_last_priority, reverse=True)
        for run in runs:
            keep = 0  # a run's last tasks are at its start
            while keep < len(run) and len(taken) < limit:
                ts = run[keep]
                keep += 1
                if ts.state == "queued" and ts.worker is worker:
                    taken[ts] = None
            del run[:keep]
            if len(taken) == limit:
                break
        self._heap = [(run[-1].priority, serial, run) for _, serial, run in self._heap if run]
        heapify(self._heap)
        self._set_limit()
        self.size -= len(taken)
        return list(taken)

    def live(self, worker: WorkerState | None) -> Iterator[TaskState]:
        """Iterate over the tasks of the queue in no particular order."""
        seen: set[TaskState] = set()
        for _, _, run in self._heap:
            for ts in run:
                if ts.state == "queued" and ts.worker is worker and ts not in seen:
                    seen.add(ts)
                    yield ts
