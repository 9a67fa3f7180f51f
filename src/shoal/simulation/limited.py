"""Simulated tasks that do not end by themselves, and how the executor stops them.

Of some the code stops when it is interrupted, of others it goes on until its process is gone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.errors import TaskTimeout
from shoal.wire.blob import Blob
from shoal.wire.failures import Failure, kinds_of
from shoal.wire.pickling import dumps

if TYPE_CHECKING:
    from shoal.simulation.executor import Executor
    from shoal.worker.core import TaskRun

__all__ = ["ENDLESS", "Interruptions"]

ENDLESS = ("endless", "stubborn")
"""Kinds of tasks that run until they are stopped; the latter do not stop."""

_ROUNDING = 1e-9


class Interruptions:
    """The runs that were stopped on one simulated worker."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.stopped: dict[TaskRun, Failure] = {}

    def stop(self, runs: list[TaskRun]) -> list[tuple[TaskRun, str, float]]:
        """Stop the code of runs; return those under way, where each was, and for how long."""
        executor = self._executor
        node = executor.node
        found: list[tuple[TaskRun, str, float]] = []
        for task in runs:
            running = executor.running.get(task)
            if running is None:
                continue
            cluster = node.cluster
            options = task.compute.options
            timeout = 0.0 if options is None else options.timeout
            took = node.cluster.clock.now - running.since
            over = 0.0 < timeout <= took + _ROUNDING
            cancelled = any(
                key in cluster.forced for key in cluster.model.closure(running.spec.key)
            )
            assert over or cancelled, f"{task} is stopped after {took:g} s, and nobody wants that"
            error = TaskTimeout(task.key, timeout, "here")
            failure = Failure(dumps(error), Blob(b"traceback"), repr(error), "")
            failure.kinds = kinds_of(TaskTimeout)
            self.stopped[task] = failure
            running.spec.overran += over
            found.append((task, "here", took))
            if running.spec.kind != "stubborn":
                node.later(node.cluster.rng.random() * 0.01, executor.end, task)
        return found
