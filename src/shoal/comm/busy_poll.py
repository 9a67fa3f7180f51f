"""A loop that stays awake for a moment, because the next question is about to come.

A caller that asks one thing after the other is answered sooner by a process that did not go to
sleep: to sleep and be woken takes both sides as long as the answer itself. The question is not
known here.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

__all__ = ["BusyPoll", "give_way", "worth_looking"]

# Seconds: how long a loop looks; within what time of an answer the next question must come for it
# to begin to look; for how long it sleeps when it looked in vain so many times in a row.
_MOMENT = 8e-5
_SOON = 2e-4
_REST = 0.05
_IN_VAIN = 3

# The asking process may wait for this very processor.
give_way: Callable[[], object] = getattr(os, "sched_yield", lambda: None)


def worth_looking() -> bool:
    """Whether others have a processor while this process looks instead of sleeping."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) > 1
    return (os.cpu_count() or 1) > 1


class BusyPoll:
    """Keeps one loop awake after answers, as long as that is found to be of use.

    Parameters
    ----------
    loop : event loop
        Which does not sleep while something is to be called.
    """

    __slots__ = ("_answered", "_in_vain", "_looking", "_loop", "_of_use", "_rests_until", "_until")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._of_use = worth_looking()
        self._in_vain = 0
        self._answered = 0.0  # when somebody was answered last
        self._until = 0.0
        self._rests_until = 0.0
        self._looking = False

    def stay(self) -> None:
        """A peer was answered that is likely to ask again."""
        now = time.monotonic()
        since, self._answered = now - self._answered, now
        if self._looking:
            self._in_vain = 0
            self._until = now + _MOMENT
            return
        if since < _SOON and self._of_use and now >= self._rests_until:
            self._until = now + _MOMENT
            self._looking = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        now = time.monotonic()
        if now < self._until:
            give_way()
            self._loop.call_soon(self._look)
            return
        self._looking = False
        self._in_vain += 1
        if self._in_vain == _IN_VAIN:
            self._in_vain = 0
            self._rests_until = now + _REST
