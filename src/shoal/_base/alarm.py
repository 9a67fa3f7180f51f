"""One timer for many deadlines: rings at the earliest, then its function sets it again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Alarm"]


class _Handle(Protocol):
    def cancel(self) -> Any: ...


class Alarm:
    """Calls a function on the loop when a deadline has come.

    Parameters
    ----------
    ring : callable
        The function to call; the alarm is off by then.
    call_at : callable, optional
        Calls a function at a time and returns what can be cancelled; the running loop's by default.

    Examples
    --------
    >>> async def main():
    ...     rung = asyncio.Event()
    ...     alarm = Alarm(rung.set)
    ...     alarm.set(asyncio.get_running_loop().time())
    ...     await rung.wait()
    >>> asyncio.run(main())
    """

    __slots__ = ("_call_at", "_deadline", "_handle", "_ring")

    def __init__(
        self,
        ring: Callable[[], None],
        call_at: Callable[[float, Callable[[], None]], _Handle] | None = None,
    ) -> None:
        self._ring = ring
        self._call_at = call_at
        # uvloop's has no `when` where the deadline is less than a millisecond away.
        self._handle: _Handle | None = None
        self._deadline = 0.0

    def set(self, deadline: float | None) -> None:
        """Ring at this time of the loop's clock, or when it was to ring if that is before.

        `None` turns it off. Called on the loop.
        """
        if self._handle is not None:
            if deadline is not None and self._deadline <= deadline:
                return  # the function it calls sets it again
            self.off()
        if deadline is not None:
            self._deadline = deadline
            call_at = self._call_at or asyncio.get_running_loop().call_at
            self._handle = call_at(deadline, self._rings)

    def off(self) -> None:
        """Ring no more, unless it is set again."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _rings(self) -> None:
        self._handle = None
        self._ring()
