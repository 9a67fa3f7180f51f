"""Notes on each run of a task, while somebody wants the task stream."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.worker.context import WorkerContext
    from shoal.worker.core import Outcome, TaskRun

__all__ = ["TraceTasks"]

_FETCHES = 10_000  # arrivals of inputs that are remembered


class TraceTasks:
    """Notes threads, times to unpickle, and when inputs arrived.

    Parameters
    ----------
    length : int
        How many runs are remembered.
    """

    name = "shoal-task-trace"
    idempotent = True

    def __init__(self, length: int) -> None:
        self._runs: deque[tuple[Any, ...]] = deque(maxlen=length)
        self._fetched: dict[str, tuple[float, float, str, int]] = {}

    def setup(self, worker: WorkerContext) -> None:
        """Begin to take notes."""
        worker.pool.trace = self.note_run
        worker.exchange.traces.append(self.note_fetch)

    def teardown(self, worker: WorkerContext) -> None:
        """Take no more notes."""
        worker.pool.trace = None
        worker.exchange.traces.remove(self.note_fetch)

    def note_run(self, task: TaskRun, begun: float, outcome: Outcome) -> None:
        """A run ended on this thread; it began (to be unpickled) at `begun`."""
        inputs = [self._fetched[dep] for dep in task.compute.deps if dep in self._fetched]
        self._runs.append((task.key, outcome.start, threading.get_ident(), begun, inputs))

    def note_fetch(
        self, keys: list[str], start: float, stop: float, source: str, nbytes: int
    ) -> None:
        """Inputs arrived together from another worker."""
        for key in keys:
            self._fetched[key] = (start, stop, source, nbytes)
        while len(self._fetched) > _FETCHES:
            del self._fetched[next(iter(self._fetched))]

    def rows(self, since: float) -> list[tuple[Any, ...]]:
        """Return notes on the runs that began to compute since a time."""
        return [row for row in self._runs.copy() if row[1] >= since]
