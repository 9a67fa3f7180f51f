"""Present and latest activity of a worker's tasks: stacks and profiles."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any

from dask.utils import key_split

from shoal import config
from shoal.diagnostics.profile import Tree, stack_text
from shoal.diagnostics.sampling import Samples, loop_stack, undisturbed, watch
from shoal.worker.executor.interrupts import coroutine_stack
from shoal.worker.executor.pool import ThreadPool

if TYPE_CHECKING:
    from shoal.worker.executor.pool import ThreadPool

__all__ = ["Profiler"]

# The frame in which the pool runs a task.
_RUN = ThreadPool._run.__code__


class Profiler:
    """Looks at the threads of one worker.

    Parameters
    ----------
    worker : Worker
        The worker, whose loop runs on this thread.
    cycle : float, optional
        Seconds over which samples are summed up; ``distributed.worker.profile.cycle`` by default.
    """

    def __init__(self, pool: ThreadPool, cycle: float | None = None) -> None:
        self._pool = pool
        self._loop_thread = threading.get_ident()
        if cycle is None:
            cycle = config.get_seconds("distributed.worker.profile.cycle")
        self.tasks = Samples(cycle)
        self.server = Samples(cycle)
        self._stop: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin to look, unless the configuration says not to."""
        if config.get_bool("distributed.worker.profile.enabled"):
            interval = config.get_seconds("distributed.worker.profile.interval")
            self._stop = watch(self._look, interval)

    def stop(self) -> None:
        """Look no more."""
        if self._stop is not None:
            self._stop()

    def _look(self, frames: Mapping[int, FrameType]) -> int:
        busy = 0
        if self._pool.executing:
            busy = 1  # a coroutine perhaps
            for task, stack in self._running(frames):
                busy += 1
                self.tasks.add(key_split(task.key), stack)
        loop = frames.get(self._loop_thread)
        if loop is not None:
            stack = loop_stack(loop)
            if stack:
                self.server.add("server", stack)
        return busy

    def _running(self, frames: Mapping[int, FrameType]) -> Iterable[tuple[Any, list[FrameType]]]:
        """Yield the tasks on threads of this worker, and the users' part of their stacks."""
        for thread, context in self._pool.at_work.copy().items():
            stack: list[FrameType] = []
            at = frames.get(thread)
            while at is not None and at.f_code is not _RUN:
                stack.append(at)
                at = at.f_back
            if at is not None:
                stack.reverse()
                yield context.task, stack

    def collect(
        self, key: str | None, start: float | None, stop: float | None, server: bool
    ) -> Tree:
        """Return a profile of tasks whose keys begin with a name, or of the worker itself."""
        samples = self.server if server else self.tasks
        return samples.collect(None if server else key, start, stop)

    def call_stack(self, keys: Iterable[str] | None = None) -> dict[str, list[str]]:
        """Return what tasks execute at this moment, by key; of all tasks by default."""
        wanted = None if keys is None else set(keys)
        with undisturbed():
            at_work = [*self._running(sys._current_frames()), *self._awaiting()]
        return {
            task.key: stack_text(stack)
            for task, stack in at_work
            if wanted is None or task.key in wanted
        }

    def _awaiting(self) -> Iterable[tuple[Any, list[FrameType]]]:
        """Yield the tasks that are coroutines, and where they wait. On the loop."""
        for running, task in self._pool.coroutines.items():
            yield task, coroutine_stack(running)
