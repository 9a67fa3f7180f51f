"""Which transitions of the cores' tables happened, over all clusters of a process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from shoal.scheduler.core.transitions.table import TRANSITIONS as SCHEDULER
from shoal.worker.core import TaskRun, transitions
from shoal.worker.core.state import RunState
from shoal.worker.core.transitions import TRANSITIONS as WORKER

__all__ = ["CLIENT", "TABLES", "Coverage", "watch_runs"]

# As drawn at the top of the client's `machine`; a future that is released has no last status.
CLIENT = [
    ("pending", "finished"),
    ("pending", "error"),
    ("pending", "cancelled"),
    ("pending", "lost"),
    ("finished", "pending"),
    ("finished", "cancelled"),
    ("finished", "lost"),
    ("error", "pending"),
    ("error", "cancelled"),
]

TABLES: dict[str, list[tuple[str, str]]] = {
    "scheduler": list(SCHEDULER),
    "worker": [(start, finish) for start, ends in WORKER.items() for finish in ends],
    "client": CLIENT,
}


class Coverage:
    """Counts transitions; one that is in no table is an error where the table is complete."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self._fresh: dict[int, Any] = {}  # runs that no transition was seen of

    def task_moved(self, ts: Any, start: str, finish: str) -> None:
        """A task changed its state in the scheduler."""
        assert (start, finish) in SCHEDULER, f"{ts!r} went from {start} to {finish}"
        self.counts["scheduler", start, finish] += 1

    def client_changed(self, start: str, finish: str) -> None:
        """A record changed its status in a client."""
        if start != finish:
            self.counts["client", start, finish] += 1

    def run_made(self, task: TaskRun) -> None:
        """A worker's core took a run on; it is made as "ready", whatever comes of it."""
        self._fresh[id(task)] = task

    def handed_over(self, tasks: list[TaskRun]) -> None:
        """A worker's core gave runs to its executor."""
        for task in tasks:
            if self._fresh.pop(id(task), None) is not None:
                self.counts["worker", "new", "ready"] += 1

    def run_moved(self, task: TaskRun, start: RunState | Literal["new"], finish: RunState) -> None:
        """A run changed its state on a worker."""
        if self._fresh.pop(id(task), None) is not None:
            start = "new"
            if finish not in WORKER["new"]:  # handed over and taken back in one event
                self.counts["worker", "new", "ready"] += 1
                start = "ready"
        if start != finish:
            assert finish in WORKER[start], f"{task} went from {start} to {finish}"
            self.counts["worker", start, finish] += 1

    def missing(self) -> dict[str, list[tuple[str, str]]]:
        """Return what never happened, per table."""
        return {
            name: [edge for edge in edges if not self.counts[name, *edge]]
            for name, edges in TABLES.items()
        }


@contextmanager
def watch_runs(coverage: Coverage) -> Iterator[None]:
    """See every change of a run's state, on any worker of this process.

    The worker's core has no hook for it, as it would cost every task something. The attribute is
    replaced by one that tells, and so is what makes runs.
    """
    slot: Any = TaskRun.__dict__["state"]

    def make(*args: Any) -> TaskRun:
        task = TaskRun(*args)
        coverage.run_made(task)
        return task

    def write(task: TaskRun, state: RunState) -> None:
        coverage.run_moved(task, slot.__get__(task, TaskRun), state)
        slot.__set__(task, state)

    setattr(TaskRun, "state", property(slot.__get__, write))  # noqa: B010 it is a slot for mypy
    setattr(transitions, "TaskRun", make)  # noqa: B010 likewise a class
    try:
        yield
    finally:
        setattr(TaskRun, "state", slot)  # noqa: B010
        setattr(transitions, "TaskRun", TaskRun)  # noqa: B010
