"""Drops peers that do not read: what waits for them would gather without end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.errors import CommClosedError

if TYPE_CHECKING:
    from shoal.comm.frames import FrameProtocol

__all__ = ["MOST_UNREAD", "UnreadWatch"]

# Bytes that may wait for a peer, where nothing else is configured.
MOST_UNREAD = 512 << 20


class UnreadWatch:
    """Looks, while something waits to be sent, whether the peer takes any of it.

    Parameters
    ----------
    protocol : FrameProtocol
        The connection.
    limit : float
        Seconds for which a peer may take nothing.
    """

    __slots__ = ("_limit", "_protocol", "_since", "_size", "_timer")

    def __init__(self, protocol: FrameProtocol, limit: float) -> None:
        self._protocol = protocol
        self._limit = limit
        self._size = self._waiting()
        self._since = protocol.loop.time()
        self._timer = protocol.loop.call_later(limit / 4, self._look)

    def stop(self) -> None:
        """Nothing waits any more."""
        self._timer.cancel()

    def silent_for(self) -> float:
        """Return for how many seconds the peer has taken nothing of what waits. On the loop."""
        size, now = self._waiting(), self._protocol.loop.time()
        if size < self._size:
            self._since = now
        self._size = size
        return now - self._since

    def _look(self) -> None:
        if self.silent_for() >= self._limit:
            self._protocol.fail(
                CommClosedError(
                    f"the peer has not read for {self._limit:g} s ('shoal.comm.unread')"
                )
            )
            return
        self._timer = self._protocol.loop.call_later(self._limit / 4, self._look)

    def _waiting(self) -> int:
        transport = self._protocol.transport
        return 0 if transport is None else transport.get_write_buffer_size()
