"""Python's collector of cyclic garbage in a process that makes none."""

from __future__ import annotations

import gc

__all__ = ["collect_rarely"]


def collect_rarely() -> None:
    """Have the collector look seldom; for processes in which only shoal's own code runs.

    A scheduler keeps hundreds of thousands of small objects and unlinks each when it is done with
    it, which `tests/scheduler/core/test_memory.py` holds it to. With Python's defaults the
    collector would look at all of them again and again: half of a task's time in a prototype.
    """
    gc.freeze()
    gc.set_threshold(200_000, 50, 1000)
