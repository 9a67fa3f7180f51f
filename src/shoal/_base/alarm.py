"""One timer for many deadlines: rings at the earliest, and is set again by who heard it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Alarm"]


class Alarm:
    """Calls a function on the loop when a deadline has come.

    Parameters
    ----------
    ring : callable
        What is called; the alarm is off by then.

    Examples
    --------
    >>> async def main():
    ...     rung = asyncio.Event()
    ...     alarm = Alarm(rung.set)
    ...     alarm.set(asyncio.get_running_loop().time())
    ...     await rung.wait()
    >>> asyncio.run(main())
    """

    __slots__ = ("_deadline", "_handle", "_ring")

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        # uvloop's has no `when` where the deadline is less than a millisecond away.
        self._handle: asyncio.Handle | None = None
        self._deadline = 0.0

    def set(self, deadline: float | None) -> None:
        """Ring at this time of the loop's clock, or when it was to ring if that is before.

        `None` turns it off. Called on the loop.
        """
        if self._handle is not None:
            if deadline is not None and self._deadline <= deadline:
                return  # who hears it then sets it again
            self.off()
        if deadline is not None:
            self._deadline = deadline
            self._handle = asyncio.get_running_loop().call_at(deadline, self._rings)

    def off(self) -> None:
        """Ring no more, unless it is set again."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _rings(self) -> None:
        self._handle = None
        self._ring()
