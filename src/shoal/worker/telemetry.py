"""Spans of tasks and of transfers, on a worker whose configuration asks for them.

They are put around what runs, not into it: a worker without them pays nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dask.utils import key_split

from shoal import telemetry
from shoal._base.keys import decode_key

if TYPE_CHECKING:
    from shoal.worker.context import WorkerContext
    from shoal.worker.core import Outcome, TaskRun

__all__ = ["Spans", "make_spans"]


class Spans:
    """Makes spans of what a worker does.

    Parameters
    ----------
    worker : Worker
        A worker that has started its threads.
    """

    def __init__(self, worker: WorkerContext) -> None:
        self._worker = worker
        self._tracer = telemetry.tracer()
        self._here = threading.local()
        pool: Any = worker.pool
        self._run: Callable[[TaskRun], None] = pool._run
        self._report: Callable[[TaskRun, Outcome, Any], None] = pool.report
        # On this pool only: its class knows nothing of it.
        pool._run = self.run
        pool.report = self.report
        worker.exchange.traces.append(self.fetched)

    def run(self, task: TaskRun) -> None:
        """Run a task within a span, which is the current one for users' code."""
        with self._tracer.start_as_current_span(
            f"task {key_split(task.key)}",
            context=_context(task),
            attributes=self._attributes(task),
            end_on_exit=False,
        ) as span:
            self._here.span, self._here.task = span, task
            try:
                self._run(task)
            finally:
                # The span of a coroutine that goes on is ended by its report.
                kept, self._here.span = self._here.span, None
        if kept is None:
            span.end()

    def report(self, task: TaskRun, outcome: Outcome, result: Any) -> None:
        """Say in the span how a run ended."""
        if getattr(self._here, "span", None) is not None and self._here.task is task:
            span, self._here.span = self._here.span, None
            _describe(span, outcome)
        else:  # it ran elsewhere: on the loop, or in an executor of the user's
            span = self._tracer.start_span(
                f"task {key_split(task.key)}",
                context=_context(task),
                attributes=self._attributes(task),
                start_time=_nanoseconds(outcome.start or time.time()),
            )
            _describe(span, outcome)
            span.end(_nanoseconds(outcome.stop or time.time()))
        self._report(task, outcome, result)

    def fetched(self, keys: list[str], start: float, stop: float, source: str, nbytes: int) -> None:
        """Make a span of a transfer, below that of a task that waited for it."""
        missing = self._worker.machine.state.missing_keys
        waiting = (task for key in keys if key in missing for task in missing[key].tasks)
        context = next(filter(None, map(_context, waiting)), None)
        span = self._tracer.start_span(
            "transfer",
            context=context,
            attributes={
                "shoal.worker": self._worker.address,
                "shoal.peer": source,
                "shoal.keys": len(keys),
                "shoal.nbytes": nbytes,
            },
            start_time=_nanoseconds(start),
        )
        span.end(_nanoseconds(stop))

    def _attributes(self, task: TaskRun) -> dict[str, Any]:
        return {"shoal.key": str(decode_key(task.key)), "shoal.worker": self._worker.address}


def make_spans(worker: WorkerContext) -> None:
    """Make spans of what a worker does, where the configuration asks for them."""
    if telemetry.is_on():
        Spans(worker)


def _context(task: TaskRun) -> Any:
    options = task.compute.options
    return telemetry.context_of(options.annotations) if options is not None else None


def _describe(span: Any, outcome: Outcome) -> None:
    span.set_attribute("shoal.outcome", outcome.kind)
    if outcome.kind == "ok":
        span.set_attribute("shoal.nbytes", outcome.nbytes)
        span.set_attribute("shoal.type", outcome.type)
    elif outcome.failure is not None:
        text = outcome.failure.exception_text
        span.set_status(telemetry.failed(text))
        span.set_attribute("exception.message", text)
        span.set_attribute("exception.stacktrace", outcome.failure.traceback_text)


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
