"""Ready tasks in priority order.

Tasks come mostly in sorted batches (a whole `map`, the newly ready tasks of one message), so the
heap holds *runs*: sorted lists that are consumed from their end. With one run at work, `pop` is a
list pop. Removal is lazy: an entry whose task is no longer queued here is skipped.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush, heapreplace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shoal.scheduler.core.state import TaskState, WorkerState
    from shoal.wire.messages import Priority

__all__ = ["TaskQueue"]


def _last_priority(run: list[TaskState]) -> Priority:
    return run[0].priority


class TaskQueue:
    """A priority queue of queued tasks, all with the same `worker` (None: anywhere).

    The queue does not change tasks. A task is in the queue as long as its state is "queued" and its
    `worker` is the queue's; `size` counts those, and the caller reports the ones that left
    otherwise with `forget_one`.
    """

    __slots__ = ("_heap", "_serial", "size")

    def __init__(self) -> None:
        self._heap: list[tuple[Priority, int, list[TaskState]]] = []
        self._serial = 0
        self.size = 0

    def push(self, ts: TaskState) -> None:
        """Add one task."""
        self._serial += 1
        self.size += 1
        heappush(self._heap, (ts.priority, self._serial, [ts]))

    def push_sorted(self, tasks: list[TaskState]) -> None:
        """Add tasks that are sorted by priority."""
        if tasks:
            self._serial += 1
            self.size += len(tasks)
            tasks.reverse()
            heappush(self._heap, (tasks[-1].priority, self._serial, tasks))

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
        ts = self.peek(worker)
        if ts is not None:
            self._advance(self._heap[0][2])
            self.size -= 1
        return ts

    def forget_one(self) -> None:
        """A task of this queue left it by another way than `pop`."""
        self.size -= 1
        if self.size == 0:
            self._heap.clear()

    def _advance(self, run: list[TaskState]) -> None:
        heap = self._heap
        run.pop()
        if not run:
            heappop(heap)
        elif len(heap) == 1:
            heap[0] = (run[-1].priority, heap[0][1], run)
        else:
            heapreplace(heap, (run[-1].priority, heap[0][1], run))

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
        self._heap = [entry for entry in self._heap if entry[2]]
        heapify(self._heap)
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
