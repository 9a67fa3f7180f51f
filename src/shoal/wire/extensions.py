"""Extension types for msgpack: buffers as frames of their own, blobs, tuples, opaque objects.

Both codecs use these extension codes. A buffer's extension holds the index of its frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from shoal.errors import ProtocolError
from shoal.wire.blob import Blob, Buffer, BytesLike

__all__ = [
    "BLOB",
    "BUFFER",
    "OBJECT",
    "SET",
    "TUPLE",
    "pack_blob",
    "pack_buffer",
    "unpack_blob",
    "unpack_buffer",
]

BUFFER = 1
BLOB = 2
TUPLE = 3
SET = 4
OBJECT = 5


_encode = msgspec.msgpack.Encoder().encode
_decode_blob = msgspec.msgpack.Decoder(tuple[bytes, list[int]]).decode


def pack_buffer(buffer: Buffer, frames: list[BytesLike]) -> msgspec.msgpack.Ext:
    """Append the buffer to the frames and return what stands for it."""
    frames.append(buffer.data)
    return msgspec.msgpack.Ext(BUFFER, _encode(len(frames) - 1))


def unpack_buffer(data: memoryview, frames: Sequence[BytesLike]) -> Buffer:
    """Return the buffer that an extension stands for."""
    return Buffer(_frame(msgspec.msgpack.decode(data, type=int), frames))


def pack_blob(blob: Blob, frames: list[BytesLike], code: int = BLOB) -> msgspec.msgpack.Ext:
    """Append the blob's buffers to the frames and return what stands for it."""
    indices = []
    for buffer in blob.buffers:
        frames.append(buffer.data)
        indices.append(len(frames) - 1)
    return msgspec.msgpack.Ext(code, _encode((blob.data, indices)))


def unpack_blob(data: memoryview, frames: Sequence[BytesLike]) -> Blob:
    """Return the blob that an extension stands for."""
    pickled, indices = _decode_blob(data)
    return Blob(pickled, [Buffer(_frame(i, frames)) for i in indices])


def _frame(index: int, frames: Sequence[BytesLike]) -> BytesLike:
    if not 0 < index < len(frames):
        raise ProtocolError(f"a message refers to frame {index} of {len(frames)}")
    return frames[index]
