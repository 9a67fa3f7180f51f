"""The memory of this process: how much it takes, its peak, and giving back what is free."""

from __future__ import annotations

import ctypes
import gc
import mmap
import re
import sys
from functools import cache

import psutil

__all__ = ["PeakMeter", "collect_garbage", "resident", "taken", "trim"]

_PAGE = mmap.PAGESIZE
_STATUS = "/proc/self/status"
_RESET = "/proc/self/clear_refs"
_OWN = re.compile(rb"^(?:RssAnon|RssShmem|VmSwap):\s+(\d+) kB", re.MULTILINE)
_PEAK = re.compile(rb"VmHWM:\s+(\d+) kB")
_RESET_PEAK = b"5"  # written to the file to have the peak begin anew


def taken(pid: int | None = None) -> int:
    """Return the bytes of memory that a process, this one by default, takes from the others.

    Pages of files that are mapped (libraries, most of all) do not count: the kernel can take them
    back at any time, and processes have them in common. Where the system does not tell them apart
    it is all that is resident.

    Raises
    ------
    psutil.NoSuchProcess
        When it is not there.
    """
    try:
        with open("/proc/self/status" if pid is None else f"/proc/{pid}/status", "rb") as file:
            found = _OWN.findall(file.read())
    except OSError:  # another system; or gone, which is told below
        found = []
    if len(found) < 2:
        return resident(pid)
    return sum(map(int, found)) << 10


def resident(pid: int | None = None) -> int:
    """Return the bytes that a process, this one by default, has in memory."""
    if pid is None and sys.platform == "linux":  # a hundred times a second
        with open("/proc/self/statm", "rb", buffering=0) as file:
            return int(file.read().split()[1]) * _PAGE
    return int(psutil.Process(pid).memory_info().rss)


def collect_garbage() -> None:
    """Free what only refers to itself, and give free memory back; it holds the interpreter."""
    gc.collect()
    trim()


def trim() -> None:
    """Have the allocator give free memory back to the system, where it can (glibc)."""
    function = _malloc_trim()
    if function is not None:
        function(0)


@cache
def _malloc_trim() -> ctypes._NamedFuncPointer | None:
    if sys.platform != "linux":
        return None
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # another C library
        return None


class PeakMeter:
    """The most memory that this process took since one looked last.

    The kernel keeps the peak, and lets a process begin anew. Where it does not, what the process
    takes now stands for it.
    """

    def __init__(self) -> None:
        self._exact = sys.platform == "linux" and self._begin_anew()

    def read(self) -> int:
        """Return the peak in bytes, and begin anew."""
        if not self._exact:
            return resident()
        with open(_STATUS, "rb") as file:
            found = _PEAK.search(file.read())
        self._exact = found is not None and self._begin_anew()
        return int(found[1]) << 10 if found is not None else resident()

    def _begin_anew(self) -> bool:
        try:
            with open(_RESET, "wb", buffering=0) as file:
                file.write(_RESET_PEAK)
        except OSError:
            return False
        return True
