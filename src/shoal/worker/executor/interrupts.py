"""Stopping the code of runs: an exception raised in its thread, a coroutine cancelled.

The exception of a thread is raised between two steps of Python code, so code that waits in a
library goes on until that returns. Whether a thread is still at the run is looked up right before;
should the exception come too late all the same, into the pool's own code or the next run, the pool
takes care of it: what was hit without being meant is run again.
"""

from __future__ import annotations

import ctypes
import sys
import time
from types import FrameType
from typing import TYPE_CHECKING, Any

from shoal.diagnostics.profile import stack_text
from shoal.diagnostics.sampling import undisturbed
from shoal.errors import TaskInterrupted, TaskTimeout
from shoal.wire.failures import kinds_of, pack_failure

if TYPE_CHECKING:
    import asyncio
    from types import CodeType

    from shoal.worker.core import Outcome, TaskRun
    from shoal.worker.executor.pool import ThreadPool

__all__ = ["Interrupts", "coroutine_stack"]

_ELSEWHERE = "(it runs in another process)"
_NOT_BEGUN = "(between two steps of the worker)"


class Interrupts:
    """Stops runs of one pool. All methods are called on the loop's thread.

    Parameters
    ----------
    pool : ThreadPool
        Whose runs these are.
    run_code, report_code : CodeType
        The pool's functions that run a task, and that tell of its end.
    """

    def __init__(self, pool: ThreadPool, run_code: CodeType, report_code: CodeType) -> None:
        self._pool = pool
        self._run_code = run_code
        self._report_code = report_code
        self._where: dict[TaskRun, str] = {}  # of those that were stopped and did not end yet

    def stop(self, runs: list[TaskRun]) -> list[tuple[TaskRun, str, float]]:
        """Stop the code of runs; return those under way, where each was, and for how long."""
        pool = self._pool
        now = time.monotonic()
        stopped: list[tuple[TaskRun, str, float]] = []
        for task in runs:
            if task not in pool.running:
                continue
            # Before it is stopped: its outcome may be there at once.
            pool.discarded.add(task)
            self._where[task] = _NOT_BEGUN
            where = self._stop_coroutine(task) or self._stop_thread(task)
            self._where[task] = where
            stopped.append((task, where, now - pool.running.get(task, now)))
        return stopped

    def settle(self, task: TaskRun, outcome: Outcome) -> None:
        """Say of an outcome that its run was stopped, if it was: whatever its code made of it."""
        where = self._where.pop(task, None)
        options = task.compute.options
        if where is None or options is None or not options.timeout:
            return
        error = TaskTimeout(task.key, options.timeout, where)
        outcome.kind = "error"
        outcome.value = None
        outcome.failure = pack_failure(error)
        outcome.failure.kinds = kinds_of(TaskTimeout)

    def _stop_coroutine(self, task: TaskRun) -> str:
        for running, known in self._pool.coroutines.items():
            if known is task:
                frames = coroutine_stack(running)
                running.cancel()
                return "; ".join(stack_text(frames)) or _NOT_BEGUN
        return ""

    def _stop_thread(self, task: TaskRun) -> str:
        """Raise an exception in the thread of a run; return where it is."""
        thread = next((n for n, at in self._pool.at_work.copy().items() if at.task is task), None)
        if thread is None:
            return _ELSEWHERE
        with undisturbed():
            stack = self._users_stack(task, thread)
            if stack is not None:
                _raise_in(thread, TaskInterrupted)
                # Should it have come to its end between these two lines.
                if self._users_stack(task, thread) is None:
                    _raise_in(thread, None)
        return "; ".join(stack_text(stack or [])) or _NOT_BEGUN

    def _users_stack(self, task: TaskRun, thread: int) -> list[FrameType] | None:
        """Return the frames of users' code in a thread; None where it is at something else."""
        pool = self._pool
        stack: list[FrameType] = []
        at = sys._current_frames().get(thread)
        while at is not None and at.f_code is not self._run_code:
            if at.f_code is self._report_code:
                return None
            stack.append(at)
            at = at.f_back
        context = pool.at_work.get(thread)
        if at is None or context is None or context.task is not task or task not in pool.running:
            return None
        stack.reverse()
        return stack


def coroutine_stack(running: asyncio.Task[Any]) -> list[FrameType]:
    """Return where a task's coroutine waits, outermost frame first. On the loop."""
    stack: list[FrameType] = []
    at: Any = running.get_coro()
    while (frame := getattr(at, "cr_frame", None)) is not None:
        stack.append(frame)
        at = at.cr_await
    return stack[1:]  # the first is what the pool put around it


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    """Have an exception raised in a thread; None takes back one that was not raised yet."""
    argument = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), argument)
