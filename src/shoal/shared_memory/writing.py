"""Segments as their owner has them: written once, then closed, their files used again.

The kernel gives one file's fresh pages to one thread at a time. So what is large is several files,
written by a thread each. Copying into memory that is there takes two threads as well.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

from shoal.shared_memory.file import TOKEN_BYTES, OwnFile, head
from shoal.shared_memory.pool import Pool
from shoal.shared_memory.segment import Segment, layout, read_into, refer
from shoal.wire.blob import BytesLike

__all__ = ["OwnSegment"]

_MAX_FRESH = 4  # new files of one segment
_FILE_FROM = 16 << 20  # bytes that are worth another file and thread


class OwnSegment:
    """Parts of bytes that this process wrote. Close it when it need not be opened any more.

    Mappings of other processes stay.

    Attributes
    ----------
    nbytes : int
        Memory that it takes.
    files : int
        Open files.
    hidden : int
        How much of it the system does not count as memory of this process.
    """

    __slots__ = ("_ends", "_files", "_lengths", "_pool", "_token", "nbytes")

    def __init__(
        self, files: list[OwnFile], ends: list[int], lengths: list[int], pool: Pool | None
    ) -> None:
        self._files = files
        self._ends = ends
        self._lengths = lengths
        self._pool = pool
        self._token = secrets.token_bytes(TOKEN_BYTES)
        self.nbytes = sum(file.capacity for file in files)

    @classmethod
    def write(
        cls, parts: Sequence[BytesLike], pool: Pool | None = None, *, joined: bool = False
    ) -> OwnSegment:
        """Copy parts into shared memory. It blocks: a millisecond for 3 MB, or 16 MB in used files.

        Parameters
        ----------
        parts : sequence of bytes-like
            The buffer that is copied.
        pool : Pool, optional
            Where files are taken from, and go to.
        joined : bool
            All of them are one part to readers, each begins where the one before ends.

        Raises
        ------
        OSError
            When there is no memory, or too many files are open.
        """
        views = [memoryview(part).cast("B") for part in parts]
        lengths = [view.nbytes for view in views]
        if joined:
            total = sum(lengths)
            offsets = list(accumulate(lengths, initial=0))[:-1]
            lengths = [total]
        else:
            offsets, total = layout(lengths)
        cores = len(os.sched_getaffinity(0))
        files: list[OwnFile] = []
        try:
            if pool is not None:
                files += pool.take(total)
            rest = total - sum(file.capacity for file in files)
            if rest > 0 or not files:
                count = max(1, min(_MAX_FRESH, cores, rest // _FILE_FROM))
                for _ in range(count - 1):
                    files.append(OwnFile(rest // count))
                    # The last takes what whole pages leave.
                files.append(OwnFile(total - sum(file.capacity for file in files)))
            segment = cls(files, _ends(files, total), lengths, pool)
            segment._fill(views, offsets, threads=min(cores, total // _FILE_FROM))
        except BaseException:
            for file in files:
                file.close()
            raise
        return segment

    def _fill(self, views: list[memoryview], offsets: list[int], threads: int) -> None:
        # One iterator for all threads: each takes what is next.
        todo = iter([*enumerate(pairwise([0, *self._ends]))])
        failures: list[BaseException] = []

        def work() -> None:
            try:
                for index, (start, stop) in todo:
                    self._fill_one(index, start, stop, views, offsets)
            except BaseException as error:
                failures.append(error)

        others = [threading.Thread(target=work) for _ in range(min(threads, self.files) - 1)]
        for thread in others:
            thread.start()
        work()
        for thread in others:
            thread.join()
        if failures:
            raise failures[0]

    def _fill_one(
        self, index: int, start: int, stop: int, views: list[memoryview], offsets: list[int]
    ) -> None:
        pieces: list[memoryview] = []
        places: list[int] = []
        for view, offset in zip(views, offsets, strict=True):
            low, high = max(start, offset), min(stop, offset + view.nbytes)
            if low < high:
                pieces.append(view[low - offset : high - offset])
                places.append(low - start)
        self._files[index].write(head(self._token, index), pieces, places)

    @property
    def files(self) -> int:
        return len(self._files)

    @property
    def hidden(self) -> int:
        return sum(file.hidden for file in self._files)

    def reference(self) -> dict[str, Any]:
        """Return what another process needs to open the segment, as long as it is open here.

        Raises
        ------
        ValueError
            When it was closed.
        """
        descriptors = [file.descriptor for file in self._files]
        return refer(descriptors, self._ends, self._token, self._lengths)

    def read_into(self, at: int, views: Sequence[memoryview]) -> None:
        """Copy what begins at a place of the whole into views (see `Segment.read_into`)."""
        read_into([file.descriptor for file in self._files], self._ends, at, views)

    def map(self) -> list[memoryview]:
        """Return the parts as a reader has them (see `Segment.map`)."""
        reader = Segment.open(self.reference())
        try:
            return reader.map()
        finally:
            reader.close()

    def close(self, *, reuse: bool = True) -> None:
        """Others cannot open it any more. The memory is used again, or freed when nobody maps it.

        Parameters
        ----------
        reuse : bool
            False: not used again.
        """
        files, self._files = self._files, []
        for file in files:
            if reuse and self._pool is not None:
                self._pool.put(file)
            else:
                file.close()

    def __repr__(self) -> str:
        return f"<OwnSegment of {self.nbytes} bytes, {self.files} files open>"


def _ends(files: list[OwnFile], total: int) -> list[int]:
    """Return where in the whole each file ends."""
    ends = []
    end = 0
    for file in files:
        end = min(total, end + file.capacity)
        ends.append(end)
    return ends
