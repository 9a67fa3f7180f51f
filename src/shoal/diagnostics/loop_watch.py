"""How late an event loop is, for those who watch the cluster; measured from when somebody asks."""

from __future__ import annotations

import asyncio

from shoal import config

__all__ = ["LoopWatch"]

_WATCHED = 300.0  # seconds after a look for which is looked


class LoopWatch:
    """Wakes up every ``distributed.admin.tick.interval`` while somebody asks how late that was.

    Lateness that is worth a warning is found elsewhere (`shoal.comm.lateness`), at less cost.

    Attributes
    ----------
    count : int
        How often it woke up.
    """

    def __init__(self) -> None:
        self._interval = config.get_seconds("distributed.admin.tick.interval")
        self.count = 0
        self._latest = 0.0
        self._asked = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def longest(self) -> float:
        """Return the longest delay since this was called last; begin to look, on this loop."""
        loop = asyncio.get_running_loop()
        latest, self._latest = self._latest, 0.0
        self._asked = loop.time()
        if self._timer is None:
            self._wait(loop)
        return latest

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + self._interval
        self._timer = loop.call_at(due, self._wake, loop, due)

    def _wake(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self.count += 1
        self._latest = max(self._latest, now - due)
        self._timer = None
        if now - self._asked < _WATCHED:
            self._wait(loop)
