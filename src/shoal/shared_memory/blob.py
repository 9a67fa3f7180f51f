"""Pickled values whose buffers are in shared memory, and what stands for them in messages."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from shoal.shared_memory.host import AVAILABLE
from shoal.shared_memory.pool import Pool
from shoal.wire.blob import Blob, Buffer

if AVAILABLE:
    from shoal.shared_memory.segment import Segment
    from shoal.shared_memory.writing import OwnSegment

__all__ = ["SharedBlob", "borrow"]

logger = logging.getLogger("shoal.shared_memory")


class SharedBlob:
    """A blob whose buffers are in a segment; the pickle itself is small and travels as it is.

    Attributes
    ----------
    nbytes, files : int
        Size of the buffers, or of the memory that was taken for them; files that are open for them.
    hidden : int
        How much memory of this process that the system does not count as such.
    """

    __slots__ = ("_data", "_segment", "files", "hidden", "nbytes")

    def __init__(self, data: bytes, segment: Segment | OwnSegment) -> None:
        self._data = data
        self._segment = segment
        self.nbytes = segment.nbytes
        self.files = segment.files
        self.hidden = segment.hidden

    @staticmethod
    def size(blob: Blob) -> int:
        """Return how many bytes of a blob would be shared."""
        return sum(memoryview(buffer.data).nbytes for buffer in blob.buffers)

    @classmethod
    def write(cls, blob: Blob, pool: Pool | None = None) -> SharedBlob:
        """Copy the buffers of a blob into shared memory, of the pool's; it blocks meanwhile.

        Raises
        ------
        OSError
            When that is not possible (any more).
        """
        parts = [buffer.data for buffer in blob.buffers]
        return cls(bytes(blob.data), OwnSegment.write(parts, pool))

    @classmethod
    def open(cls, reference: dict[str, Any]) -> SharedBlob:
        """Open what another process refers to.

        Raises
        ------
        OSError, ValueError
            When it is not there (any more), or cannot be reached from here.
        """
        if not AVAILABLE:
            raise OSError("this system does not share memory")
        data = reference.get("data") if isinstance(reference, dict) else None
        if type(data) is not bytes:
            raise ValueError(f"not a reference to a value in shared memory: {reference!r}")
        return cls(data, Segment.open(reference))

    def reference(self) -> dict[str, Any]:
        """Return what stands for it in a message to a process of this host, while it is open."""
        return {"data": self._data, **self._segment.reference()}

    def blob(self) -> Blob:
        """Return the blob, its buffers mapped copy-on-write; they outlive `close`."""
        return Blob(self._data, [Buffer(part) for part in self._segment.map()])

    def close(self, *, reuse: bool = True) -> None:
        """Others cannot open it here any more; own memory goes to the pool, or unused away."""
        self._segment.close(reuse=reuse)


def borrow(references: Mapping[str, Any]) -> tuple[dict[str, SharedBlob], list[str]]:
    """Open what a peer refers to; return that, and the keys of what could not be opened.

    The peer may have died meanwhile, or dropped it, or be out of reach for a reason that nobody
    foresaw: those values are asked for again, without shared memory.
    """
    opened: dict[str, SharedBlob] = {}
    failed: list[str] = []
    for key, reference in references.items():
        try:
            opened[key] = SharedBlob.open(reference)
        except (OSError, ValueError) as error:
            logger.info("shared memory of %r cannot be opened: %s", key, error)
            failed.append(key)
    return opened, failed
