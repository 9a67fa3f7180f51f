"""Typed batches: lists of messages of one edge to frames and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec

from shoal.errors import ProtocolError
from shoal.wire.blob import Blob, Buffer, BytesLike
from shoal.wire.checks import check_batch
from shoal.wire.encodable import encodable
from shoal.wire.extensions import (
    BLOB,
    BUFFER,
    pack_blob,
    pack_buffer,
    unpack_blob,
    unpack_buffer,
)

__all__ = ["BatchCodec"]

M = TypeVar("M")


class BatchCodec(Generic[M]):
    """Encodes and decodes batches of one edge's messages. Use an instance on one thread only.

    Parameters
    ----------
    message_type : type
        The union of the message types, `shoal.wire.messages.ClientToScheduler` for example.

    Examples
    --------
    >>> from shoal.wire.messages import ClientToScheduler, Release
    >>> codec = BatchCodec(ClientToScheduler)
    >>> codec.decode(codec.encode([Release(["x"])]))
    [Release(keys=['x'])]
    """

    def __init__(self, message_type: Any) -> None:
        self._frames: list[BytesLike] = []
        self._received: Sequence[BytesLike] = ()
        self._encoder = msgspec.msgpack.Encoder(enc_hook=self._pack)
        self._decoder: msgspec.msgpack.Decoder[list[M]] = msgspec.msgpack.Decoder(
            list[message_type], ext_hook=self._unpack, dec_hook=_reject
        )

    def encode(self, messages: Sequence[M]) -> list[BytesLike]:
        """Return the frames of a batch: the msgpack, then the large buffers.

        Raises
        ------
        TypeError
            When there is something in a message that has no place there.
        """
        frames: list[BytesLike] = [b""]
        self._frames = frames
        try:
            frames[0] = self._encoder.encode(messages)
        except (UnicodeEncodeError, OverflowError):
            del frames[1:]
            frames[0] = self._encoder.encode(encodable(list(messages)))
        finally:
            self._frames = []
        return frames

    def decode(self, frames: Sequence[BytesLike]) -> list[M]:
        """Return the messages of a batch.

        Raises
        ------
        ProtocolError
            When the frames are not a batch of this edge, or a message contradicts itself; it
            names the offending field. Nothing of the batch is to be taken into account then.
        """
        if not frames:
            raise ProtocolError("a batch without frames")
        self._received = frames
        try:
            messages = self._decoder.decode(frames[0])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise ProtocolError(f"not a message of this connection: {error}") from error
        finally:
            self._received = ()
        if not messages:
            raise ProtocolError("a batch without messages")
        check_batch(messages)
        return messages

    def _pack(self, obj: Any) -> Any:
        if type(obj) is Buffer:
            return pack_buffer(obj, self._frames)
        if type(obj) is Blob:
            return pack_blob(obj, self._frames)
        raise TypeError(f"a {type(obj).__name__} cannot be part of a typed message")

    def _unpack(self, code: int, data: memoryview) -> Any:
        if code == BUFFER:
            return unpack_buffer(data, self._received)
        if code == BLOB:
            return unpack_blob(data, self._received)
        raise ProtocolError(f"unknown extension {code} in a message")


def _reject(expected: type, obj: Any) -> Any:
    if isinstance(obj, expected):
        return obj
    raise msgspec.ValidationError(f"Expected `{expected.__name__}`, got `{type(obj).__name__}`")
