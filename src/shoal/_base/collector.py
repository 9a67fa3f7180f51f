"""Python's collector of cyclic garbage in a process that makes next to none."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

__all__ = ["collect_when_quiet"]

_PAUSE = 10.0  # seconds between two looks
_WORTH = 10_000  # containers made, and not freed, since the collector looked


def collect_when_quiet(is_quiet: Callable[[], bool]) -> None:
    """Have the collector look now and then, on the running loop, while there is not much to see.

    For processes in which only shoal's own code runs. A scheduler keeps millions of small objects
    and unlinks each when it is done with it, which `tests/scheduler/core/test_memory.py` holds it
    to. With Python's defaults the collector would look at all of them again and again: half of a
    task's time in a prototype, and a pause of a second for every few million objects.

    Parameters
    ----------
    is_quiet : callable
        Whether there are so few objects that to look at all of them takes no time to speak of.
    """
    gc.freeze()
    gc.set_threshold(0)  # never by itself, even where somebody enables it when all is imported
    loop = asyncio.get_running_loop()

    def look() -> None:
        if gc.get_count()[0] > _WORTH and is_quiet():
            gc.collect()
        loop.call_later(_PAUSE, look)

    loop.call_later(_PAUSE, look)
