"""How a batch lies on the wire: its lengths, their marks, and what is written at once.

Bytes and numbers only; the connection that carries them is in `frames`.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Sequence
from typing import Any

from shoal.comm.mapping import BYTES_FROM, can_receive_bytes
from shoal.wire.blob import BytesLike

__all__ = ["IS_BYTES", "JOIN_BELOW", "gather", "read_lengths", "with_marks", "without_marks"]

# Batches up to this size are copied together and written at once, and parsed out of one buffer.
JOIN_BELOW = 64 * 1024
# In the length of a frame: it is one large `bytes`, and may be received as one.
IS_BYTES = 1 << 63


def with_marks(frames: Sequence[BytesLike], sizes: Sequence[int]) -> list[int]:
    """Return the lengths as they are sent, for a batch that may have large `bytes`."""
    return [
        size | IS_BYTES if size >= BYTES_FROM and _is_bytes(frame) else size
        for frame, size in zip(frames, sizes, strict=True)
    ]


def without_marks(lengths: Sequence[int]) -> tuple[list[int], dict[int, bytes | None]]:
    """Return the lengths alone, and which frames to receive as `bytes`, as keys."""
    sizes = [length & ~IS_BYTES for length in lengths]
    if not can_receive_bytes:
        return sizes, {}
    pairs = enumerate(zip(lengths, sizes, strict=True))
    return sizes, {i: None for i, (length, n) in pairs if length > n >= BYTES_FROM}


def _is_bytes(frame: BytesLike) -> bool:
    """Whether a frame is the buffer of a `bytes`, which is what it should be at the other end."""
    if type(frame) is not memoryview or type(frame.obj) is not bytes:
        return False
    return frame.nbytes == len(frame.obj)


def read_lengths(buffer: bytearray, start: int, count: int) -> Sequence[int]:
    """Return the lengths of the frames of a batch, which begin at `start`."""
    if count < JOIN_BELOW or sys.byteorder != "little":
        return struct.unpack_from(f"<{count}Q", buffer, start)
    found = array("Q")  # a tuple of numbers takes five times as much
    found.frombytes(memoryview(buffer)[start : start + 8 * count])
    return found


def gather(header: bytes, frames: Sequence[BytesLike], sizes: Sequence[int]) -> list[Any]:
    """Join runs of small frames, so that each write is worth its system call."""
    parts: list[Any] = []
    run: list[Any] = [header]
    for frame, size in zip(frames, sizes, strict=True):
        if size >= JOIN_BELOW:
            if run:
                parts.append(b"".join(run))
                run = []
            parts.append(memoryview(frame).cast("B") if isinstance(frame, memoryview) else frame)
        elif size:
            run.append(frame)
    if run:
        parts.append(b"".join(run))
    return parts
