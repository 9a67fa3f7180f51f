"""When Python's collector of cyclic garbage looks, where that is ours to say."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from types import TracebackType

__all__ = ["CollectorPaused", "collect_when_quiet"]

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


class CollectorPaused:
    """Context manager: the collector does not look while many objects are made that stay.

    For users' processes, and work that ends. A graph of dask's is made of small objects without
    cycles: to look at them again and again, as they become more, takes a fifth of the time to send
    it. Threads may be in here at the same time, and one may enter twice; who has the collector
    disabled altogether keeps it so.

    Examples
    --------
    >>> with CollectorPaused():
    ...     gc.isenabled()
    False
    """

    _lock = threading.Lock()
    _inside = 0
    _was_enabled = False

    def __enter__(self) -> None:
        cls = CollectorPaused
        with cls._lock:
            if not cls._inside:
                cls._was_enabled = gc.isenabled()
                gc.disable()
            cls._inside += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        cls = CollectorPaused
        with cls._lock:
            cls._inside -= 1
            if not cls._inside and cls._was_enabled:
                gc.enable()
