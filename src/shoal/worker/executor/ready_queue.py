"""The order of a pool's ready queue: changes to it while threads take the first at any moment."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Container, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.worker.core import TaskRun

__all__ = ["insert", "rank", "sorted_anew"]

rank = attrgetter("compute.priority")
"""The order of runs: lower ones run first."""


def insert(queue: deque[TaskRun], task: TaskRun) -> None:
    """Put one run where it belongs."""
    try:
        if rank(queue[-1]) <= rank(task):
            queue.append(task)
        elif rank(task) < rank(queue[0]):
            queue.appendleft(task)
        else:
            queue.insert(bisect_right(queue, rank(task), key=rank), task)
    except IndexError:  # threads took the last
        queue.append(task)


def sorted_anew(
    queue: deque[TaskRun], more: Iterable[TaskRun], unstarted: Container[TaskRun]
) -> deque[TaskRun]:
    """Empty a queue; return its runs and more in order, without those that were taken back.

    Each run is taken out of the old queue by a thread or by this, so none is taken twice.
    """
    left = list(more)
    try:
        while True:
            left.append(queue.popleft())
    except IndexError:
        pass
    return deque(sorted((task for task in left if task in unstarted), key=rank))
