"""Memory for large frames: mapped, so that pages are taken when bytes arrive, not when a length is
read.

A value that was one `bytes` at the sender is received into a new `bytes`, before any other code
knows of that: there is no other way to have one without a copy of all of it. CPython on Linux only.
"""

from __future__ import annotations

import functools
import mmap
import sys
from typing import Any

__all__ = ["BYTES_FROM", "can_receive_bytes", "map_memory", "new_bytes", "populate"]

# Above this size, the largest value of its threshold, the C library maps what `calloc` gives: its
# pages are taken when they are written.
BYTES_FROM = (32 << 20) + 1
can_receive_bytes = sys.platform == "linux" and sys.implementation.name == "cpython"

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


def new_bytes(length: int) -> tuple[bytes, memoryview]:
    """Return a new `bytes`, and the view through which its content is to be written.

    The view must not outlive the `bytes`, and nobody else may have the `bytes` while it is written.
    """
    import ctypes

    made = bytes(length)
    python = ctypes.pythonapi
    python.PyBytes_AsString.restype = ctypes.c_void_p
    python.PyMemoryView_FromMemory.restype = ctypes.py_object
    address = ctypes.c_void_p(python.PyBytes_AsString(ctypes.py_object(made)))
    writable = ctypes.c_int(0x200)  # PyBUF_WRITE
    view = python.PyMemoryView_FromMemory(address, ctypes.c_ssize_t(length), writable)
    return made, view


def populate(frame: memoryview, offset: int) -> int:
    """Have the next pages of a mapped frame made at once; return up to where they are there.

    That is two thirds of the work of making them one by one, as bytes are written.
    """
    global _can_populate
    mapped: Any = frame.obj
    if not _can_populate or not (mapped is None or type(mapped) is mmap.mmap):
        return len(frame)
    start = offset & ~(mmap.PAGESIZE - 1)
    size = min(_WINDOW, len(frame) - start)
    try:
        if mapped is None:
            _populate_address(frame[start:], size)
        else:
            mapped.madvise(_POPULATE_WRITE, start, size)
    except (OSError, ValueError):  # an older kernel
        _can_populate = False
    return start + size


def _populate_address(rest: memoryview, size: int) -> None:
    """Do as `mmap.madvise` for memory that has no object of its own."""
    import ctypes

    first = ctypes.c_char.from_buffer(rest)
    address = ctypes.addressof(first)
    page = address & -mmap.PAGESIZE
    if _madvise()(page, address - page + size, _POPULATE_WRITE):
        raise OSError(ctypes.get_errno(), "madvise")


@functools.cache
def _madvise() -> Any:
    import ctypes

    function = ctypes.CDLL(None, use_errno=True).madvise
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return function
