"""Measurements of memory for the worker's core: how much the process takes, and how runs make it
grow. Measures are not decided here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from dask.utils import key_split

from shoal import config
from shoal._base.process_memory import PeakMeter, collect_garbage, resident, taken, trim
from shoal.worker import core
from shoal.worker.core.admission import waiting_for_memory

if TYPE_CHECKING:
    from shoal.worker.context import WorkerContext

__all__ = ["MemoryWatch"]

_SOON = 0.05  # of the limit: results that came together count before the next look is due
_TICK = 0.02  # seconds between two looks while something runs
_IDLE = 0.05  # the same while nothing does
_LONG = 0.005  # seconds after which a run is looked at
_WORTH = 1 << 20  # bytes of growth that are worth to be remembered
_PREFIXES = 1000  # remembered
_HELD = 100  # tasks that are told to wait for memory


class MemoryWatch:
    """Measures the memory of one worker's process.

    Parameters
    ----------
    worker : Worker
        The worker, on whose loop this is made.

    Attributes
    ----------
    prefixes : dict
        By prefix of keys: how many runs were looked at, and how far the process grew at most while
        one of them ran, in bytes.
    """

    def __init__(self, worker: WorkerContext) -> None:
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._limit = worker.memory_limit
        self._look_at = 0  # bytes in the store from which one does not wait for the next look
        self.prefixes: dict[str, list[int]] = {}
        self._peaks: dict[bytes, int] = {}
        self._meter = PeakMeter()
        self._began: dict[core.TaskRun, int] = {}  # by run: what the process took beside values
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def in_use(self) -> int:
        """Return the process's memory, and what it has in shared memory without mapping it."""
        return taken() + self._worker.store.shared_bytes

    async def run(self) -> None:
        """Tell the core every now and then, for as long as the worker lives."""
        if not self._limit:
            return
        self._thread = threading.Thread(target=self._watch_peaks, name="shoal-memory", daemon=True)
        self._thread.start()
        interval = config.get_seconds("distributed.worker.memory.monitor-interval")
        try:
            while True:
                self.measure()
                await asyncio.sleep(interval)
        finally:
            self._ended.set()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def measure(self) -> None:
        """Tell the core how much memory is in use now."""
        self._worker.feed(self._measurement())
        short = self._worker.machine.state.guard is not None
        self._worker.pool.gauge = self if short else None

    def _measurement(self) -> core.MemoryMeasured:
        worker = self._worker
        managed = worker.store.memory_bytes
        self._look_at = managed + int(_SOON * self._limit)
        peaks, self._peaks = self._peaks, {}
        return core.MemoryMeasured(
            self.in_use(), managed, worker.pool.executing, worker.exchange.giving, peaks
        )

    def look(self) -> None:
        """Tell the core at once where it matters: memory is short, or much came at a time."""
        if self._limit and (
            self._worker.machine.state.guard is not None
            or self._worker.store.memory_bytes > self._look_at
        ):
            self.measure()

    def held(self) -> dict[str, str]:
        """Return which tasks wait for memory, and why, in words; the first of many."""
        return waiting_for_memory(self._worker.machine.state, _HELD)

    def take_prefixes(self) -> dict[str, list[int]]:
        """Return `prefixes`, and begin anew."""
        found, self.prefixes = self.prefixes, {}
        return found

    # -- on request of the core ----------------------------------------------------

    def evict(self, nbytes: int, in_use: frozenset[str], spare: list[str]) -> None:
        """Write values to disk, on a thread, and tell the core what came of it."""
        self._aside(self._evict, nbytes, in_use, spare)

    def _evict(self, nbytes: int, in_use: frozenset[str], spare: list[str]) -> None:
        answer = core.Evicted(nbytes, 0)
        try:
            done = self._worker.store.spill(nbytes, in_use, spare)
            answer = core.Evicted(nbytes, done.freed, done.keys, done.reason)
        finally:
            self._tell(self._evicted, answer)

    def _evicted(self, answer: core.Evicted) -> None:
        answer.then = self._measurement()
        self._worker.feed(answer)

    def reclaim(self, how: str) -> None:
        """Give free memory back to the system, on a thread; collect garbage before that."""
        self._aside(self._reclaim, collect_garbage if how == "collect" else trim)

    def _reclaim(self, act: Callable[[], None]) -> None:
        try:
            act()
        finally:
            self._tell(self.measure)

    def _aside(self, function: Callable[..., None], *args: object) -> None:
        self._loop.run_in_executor(None, function, *args)

    def _tell(self, function: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop is closed
            pass

    # -- on threads of the pool ----------------------------------------------------

    def begin(self, task: core.TaskRun) -> None:
        """While memory is short: a run begins on this thread."""
        self._meter.read()  # the peak begins anew
        self._began[task] = resident() - self._worker.store.memory_bytes

    def end(self, task: core.TaskRun) -> None:
        """It ended; its result is not in the store yet. Growth by others meanwhile is shared."""
        before = self._began.pop(task, None)
        if before is not None:
            peak = self._meter.read() - self._worker.store.memory_bytes
            self._note(task, (peak - before) // (len(self._began) + 1))

    # -- on a thread of its own ----------------------------------------------------

    def _watch_peaks(self) -> None:
        """See how far the process grows while runs of some length are under way.

        It is their growth together; each is said to have had its share of it. While memory is short
        the threads look themselves, and exactly.
        """
        running = self._worker.pool.running
        before = 0
        seen: dict[object, int] = {}  # by run: what the process took when it began
        while not self._ended.wait(_TICK if running else _IDLE):
            if self._worker.pool.gauge is not None:
                continue
            now_taken = resident()
            now = monotonic()
            runs = [task for task, since in running.copy().items() if now - since >= _LONG]
            if runs:
                seen = {task: seen.get(task, min(before, now_taken)) for task in runs}
                for task in runs:
                    self._note(task, (now_taken - seen[task]) // len(runs))
            elif seen:
                seen = {}
            before = now_taken

    def _note(self, task: core.TaskRun, grown: int) -> None:
        if grown < _WORTH:
            return
        function = task.compute.function
        peaks = self._peaks
        peaks[function] = max(grown, peaks.get(function, 0))
        prefix = key_split(task.key)
        known = self.prefixes.get(prefix)
        if known is None:
            while len(self.prefixes) >= _PREFIXES:
                self.prefixes.pop(next(iter(self.prefixes)), None)
            known = self.prefixes[prefix] = [0, 0]
        known[0] += 1
        known[1] = max(known[1], grown)
