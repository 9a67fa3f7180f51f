"""Waiting for records: one latch for any number of them, opened from the loop's thread.

A latch is put on each record that is not done yet. The loop has it count the records that get done;
the latch wakes whoever waits once.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from shoal.client.core.state import FINISHED
from shoal.task_context import away, time_to_stay

if TYPE_CHECKING:
    from shoal.client.core.state import Record

__all__ = ["AsyncLatch", "Latch", "ThreadLatch", "nudge"]

# Windows does not interrupt a thread that waits for a lock: Ctrl-C is looked for this often there.
_POLL = 0.1 if sys.platform == "win32" else None


def _any_failed(records: Sequence[Record]) -> bool:
    return any(record.status != FINISHED for record in records)


class Latch(ABC):
    """Opens when enough records are done, or at the first failure when `fail_fast`.

    Parameters
    ----------
    enough : int, optional
        How many records have to get done; all of them by default.
    fail_fast : bool
        Open when one fails, is cancelled or lost.
    """

    __slots__ = ("enough", "fail_fast", "left", "opened")

    def __init__(self, enough: int | None = None, fail_fast: bool = False) -> None:
        self.enough = enough
        self.fail_fast = fail_fast
        self.left = 0  # set by `Session.watch`, which knows how many are not done yet
        self.opened = False

    def __call__(self, record: Record) -> None:
        """`count` one record."""
        self.count((record,))

    def count(self, records: Sequence[Record]) -> None:
        """Count records that are done. Called on the loop's thread only."""
        self.left -= len(records)
        if self.opened:
            return
        if self.left <= 0 or (self.fail_fast and _any_failed(records)):
            self.opened = True
            self.open()

    @abstractmethod
    def open(self) -> None:
        """Wake the waiting thread or coroutine."""


class ThreadLatch(Latch):
    """A latch that a thread waits at."""

    __slots__ = ("_shut",)

    def __init__(self, enough: int | None = None, fail_fast: bool = False) -> None:
        super().__init__(enough, fail_fast)
        # A bare lock is cheaper than an Event, and Ctrl-C gets through.
        self._shut = threading.Lock()
        self._shut.acquire()

    def open(self) -> None:
        self.opened = True
        self.wake()

    def wake(self) -> None:
        """Let the thread look around; it waits again if the latch is not open."""
        try:
            self._shut.release()
        except RuntimeError:  # it is about to look anyway
            pass

    def wait(self, timeout: float | None) -> bool:
        """Block until it is open; return whether it is. Tasks take no thread meanwhile."""
        deadline = None if timeout is None else time.monotonic() + timeout
        moment = time_to_stay()
        if moment and self._wait(moment if timeout is None else min(moment, timeout)):
            return True
        with away():
            if deadline is None and _POLL is None:
                return self._wait_long()
            return self._wait(None if deadline is None else deadline - time.monotonic())

    def _wait_long(self) -> bool:
        # No time limit: each costs a timer in the kernel, which is a tenth of a round trip.
        if threading.current_thread() is threading.main_thread():
            _at_gate.append(self)
            try:
                while not self.opened:
                    self._shut.acquire()
            finally:
                _at_gate.remove(self)
        else:
            self._shut.acquire()
        return True

    def _wait(self, timeout: float | None) -> bool:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = _POLL or 0.0
            if deadline is not None:
                left = max(deadline - time.monotonic(), 0)
                left = left if _POLL is None else min(left, _POLL)
            if self._shut.acquire(timeout=left) and self.opened:
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False


# Where the main thread waits; more than one when a signal handler waits, too.
_at_gate: list[ThreadLatch] = []


def nudge() -> None:
    """Have the main thread look for signals, now and then.

    A signal that comes between its last look and the wait does not end the wait.
    """
    for latch in _at_gate.copy():
        latch.wake()


class AsyncLatch(Latch):
    """A latch that a coroutine waits at, on the session's loop or any other."""

    __slots__ = ("_foreign", "_loop", "_waiter")

    def __init__(
        self,
        enough: int | None = None,
        fail_fast: bool = False,
        home: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(enough, fail_fast)
        self._loop = asyncio.get_running_loop()
        self._foreign = self._loop is not home
        self._waiter: asyncio.Future[None] = self._loop.create_future()

    def open(self) -> None:
        if not self._foreign:
            self._set()
            return
        try:
            self._loop.call_soon_threadsafe(self._set)
        except RuntimeError:  # that loop was closed: nobody waits there any more
            pass

    def _set(self) -> None:
        if not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self) -> None:
        """Wait until it is open."""
        await self._waiter
