"""A segment: parts of bytes in memory that has no name, as its readers see it.

The memory is one or a few anonymous files (see `file`), mapped one after the other as if they were
one. They are in no folder, so nothing is left of them when the last process that has them open or
mapped is gone, however it went. Another process of the same user opens them as
``/proc/PID/fd/NUMBER``.

Readers map privately: they may write, on copies of the pages that nobody else sees.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from shoal.shared_memory.file import HEAD, TOKEN_BYTES, head, open_file
from shoal.shared_memory.mapped import map_over

__all__ = ["MAX_FILES", "Segment", "layout", "read_fully", "read_into", "refer"]

MAX_FILES = 8
"""Most files of one segment."""

_ALIGN = 64  # as vector instructions like it
_MAP_NORESERVE = 0x4000  # not in the module mmap
_MAX_VIEWS = 1000  # of one call; the system's limit is 1024
_HUGE = 1 << 62  # a length above it is no length


class Segment:
    """Parts of bytes that another wrote. Close it when it need not be opened here any more.

    Mapped parts stay mapped. As long as the segment is open, or mapped, or a part of it is,
    its content stays as it is.

    Attributes
    ----------
    nbytes : int
        Bytes of the parts.
    files : int
        Open files.
    hidden : int
        Bytes that are memory of this process only: none.
    """

    __slots__ = ("_descriptors", "_ends", "_lengths", "_token", "nbytes")

    hidden = 0

    def __init__(
        self, descriptors: list[int], ends: list[int], token: bytes, lengths: list[int]
    ) -> None:
        self._descriptors = descriptors
        self._ends = ends
        self._lengths = lengths
        self._token = token
        self.nbytes = sum(lengths)

    @classmethod
    def open(cls, reference: dict[str, Any]) -> Segment:
        """Open the segment of another process, from what its `reference` returned there.

        Raises
        ------
        OSError
            When the segment, or its owner, is gone, or it may not be opened (now).
        ValueError
            When the reference is none, or something else is there.
        """
        pid, numbers, ends, token, lengths = _checked(reference)
        segment = cls([], ends, token, lengths)
        try:
            for index, (start, stop) in enumerate(pairwise([0, *ends])):
                path = f"/proc/{pid}/fd/{numbers[index]}"
                segment._descriptors.append(open_file(path, head(token, index), stop - start))
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
        return refer(self._descriptors, self._ends, self._token, self._lengths)

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
        offsets, total = layout(self._lengths)
        # The range is reserved by a mapping of nothing, which also unmaps it in the end; the files
        # go over it. Python's own mapping of a file would keep another descriptor open.
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        whole = mmap.mmap(-1, max(1, total), flags=flags)
        anchor = ctypes.c_char.from_buffer(whole)
        address = ctypes.addressof(anchor)
        del anchor
        for descriptor, (start, stop) in zip(
            self._descriptors, pairwise([0, *self._ends]), strict=True
        ):
            map_over(address + start, stop - start, descriptor, HEAD)
        view = memoryview(whole)
        return [view[at : at + n] for at, n in zip(offsets, self._lengths, strict=True)]

    def read_into(self, at: int, views: Sequence[memoryview]) -> None:
        """Copy what begins at a place of the whole into views, one after the other.

        Nothing is mapped for it.

        Raises
        ------
        OSError
            When it cannot be read.
        ValueError
            When the segment was closed, or ends before.
        """
        read_into(self._descriptors, self._ends, at, views)

    def close(self, *, reuse: bool = True) -> None:
        """Close the files here. `reuse` concerns their owner only."""
        descriptors, self._descriptors = self._descriptors, []
        for descriptor in descriptors:
            os.close(descriptor)

    __del__ = close

    def __repr__(self) -> str:
        return f"<Segment of {self.nbytes} bytes, {self.files} files open>"


def layout(lengths: Sequence[int]) -> tuple[list[int], int]:
    """Return where each part begins, and where the last one ends."""
    offsets = []
    end = 0
    for length in lengths:
        offsets.append(-(-end // _ALIGN) * _ALIGN)
        end = offsets[-1] + length
    return offsets, end


def read_into(
    descriptors: Sequence[int], ends: Sequence[int], at: int, views: Sequence[memoryview]
) -> None:
    """Copy from files that are one whole, each from its second page on, into views."""
    if not descriptors:
        raise ValueError("this segment was closed")
    start = 0
    left = list(views)
    for descriptor, end in zip(descriptors, ends, strict=True):
        while left and at < end:
            room = end - at
            some: list[memoryview] = []
            while left and room > 0 and len(some) < _MAX_VIEWS:
                view = left[0]
                if view.nbytes > room:
                    some.append(view[:room])
                    left[0] = view[room:]
                    room = 0
                else:
                    some.append(left.pop(0))
                    room -= view.nbytes
            read_fully(descriptor, HEAD + at - start, some)
            at += sum(view.nbytes for view in some)
        start = end
    if any(view.nbytes for view in left):
        raise ValueError("the segment ends before")


def read_fully(descriptor: int, at: int, views: list[memoryview]) -> None:
    """Read from a place of a file until all views are full.

    Raises
    ------
    ValueError
        When the file ends before.
    """
    views = [view for view in views if view.nbytes]
    while views:
        count = os.preadv(descriptor, views[:_MAX_VIEWS], at)
        if count <= 0:
            raise ValueError("the file ends before")
        at += count
        while views and count >= views[0].nbytes:
            count -= views.pop(0).nbytes
        if count:
            views[0] = views[0][count:]


def refer(
    descriptors: list[int], ends: list[int], token: bytes, lengths: list[int]
) -> dict[str, Any]:
    """Return what stands for open files of this process.

    Parameters
    ----------
    descriptors : list of int
        The files.
    ends : list of int
        Where in the whole each of them ends: all but the last at a whole page.
    token : bytes
        The mark of the files.
    lengths : list of int
        Bytes of each part.

    Raises
    ------
    ValueError
        When there are no files.
    """
    if not descriptors:
        raise ValueError("this segment was closed")
    return {
        "pid": os.getpid(),
        "files": list(descriptors),
        "ends": ends,
        "token": token,
        "lengths": lengths,
    }


def _checked(reference: dict[str, Any]) -> tuple[int, list[int], list[int], bytes, list[int]]:
    """Return the fields of a reference, which came from another process."""
    try:
        pid, token = reference["pid"], reference["token"]
        files, ends, lengths = reference["files"], reference["ends"], reference["lengths"]
        numbers = [pid, *files, *ends, *lengths]
        good = (
            all(type(n) is int and 0 <= n < _HUGE for n in numbers)
            and 1 <= len(files) <= MAX_FILES
            and len(ends) == len(files)
            and all(low < high for low, high in pairwise(ends))
            and not any(end % mmap.PAGESIZE for end in ends[:-1])
            and ends[-1] == layout(lengths)[1]
            and type(token) is bytes
            and len(token) == TOKEN_BYTES
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a reference to shared memory: {error!r}") from error
    if not good:
        raise ValueError(f"not a reference to shared memory: {reference!r}")
    return pid, files, ends, token, lengths
