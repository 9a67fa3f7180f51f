"""The open protocol: arbitrary Python objects, mostly small dicts with an `op`.

None, bool, int, float, str, bytes, list, tuple, set and dict travel as msgpack; `Blob`,
`Serialized` and `Buffer` stay what they are; any other object is pickled. A receiver that must not
unpickle (`deserialize=False`: the scheduler) gets those as `Serialized`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from shoal.errors import ProtocolError
from shoal.wire.blob import Blob, Buffer, BytesLike
from shoal.wire.extensions import (
    BLOB,
    BUFFER,
    OBJECT,
    SET,
    TUPLE,
    pack_blob,
    pack_buffer,
    unpack_blob,
    unpack_buffer,
)
from shoal.wire.pickling import dumps, loads
from shoal.wire.serialize.wrappers import Serialize, Serialized

__all__ = ["decode", "encode"]

_PLAIN = frozenset({type(None), bool, float, str, bytes})
_encode = msgspec.msgpack.Encoder().encode
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1


def encode(message: Any) -> list[BytesLike]:
    """Return the frames of any Python object: msgpack first, then large buffers."""
    frames: list[BytesLike] = [b""]
    frames[0] = _encode(_wrap(message, frames))
    return frames


def _wrap(obj: Any, frames: list[BytesLike]) -> Any:
    kind = type(obj)
    if kind in _PLAIN:
        return obj
    wrap = _WRAPPERS.get(kind)
    if wrap is not None:
        return wrap(obj, frames)
    return pack_blob(dumps(obj), frames, OBJECT)


def _wrap_int(obj: int, frames: list[BytesLike]) -> Any:
    return obj if _INT_MIN <= obj <= _INT_MAX else pack_blob(dumps(obj), frames, OBJECT)


def _wrap_list(obj: list[Any], frames: list[BytesLike]) -> Any:
    return [_wrap(item, frames) for item in obj]


def _wrap_dict(obj: dict[Any, Any], frames: list[BytesLike]) -> Any:
    if any(type(key) is not str for key in obj):
        return pack_blob(dumps(obj), frames, OBJECT)
    return {key: _wrap(value, frames) for key, value in obj.items()}


def _wrap_tuple(obj: tuple[Any, ...], frames: list[BytesLike]) -> Any:
    return msgspec.msgpack.Ext(TUPLE, _encode([_wrap(item, frames) for item in obj]))


def _wrap_set(obj: set[Any], frames: list[BytesLike]) -> Any:
    return msgspec.msgpack.Ext(SET, _encode([_wrap(item, frames) for item in obj]))


_WRAPPERS: dict[type, Callable[[Any, list[BytesLike]], Any]] = {
    int: _wrap_int,
    list: _wrap_list,
    dict: _wrap_dict,
    tuple: _wrap_tuple,
    set: _wrap_set,
    Buffer: pack_buffer,
    Blob: pack_blob,
    Serialized: lambda obj, frames: pack_blob(obj.blob, frames, OBJECT),
    Serialize: lambda obj, frames: pack_blob(dumps(obj.data), frames, OBJECT),
}


def decode(
    frames: Sequence[BytesLike],
    *,
    deserialize: bool = True,
    opener: Callable[[Blob], Any] = loads,
) -> Any:
    """Return the object of some frames.

    Parameters
    ----------
    frames : sequence of bytes-like
        As `encode` made them.
    deserialize : bool
        False: nothing is unpickled, pickled parts are returned as `Serialized`.
    opener : callable
        The function that unpickles.

    Raises
    ------
    ProtocolError
        When the frames are not an encoded object.
    """
    if not frames:
        raise ProtocolError("a message without frames")

    # Not a closure: one that calls itself keeps the frames until the collector comes.
    hook = partial(_unpack, frames, opener if deserialize else Serialized)
    try:
        return msgspec.msgpack.decode(frames[0], ext_hook=hook)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError) as error:
        raise ProtocolError(f"not a message: {error}") from error


def _unpack(
    frames: Sequence[BytesLike], opener: Callable[[Blob], Any], code: int, data: memoryview
) -> Any:
    if code == OBJECT:
        return opener(unpack_blob(data, frames))
    if code == BLOB:
        return unpack_blob(data, frames)
    if code == BUFFER:
        return unpack_buffer(data, frames)
    if code in (TUPLE, SET):
        items = msgspec.msgpack.decode(data, ext_hook=partial(_unpack, frames, opener))
        return tuple(items) if code == TUPLE else set(items)
    raise ProtocolError(f"unknown extension {code} in a message")
