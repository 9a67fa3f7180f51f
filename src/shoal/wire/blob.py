"""Opaque values on the wire: a pickle and its large buffers. Nothing is pickled or unpickled
here.
"""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["Blob", "Buffer", "BytesLike"]

BytesLike: TypeAlias = bytes | bytearray | memoryview


class Buffer:
    """One large buffer; it travels as a frame of its own and is never copied."""

    __slots__ = ("data",)

    def __init__(self, data: BytesLike) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Buffer) and bytes(self.data) == bytes(other.data)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Buffer of {memoryview(self.data).nbytes} bytes>"


class Blob:
    """A pickled value that only its final receiver opens.

    Parameters
    ----------
    data : bytes-like
        The pickle; empty when it was large, then it is the first of `buffers`.
    buffers : list of Buffer
        Large out-of-band buffers (pickle protocol 5), in order.
    """

    __slots__ = ("buffers", "data")

    def __init__(self, data: BytesLike, buffers: list[Buffer] | None = None) -> None:
        self.data = data
        self.buffers = [] if buffers is None else buffers

    def nbytes(self) -> int:
        """Return the size of the pickle and all buffers, in bytes."""
        return len(self.data) + sum(memoryview(b.data).nbytes for b in self.buffers)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Blob)
            and bytes(self.data) == bytes(other.data)
            and self.buffers == other.buffers
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Blob of {self.nbytes()} bytes>"
