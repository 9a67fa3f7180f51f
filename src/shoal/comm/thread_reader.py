"""Reading in the thread that waits, so that an answer need not wake the loop's thread first.

The loop's transport reads a connection. After some answers to waiting threads in a row the loop
lends it: the transport pauses, and the next thread that waits reads by itself. Bytes that come
while no thread reads, or are for others, are left where they are, and the loop takes the connection
back.

A signal handler may raise in the main thread between any two steps, so a thread looks at what came
without taking it, does what follows from it, and takes it last. Interrupted, it leaves all of it to
the loop, for which an answer that came twice is nothing. Linux only; elsewhere the loop reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from shoal.comm.busy_poll import give_way, worth_looking
from shoal.wire.blob import BytesLike

if TYPE_CHECKING:
    from shoal.comm.direct import DirectSocket
    from shoal.comm.frames import FrameProtocol
    from shoal.comm.secure_direct import SecureDirect

__all__ = ["ThreadReader", "can_read_in_threads"]

_POLL_INTERVAL = 1.0  # seconds after which a thread looks whether it is still to read
# Seconds for which a thread looks before it goes to sleep, as to be woken takes long. Less and less
# of it where nothing came within `_SOON`.
_MOMENT = 5e-4
_SOON = 1e-3
_LARGEST = 16 * 1024  # bytes of a batch that a thread reads

can_read_in_threads = hasattr(select, "epoll")


class ThreadReader:
    """One connection, read by its loop or by a thread.

    Parameters
    ----------
    protocol : FrameProtocol
        The connection.
    direct : DirectSocket or SecureDirect
        Its socket.

    Attributes
    ----------
    lent : bool
        Whether threads may read. Changed on the loop, by who holds `_reading`.
    """

    def __init__(self, protocol: FrameProtocol, direct: DirectSocket | SecureDirect) -> None:
        self.lent = False
        self._protocol = protocol
        self._direct = direct
        self._fileno = direct.fileno()
        # Tells the loop that something came, unless a thread reads: armed and disarmed by threads,
        # which may not touch the loop.
        self._bell = select.epoll()
        self._bell.register(self._fileno, 0)
        self._arrival = select.poll()
        self._arrival.register(self._fileno, select.POLLIN)
        # Held by the thread that reads. A thread that was interrupted before it let go has it still
        # when it reads again.
        self._reading = threading.RLock()
        self._busy = False  # a thread is in the midst of reading
        self._step = threading.Lock()  # held while it looks, does and takes
        self._looked = 0.0  # when it was last heard of
        # Not at all where the other side has no processor meanwhile.
        self._moment = self._longest_moment = _MOMENT if worth_looking() else 0.0
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------ on the loop

    def lend(self) -> None:
        """Let threads read from now on."""
        if self.lent or self._closed or not self._protocol.pause_between_batches():
            return
        self.lent = True
        self._bell.modify(self._fileno, select.EPOLLIN)
        self._protocol.loop.add_reader(self._bell.fileno(), self.take_back)
        self._looked = time.monotonic()
        self._timer = self._protocol.loop.call_later(2 * _POLL_INTERVAL, self.check)

    def take_back(self) -> None:
        """Let the loop read again, unless a thread does."""
        if self.lent and self._reading.acquire(blocking=False):
            try:
                self._end_loan()
            finally:
                self._reading.release()

    def check(self) -> None:
        """Take it back if no thread uses it, or one that was interrupted before it could say so."""
        if not self.lent:
            return
        if time.monotonic() - self._looked < 2 * _POLL_INTERVAL:
            self._timer = self._protocol.loop.call_later(2 * _POLL_INTERVAL, self.check)
            return
        with self._step:
            self._reading = threading.RLock()
            self._end_loan()

    def _end_loan(self) -> None:
        self._forget_loan()
        self._protocol.resume_reading()

    def _forget_loan(self) -> None:
        self.lent = False
        self._protocol.loop.remove_reader(self._bell.fileno())
        if self._timer is not None:
            self._timer.cancel()

    def close(self) -> None:
        """The connection is lost."""
        if self.lent:
            self._forget_loan()
        self._closed = True
        self._bell.close()

    # ------------------------------------------------------------------ in threads

    def read(
        self,
        take: Callable[[list[BytesLike]], bool],
        is_done: Callable[[], bool],
        seconds: float | None,
    ) -> None:
        """Read until `is_done`, the time is over, or something comes that is for others.

        `take` is given the frames of each batch, and returns whether it wanted them. It may be
        given the same ones again.
        """
        reading = self._reading
        if not self.lent or self._busy or not reading.acquire(blocking=False):
            return
        try:
            self._busy = True
            if self.lent and reading is self._reading:
                self._looked = time.monotonic()
                self._bell.modify(self._fileno, 0)
                self._read(reading, take, is_done, seconds)
        except (OSError, ValueError):  # it was closed meanwhile
            pass
        finally:
            self._busy = False
            try:
                self._bell.modify(self._fileno, select.EPOLLIN)
            except (OSError, ValueError):
                pass
            finally:
                _let_go(reading)
                if self._direct.holds:  # no bell rings for it
                    self._call_loop()

    def _call_loop(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is closed
            self._protocol.loop.call_soon_threadsafe(self.take_back)

    def _read(
        self,
        reading: threading.RLock,
        take: Callable[[list[BytesLike]], bool],
        is_done: Callable[[], bool],
        seconds: float | None,
    ) -> None:
        deadline = None if seconds is None else self._looked + seconds
        wait = _POLL_INTERVAL if seconds is None else min(seconds, _POLL_INTERVAL)
        while not is_done() and not self._closed:
            if self._direct.holds or self._something_comes(wait):
                with self._step:
                    if self._reading is not reading:
                        return
                    data = self._direct.peek(_LARGEST)
                    frames = self._protocol.whole_batch(data)
                    if frames is None or not take(frames):
                        return
                    self._direct.skip(len(data))
            self._looked = now = time.monotonic()
            if deadline is not None:
                wait = min(deadline - now, _POLL_INTERVAL)
                if wait <= 0:
                    return

    def _something_comes(self, seconds: float) -> bool:
        """Wait for what comes; for the first moment without going to sleep, if that was enough."""
        poll = self._arrival.poll
        start = time.monotonic()
        sleep_at = start + self._moment
        while time.monotonic() < sleep_at:
            if poll(0):
                return True
            give_way()
        came = bool(poll(1e3 * seconds))
        soon = came and time.monotonic() - start < _SOON
        self._moment = self._longest_moment if soon else self._moment / 2
        return came


def _let_go(lock: threading.RLock) -> None:
    try:
        while True:  # it may have been interrupted before, and hold it twice
            lock.release()
    except RuntimeError:
        pass
