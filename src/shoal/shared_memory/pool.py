"""Spare files: their values are gone, their memory is there for the next values.

Most of the cost of a copy is taking fresh pages from the kernel. A process that makes values one
after another need not pay it each time. A spare file that a process still reads or maps is left
alone until none does: the kernel knows (see `file`).
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from shoal import config

if TYPE_CHECKING:  # it is for Linux only
    from shoal.shared_memory.file import OwnFile

__all__ = ["Pool", "make_pool", "tend"]

_WASTE = 1.5  # a file is used for as many times less than it can hold
_MAX_FILES = 128  # of the few that a process may open
_PIECES = 4  # files that one value is put together from, and the least part that one holds of it


def make_pool(max_copies: int) -> Pool:
    """Return a pool as configured, for an owner whose copies may take so many bytes."""
    part = config.get_fraction("shoal.shared-memory.pool") or 0.0
    return Pool(int(part * max_copies), config.get_seconds("shoal.shared-memory.pool-idle"))


class Pool:
    """Files to be used again. All methods may be called from any thread.

    Parameters
    ----------
    max_bytes : int
        Most that the files may take; the oldest leave first.
    idle : float
        Seconds after which one that was not used again leaves.
    clock : callable, optional
        Tells the time in seconds.

    Attributes
    ----------
    nbytes, hidden, files : int
        Their bytes; how much of it the system does not count as memory of this process; how
        many they are.
    on_filled : callable
        Called, on whatever thread, when there are files again.
    """

    def __init__(
        self, max_bytes: int, idle: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.max_bytes = max_bytes
        self.idle = idle
        self.nbytes = self.hidden = self.files = 0
        self.on_filled: Callable[[], None] = _nothing
        self._clock = clock
        self._closed = False
        self._lock = threading.Lock()
        self._since: dict[OwnFile, float] = {}  # the oldest first

    def put(self, file: OwnFile) -> None:
        """Take a file whose value is gone; it is closed where there is no room for it."""
        with self._lock:
            fits = not self._closed and file.reusable and file.capacity <= self.max_bytes
            if fits:
                self._count(file, 1)
                self._since[file] = self._clock()
            filled = fits and self.files == 1
            leave = self._oldest(self.nbytes - self.max_bytes)
            leave += self._first(self.files - _MAX_FILES)
        if not fits:
            file.close()
        _close(leave)
        if filled:
            self.on_filled()

    def take(self, nbytes: int) -> list[OwnFile]:
        """Return claimed files for a value of so many bytes: for all of it, a part, or none."""
        taken: list[OwnFile] = []
        with self._lock:
            while nbytes > 0 and len(taken) < _PIECES:
                file = self._find(nbytes)
                if file is None:
                    break
                self._remove(file)
                taken.append(file)
                nbytes -= file.capacity
        return taken

    def _find(self, nbytes: int) -> OwnFile | None:
        """Claim the smallest file for all of it, else the largest for a part."""
        by_size = sorted(self._since, key=_capacity)
        whole = [f for f in by_size if nbytes <= f.capacity <= _WASTE * nbytes]
        parts = [f for f in reversed(by_size) if nbytes / _PIECES <= f.capacity < nbytes]
        return next((file for file in [*whole, *parts] if file.claim()), None)

    def shrink(self, nbytes: int) -> int:
        """Drop files of so many bytes, or all; return how many bytes they were."""
        with self._lock:
            leave = self._oldest(nbytes)
        _close(leave)
        return sum(map(_capacity, leave))

    def limit_files(self, most: int) -> None:
        """Drop files until there are not more."""
        with self._lock:
            leave = self._first(self.files - max(0, most))
        _close(leave)

    def drop_idle(self) -> None:
        """Drop what was not used again for too long."""
        with self._lock:
            before = self._clock() - self.idle
            leave = [file for file, since in self._since.items() if since <= before]
            for file in leave:
                self._remove(file)
        _close(leave)

    def close(self) -> None:
        """Drop all, and what will come."""
        with self._lock:
            self._closed = True
        self.limit_files(0)

    def _oldest(self, nbytes: int) -> list[OwnFile]:
        leave: list[OwnFile] = []
        while nbytes > 0 and self._since:
            file = next(iter(self._since))
            self._remove(file)
            leave.append(file)
            nbytes -= file.capacity
        return leave

    def _first(self, count: int) -> list[OwnFile]:
        leave = list(self._since)[: max(0, count)]
        for file in leave:
            self._remove(file)
        return leave

    def _remove(self, file: OwnFile) -> None:
        del self._since[file]
        self._count(file, -1)

    def _count(self, file: OwnFile, sign: int) -> None:
        self.files += sign
        self.nbytes += sign * file.capacity
        self.hidden += sign * file.hidden


def tend(
    pool: Pool,
    loop: asyncio.AbstractEventLoop,
    start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
) -> None:
    """Have idle files leave, by a task that is there as long as there are files.

    Parameters
    ----------
    pool : Pool
        The pool.
    loop : asyncio.AbstractEventLoop
        Where the task runs.
    start : callable
        Makes a task; to cancel that closes the pool.
    """
    task: asyncio.Task[None] | None = None

    async def tending() -> None:
        try:
            while pool.files:
                await asyncio.sleep(pool.idle / 2)
                await asyncio.to_thread(pool.drop_idle)
        except asyncio.CancelledError:
            pool.close()
            raise

    def begin() -> None:
        nonlocal task
        if task is None or task.done():
            task = start(tending())

    def filled() -> None:
        try:
            loop.call_soon_threadsafe(begin)
        except RuntimeError:  # the loop is closed
            pool.close()

    pool.on_filled = filled


def _nothing() -> None:
    pass


def _capacity(file: OwnFile) -> int:
    return file.capacity


def _close(files: list[OwnFile]) -> None:
    for file in files:  # it takes a while, so nobody waits for it with a lock
        file.close()
