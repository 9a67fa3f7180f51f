"""One value in parts: bytes one after the other, and where each part of them begins.

Large ones are written into shared memory as they are made. The meaning of the bytes is not known
here.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, TypeAlias

from shoal.shared_memory import Pool, share_from
from shoal.shared_memory.host import AVAILABLE
from shoal.wire.blob import BytesLike

if AVAILABLE:
    from shoal.shared_memory.writing import OwnSegment

__all__ = ["Chunk", "Partitioned", "born"]

Chunk: TypeAlias = tuple[int, ...]
"""A piece of a part: its bytes, the number of its head, and what else its codec wants to know."""


class _Born:
    """How much memory, and how many files, values have that were born in shared memory.

    Attributes
    ----------
    hidden : int
        Bytes that the system does not count as memory of this process.
    files : int
        Open files.
    """

    __slots__ = ("_lock", "files", "hidden")

    def __init__(self) -> None:
        self.hidden = 0
        self.files = 0
        self._lock = threading.Lock()

    def add(self, hidden: int, files: int) -> None:
        """Count more, or fewer."""
        with self._lock:
            self.hidden += hidden
            self.files += files


born = _Born()
"""Of this process."""

_MAX_FILES = 4096  # open for such values; more are kept in the process's own memory


class Partitioned:
    """Bytes in parts, each of which is one or several chunks.

    Parameters
    ----------
    heads : sequence of bytes
        The common part of chunks, for the decoder.
    parts : sequence of sequence of Chunk
        The chunks of each part, in order.
    payload : bytes-like or OwnSegment
        All chunks one after the other, then the heads.

    Attributes
    ----------
    nbytes : int
        Bytes of all of it.
    """

    __slots__ = ("_counted", "_heads", "_payload", "_starts", "nbytes", "parts")

    def __init__(
        self,
        heads: Sequence[int],
        parts: Sequence[Sequence[Chunk]],
        payload: Any,
    ) -> None:
        self.parts = parts
        sizes = [sum(chunk[0] for chunk in chunks) for chunks in parts]
        self._starts = list(accumulate(sizes, initial=0))
        self._heads = list(heads)  # their lengths
        self._payload = payload
        self.nbytes = self._starts[-1] + sum(self._heads)
        self._counted = (0, 0)
        if AVAILABLE and isinstance(payload, OwnSegment):
            self._counted = (payload.hidden, payload.files)
            born.add(*self._counted)

    @classmethod
    def write(
        cls,
        heads: Sequence[bytes],
        parts: Sequence[Sequence[Chunk]],
        pieces: Sequence[BytesLike],
        pool: Pool | None = None,
    ) -> Partitioned:
        """Return bytes as a value; in shared memory where they are many.

        Parameters
        ----------
        heads : sequence of bytes
            The common part of chunks.
        parts : sequence of sequence of Chunk
            The chunks of each part.
        pieces : sequence of bytes-like
            The bytes of all chunks, in order.
        pool : Pool, optional
            Where shared memory is taken from, and goes to.
        """
        pieces = [*pieces, *heads]
        lengths = [len(head) for head in heads]
        least = share_from()
        total = sum(memoryview(piece).nbytes for piece in pieces)
        said = sum(chunk[0] for chunks in parts for chunk in chunks) + sum(lengths)
        if total != said:
            raise ValueError(f"chunks and heads are said to have {said} bytes, and have {total}")
        if least is not None and total >= least and born.files < _MAX_FILES:
            try:
                return cls(lengths, parts, OwnSegment.write(pieces, pool, joined=True))
            except OSError:  # too many files: then it is memory as any other
                pass
        return cls(lengths, parts, b"".join(pieces))

    def place(self, first: int, last: int) -> tuple[int, int]:
        """Return where some parts, one after the other, begin and end in the payload."""
        return self._starts[first], self._starts[last]

    def heads_place(self) -> tuple[int, list[int]]:
        """Return where the heads begin in the payload, and their lengths."""
        return self._starts[-1], self._heads

    def reference(self) -> dict[str, Any] | None:
        """Return what another process of this host opens it by; None where it cannot."""
        if self._counted[1]:
            try:
                return dict(self._payload.reference())
            except ValueError:  # closed
                return None
        return None

    def read_into(self, at: int, views: Sequence[memoryview]) -> None:
        """Copy what begins at a place of the payload into views, one after the other."""
        if self._counted[1]:
            self._payload.read_into(at, views)
            return
        data = memoryview(self._payload).cast("B")
        for view in views:
            view[:] = data[at : at + view.nbytes]
            at += view.nbytes

    def read(self, start: int, stop: int) -> bytearray:
        """Return the bytes between two places of the payload."""
        data = bytearray(stop - start)
        self.read_into(start, [memoryview(data)])
        return data

    def __reduce__(self) -> Any:
        whole: Any = self._payload
        if self._counted[1]:
            (whole,) = self._payload.map()
        return _rebuild, (self._heads, _packed(self.parts), pickle.PickleBuffer(whole))

    def __sizeof__(self) -> int:
        return self.nbytes + 100 * len(self.parts)

    def __del__(self) -> None:
        counted, self._counted = getattr(self, "_counted", (0, 0)), (0, 0)
        if counted[1]:
            born.add(-counted[0], -counted[1])
            self._payload.close()

    def __repr__(self) -> str:
        where = "shared memory" if self._counted[1] else "memory"
        return f"<Partitioned: {len(self.parts)} parts, {self.nbytes} bytes in {where}>"


def _packed(parts: Sequence[Sequence[Chunk]]) -> list[list[Chunk]]:
    return [list(chunks) for chunks in parts]


def _rebuild(heads: list[int], parts: list[list[Chunk]], payload: Any) -> Partitioned:
    return Partitioned(heads, parts, payload)
