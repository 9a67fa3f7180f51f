"""Runs that do not take a thread of the pool: coroutines on the loop, and executors users brought.

An executor of threads runs a task as the pool does. Any other may run it in another process:
function and arguments are pickled for it, and the result is pickled for the way back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from shoal.task_context import TaskContext, current
from shoal.wire.pickling import dumps_bytes, loads_bytes
from shoal.worker.executor.run import failed, prepare, succeeded

if TYPE_CHECKING:
    from shoal.worker.core import TaskRun
    from shoal.worker.executor.functions import Function
    from shoal.worker.executor.pool import ThreadPool

__all__ = ["Elsewhere"]


class Elsewhere:
    """The runs beside the threads of a pool: on the loop, and in other executors.

    Parameters
    ----------
    pool : ThreadPool
        Knows the state of runs and tells the loop of their ends.
    executors : mapping
        By the names that tasks use.
    """

    def __init__(self, pool: ThreadPool, executors: Mapping[str, Executor]) -> None:
        self.executors = dict(executors)
        self._pool = pool
        self._held: list[tuple[TaskRun, Executor]] = []  # while the pool is paused
        self.coroutines: dict[asyncio.Task[None], TaskRun] = {}  # that run on the loop
        self._closed = False

    def submit(self, task: TaskRun, name: str) -> None:
        """Hand a run to an executor; it fails when there is none of that name."""
        executor = self.executors.get(name)
        if executor is None:
            known = ", ".join(sorted({*self.executors, "default"}))
            problem = ValueError(
                f"task {task.key!r} asks for the executor {name!r}, which this worker does not "
                f"have; it has: {known}"
            )
            if self._pool.begin(task):
                self._pool.report(task, failed(task, problem, time.time()))
        elif self._pool.paused:
            self._held.append((task, executor))
        else:
            self._hand_over(task, executor)

    def resume(self) -> None:
        """Hand over what was held while the pool was paused."""
        held, self._held = self._held, []
        for task, executor in held:
            self._hand_over(task, executor)

    def close(self) -> None:
        """Cancel coroutines, and what waits in executors."""
        self._closed = True
        self._held.clear()
        for executor in self.executors.values():
            executor.shutdown(wait=False, cancel_futures=True)
        self._pool.call_loop(self._cancel_coroutines)

    def _cancel_coroutines(self) -> None:
        for running in self.coroutines:
            running.cancel()

    # ------------------------------------------------------------------ executors

    def _hand_over(self, task: TaskRun, executor: Executor) -> None:
        try:
            if isinstance(executor, ThreadPoolExecutor):
                context = TaskContext(self._pool.worker, task, self)
                future = executor.submit(self._pool.run_here, task, context)
                future.add_done_callback(partial(self._after_thread, task))
            else:  # pickling may take its time: not on the loop
                self._pool.loop.run_in_executor(None, self._ship, task, executor)
        except RuntimeError as error:  # it was shut down
            self._fail(task, error)

    def _after_thread(self, task: TaskRun, future: Future[None]) -> None:
        if future.cancelled():
            self._fail(task, CancelledError("the executor was shut down"))

    def _fail(self, task: TaskRun, error: BaseException) -> None:
        if not self._closed and self._pool.begin(task):
            self._pool.report(task, failed(task, error, time.time()))

    def _ship(self, task: TaskRun, executor: Executor) -> None:
        if not self._pool.begin(task):
            return
        pool = self._pool
        start = time.time()
        try:
            function, args, kwargs = prepare(task.compute, pool.functions, pool.store, pool.fresh)
            data = dumps_bytes((function.call, args, kwargs or {}))
            future = executor.submit(_run_shipped, data)
        except BaseException as error:
            pool.report(task, failed(task, error, start))
            return
        future.add_done_callback(partial(self._shipped_back, task, function, start))

    def _shipped_back(
        self,
        task: TaskRun,
        function: Function,
        start: float,
        future: Future[tuple[float, float, bytes]],
    ) -> None:
        if self._closed:
            return
        pool = self._pool
        result = None
        try:
            began, ended, data = future.result()
            result = loads_bytes(data)
            outcome = succeeded(task, function, result, began, ended, pool.inline_result)
        except BaseException as error:  # the user's, or the death of the process
            outcome = failed(task, error, start)
        pool.report(task, outcome, result)

    # ------------------------------------------------------------------ coroutines

    def start_coroutine(
        self, task: TaskRun, function: Function, args: Any, kwargs: dict[str, Any] | None
    ) -> None:
        """Run a coroutine function on the loop."""
        if not self._closed:
            call = partial(function.call, *args, **(kwargs or {}))
            running = self._pool.loop.create_task(self._await(task, function, call))
            self.coroutines[running] = task
            running.add_done_callback(self.coroutines.pop)

    async def _await(
        self, task: TaskRun, function: Function, call: Callable[[], Awaitable[Any]]
    ) -> None:
        pool = self._pool
        current.set(TaskContext(pool.worker, task, self, coroutine=True))
        slot = pool.board.claim()
        pool.board.slots[slot] = task.run
        start = time.time()
        result = None
        try:
            result = await call()
            stop = time.time()
            outcome = succeeded(task, function, result, start, stop, pool.inline_result)
        except BaseException as error:
            if self._closed:
                return
            outcome = failed(task, error, start)
        finally:
            pool.board.free(slot)
        pool.report(task, outcome, result)
        pool.coroutine_ended()

    # ------------------------------------------------------------------ seceding

    def secede(self, context: TaskContext) -> None:
        """Called in a task that runs here. It takes no thread of the pool: it only says so."""
        self._pool.tell_seceded(context)

    def rejoin(self, context: TaskContext) -> None:
        """Called in a task that runs here; there is always room."""


def _run_shipped(data: bytes) -> tuple[float, float, bytes]:
    """Run a task in another process; what is returned can be pickled whatever the result is."""
    function, args, kwargs = loads_bytes(data)
    start = time.time()
    result: Any = function(*args, **kwargs)
    if asyncio.iscoroutine(result):
        result = asyncio.run(result)
    return start, time.time(), dumps_bytes(result)
