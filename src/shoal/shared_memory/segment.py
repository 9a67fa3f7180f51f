"""A segment: parts of bytes in memory that has no name, written once and then sealed.

The memory is one or a few anonymous files (`memfd_create`). They are in no folder, so nothing is
left of them when the last process that has them open or mapped is gone, however it went. Another
process of the same user opens them as ``/proc/PID/fd/NUMBER``. The first page of each holds a
random token: numbers of processes and files are used again, and a reader must know what it opened.

Readers map privately: they may write, on copies of the pages that nobody else sees. As the files
are sealed nobody can change them, or cut them short under a reader.

Taking fresh pages from the kernel is most of the cost of writing, and the kernel gives one file's
pages to one thread at a time. So a large segment is several files, written by a thread each, and
mapped one after the other as if they were one.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import secrets
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

from shoal.wire.blob import BytesLike

__all__ = ["Segment"]

_NAME = "shoal"
_LINK = f"/memfd:{_NAME} (deleted)"
_TOKEN_BYTES = 16
_ALIGN = 64  # what vector instructions like
_MAX_FILES = 4
_FILE_FROM = 16 << 20  # bytes that are worth another file and thread
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_MAP_NORESERVE = 0x4000  # not in the module mmap
_MAP_FIXED = 0x10
_HUGE = 1 << 62  # a length above it is no length


class Segment:
    """Parts of bytes in sealed shared memory. Close it when it need not be opened any more.

    What was mapped stays mapped. Made by `write`, in the owner, and by `open`, in others.

    Attributes
    ----------
    nbytes : int
        Bytes of the parts.
    files : int
        Open files.
    """

    __slots__ = ("_descriptors", "_lengths", "_token", "nbytes")

    def __init__(self, descriptors: list[int], lengths: list[int], token: bytes) -> None:
        self._descriptors = descriptors
        self._lengths = lengths
        self._token = token
        self.nbytes = sum(lengths)

    @classmethod
    def write(cls, parts: Sequence[BytesLike]) -> Segment:
        """Copy parts into new shared memory. It blocks: about a millisecond for 3 MB.

        Raises
        ------
        OSError
            When there is no memory, or too many files are open.
        """
        views = [memoryview(part).cast("B") for part in parts]
        lengths = [view.nbytes for view in views]
        offsets, total = _layout(lengths)
        cores = len(os.sched_getaffinity(0))
        count = max(1, min(_MAX_FILES, cores, total // _FILE_FROM))
        segment = cls([], lengths, secrets.token_bytes(_TOKEN_BYTES))
        extents = _extents(total, count)
        for _ in extents:
            flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
            segment._descriptors.append(os.memfd_create(_NAME, flags))
        failures: list[OSError] = []

        def fill(index: int) -> None:
            try:
                segment._fill(index, extents[index], views, offsets)
            except OSError as error:
                failures.append(error)

        threads = [threading.Thread(target=fill, args=(i,)) for i in range(1, count)]
        for thread in threads:
            thread.start()
        fill(0)
        for thread in threads:
            thread.join()
        if failures:
            segment.close()
            raise failures[0]
        return segment

    def _fill(
        self, index: int, extent: tuple[int, int], views: list[memoryview], offsets: list[int]
    ) -> None:
        descriptor = self._descriptors[index]
        start, stop = extent
        # Written, not mapped and copied: the kernel then need not clear the pages first.
        _write(descriptor, memoryview(_head(self._token, index)), 0)
        for view, offset in zip(views, offsets, strict=True):
            low, high = max(start, offset), min(stop, offset + view.nbytes)
            if low < high:
                _write(descriptor, view[low - offset : high - offset], mmap.PAGESIZE + low - start)
        os.ftruncate(descriptor, mmap.PAGESIZE + stop - start)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS | fcntl.F_SEAL_SEAL)

    @classmethod
    def open(cls, reference: dict[str, Any]) -> Segment:
        """Open the segment of another process, from what its `reference` returned there.

        Raises
        ------
        OSError
            When the segment, or its owner, is gone, or may not be opened.
        ValueError
            When the reference is none, or something else is there.
        """
        pid, numbers, token, lengths = _checked(reference)
        segment = cls([], lengths, token)
        extents = _extents(_layout(lengths)[1], len(numbers))
        try:
            for index, (number, (start, stop)) in enumerate(zip(numbers, extents, strict=True)):
                path = f"/proc/{pid}/fd/{number}"
                if os.readlink(path) != _LINK:  # before it is opened: that might do something
                    raise ValueError(f"{path} is not shared memory of shoal")
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
                segment._descriptors.append(descriptor)
                if (
                    os.pread(descriptor, _TOKEN_BYTES + 1, 0) != _head(token, index)
                    or os.fstat(descriptor).st_size != mmap.PAGESIZE + stop - start
                    or fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & _SEALS != _SEALS
                ):
                    raise ValueError(f"{path} is another segment than it was")
        except BaseException:
            segment.close()
            raise
        return segment

    @property
    def files(self) -> int:
        return len(self._descriptors)

    def reference(self) -> dict[str, Any]:
        """Return what another process needs to open the segment, as long as it is open here.

        Raises
        ------
        ValueError
            When it was closed.
        """
        if not self._descriptors:
            raise ValueError("this segment was closed")
        return {
            "pid": os.getpid(),
            "files": list(self._descriptors),
            "token": self._token,
            "lengths": self._lengths,
        }

    def map(self) -> list[memoryview]:
        """Return the parts, mapped copy-on-write: they can be written to, and nobody else sees it.

        The mapping lasts as long as anything refers to one of them.

        Raises
        ------
        OSError
            When the address space is full.
        ValueError
            When the segment was closed.
        """
        if not self._descriptors:
            raise ValueError("this segment was closed")
        offsets, total = _layout(self._lengths)
        # The range is reserved by a mapping of nothing, which also unmaps it in the end; the files
        # go over it. Python's own mapping of a file would keep another descriptor open.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        whole = mmap.mmap(-1, max(1, total), flags=flags)
        anchor = ctypes.c_char.from_buffer(whole)
        address = ctypes.addressof(anchor)
        del anchor
        extents = _extents(total, len(self._descriptors))
        for descriptor, (start, stop) in zip(self._descriptors, extents, strict=True):
            _map_over(address + start, stop - start, descriptor)
        view = memoryview(whole)
        return [view[at : at + n] for at, n in zip(offsets, self._lengths, strict=True)]

    def close(self) -> None:
        """Close the files here; their memory is freed when nobody has them open or mapped."""
        descriptors, self._descriptors = self._descriptors, []
        for descriptor in descriptors:
            os.close(descriptor)

    __del__ = close

    def __repr__(self) -> str:
        return f"<Segment of {self.nbytes} bytes, {self.files} files open>"


def _layout(lengths: Sequence[int]) -> tuple[list[int], int]:
    """Return where each part begins, and where the last one ends."""
    offsets = []
    end = 0
    for length in lengths:
        offsets.append(-(-end // _ALIGN) * _ALIGN)
        end = offsets[-1] + length
    return offsets, end


def _extents(total: int, count: int) -> list[tuple[int, int]]:
    """Return which part of the whole is in each file: whole pages, the last one may be cut."""
    step = -(-total // (count * mmap.PAGESIZE)) * mmap.PAGESIZE
    return [(min(total, i * step), min(total, (i + 1) * step)) for i in range(count)]


def _head(token: bytes, index: int) -> bytes:
    return token + bytes([index])


def _write(descriptor: int, data: memoryview, at: int) -> None:
    while data.nbytes:  # one call writes at most 2 GiB
        count = os.pwrite(descriptor, data, at)
        data = data[count:]
        at += count


def _checked(reference: dict[str, Any]) -> tuple[int, list[int], bytes, list[int]]:
    """Return the fields of a reference, which came from another process."""
    try:
        pid, token = reference["pid"], reference["token"]
        files, lengths = reference["files"], reference["lengths"]
        numbers = [pid, *files, *lengths]
        good = (
            all(type(n) is int and 0 <= n < _HUGE for n in numbers)
            and 1 <= len(files) <= _MAX_FILES
            and type(token) is bytes
            and len(token) == _TOKEN_BYTES
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a reference to shared memory: {error!r}") from error
    if not good:
        raise ValueError(f"not a reference to shared memory: {reference!r}")
    return pid, files, token, lengths


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    size, integer = ctypes.c_size_t, ctypes.c_int
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, size, integer, integer, integer, ctypes.c_int64]
    return libc


def _map_over(address: int, length: int, descriptor: int) -> None:
    """Map a file without its first page over what is mapped at an address."""
    if not length:
        return
    flags = mmap.MAP_PRIVATE | _MAP_FIXED | _MAP_NORESERVE
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    found = _libc().mmap(address, length, protection, flags, descriptor, mmap.PAGESIZE)
    if found != address:
        number = ctypes.get_errno()
        raise OSError(number, f"cannot map shared memory: {os.strerror(number)}")
