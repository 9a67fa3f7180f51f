"""Memory for large frames: mapped, so that pages are taken when bytes arrive, not when a length is
read.
"""

from __future__ import annotations

import mmap
import sys

__all__ = ["map_memory", "populate"]

# Pages that are made at once, when bytes for the first of them are there.
_WINDOW = 256 * 1024
_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE, from Linux 5.14 on
_can_populate = sys.platform == "linux"


def map_memory(length: int) -> memoryview:
    """Return new memory."""
    if not hasattr(mmap, "MAP_PRIVATE"):  # Windows
        return memoryview(mmap.mmap(-1, length))
    # Private: a child that a task forks must not share it. No huge pages are asked for: half the
    # work where the machine has them ready, and four times the work where it has to make them.
    return memoryview(mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def populate(frame: memoryview, offset: int) -> int:
    """Have the next pages of a mapped frame made at once; return up to where they are there.

    That is two thirds of the work of making them one by one, as bytes are written.
    """
    global _can_populate
    mapped = frame.obj
    if not _can_populate or type(mapped) is not mmap.mmap:
        return len(frame)
    start = offset & ~(mmap.PAGESIZE - 1)
    size = min(_WINDOW, len(frame) - start)
    try:
        mapped.madvise(_POPULATE_WRITE, start, size)
    except (OSError, ValueError):  # an older kernel
        _can_populate = False
    return start + size
