"""Families of serialization: named ways to make frames of an object, tried in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from shoal.wire.blob import Blob, Buffer, BytesLike
from shoal.wire.pickling import dumps, loads
from shoal.wire.serialize.dispatch import dask_dumps, dask_loads

__all__ = ["Header", "families", "get_family", "register_serialization_family"]

Header: TypeAlias = dict[str, Any]
Dumps: TypeAlias = Callable[[Any], tuple[Header, list[Any]]]
Loads: TypeAlias = Callable[[Header, list[Any]], Any]

families: dict[str, tuple[Dumps, Loads]] = {}


def register_serialization_family(name: str, dumps: Dumps, loads: Loads) -> None:
    """Add a family.

    Parameters
    ----------
    name : str
        To be named in `serializers` and `deserializers`.
    dumps : callable
        Takes an object; returns a header (a dict of plain values) and frames (a list of
        bytes-likes). It raises `NotImplementedError` or `TypeError` for what it does not know.
    loads : callable
        Takes the two and returns the object.
    """
    families[name] = (dumps, loads)


def get_family(name: str) -> tuple[Dumps, Loads]:
    """Return a family's two functions.

    Raises
    ------
    TypeError
        When there is none of that name; the message lists those there are.
    """
    found = families.get(name)
    if found is None:
        raise TypeError(f"unknown serializer {name!r}; known are {', '.join(sorted(families))}")
    return found


def _pickle_dumps(obj: Any) -> tuple[Header, list[Any]]:
    blob = dumps(obj)
    return {"serializer": "pickle"}, [blob.data, *(buffer.data for buffer in blob.buffers)]


def _pickle_loads(header: Header, frames: Sequence[BytesLike]) -> Any:
    return loads(Blob(frames[0], [Buffer(frame) for frame in frames[1:]]))


def _msgpack_dumps(obj: Any) -> tuple[Header, list[Any]]:
    # A tuple would come back as a list, a subclass as its base: that is for others.
    if not _plain(obj):
        raise NotImplementedError(f"msgpack does not know {type(obj).__name__}")
    return {"serializer": "msgpack"}, [msgspec.msgpack.encode(obj)]


def _plain(obj: Any) -> bool:
    kind = type(obj)
    if kind is list:
        return all(map(_plain, obj))
    if kind is dict:
        return all(type(key) is str and _plain(value) for key, value in obj.items())
    if kind is int:
        return bool(-(2**63) <= obj < 2**64)
    return kind in (str, bytes, float, bool, type(None))


def _msgpack_loads(header: Header, frames: Sequence[BytesLike]) -> Any:
    return msgspec.msgpack.decode(frames[0])


def _error_dumps(obj: Any) -> tuple[Header, list[Any]]:
    text = str(obj) if isinstance(obj, BaseException) else f"Could not serialize {_short(obj)}"
    return {"serializer": "error"}, [text.encode()]


def _short(obj: Any) -> str:
    try:
        text = repr(obj)
    except Exception:
        text = f"a {type(obj).__name__} whose repr raises"
    return text if len(text) <= 200 else text[:196] + " ..."


def _error_loads(header: Header, frames: Sequence[BytesLike]) -> Any:
    raise TypeError(bytes(frames[0]).decode())


register_serialization_family("dask", dask_dumps, dask_loads)
register_serialization_family("pickle", _pickle_dumps, _pickle_loads)
register_serialization_family("msgpack", _msgpack_dumps, _msgpack_loads)
register_serialization_family("error", _error_dumps, _error_loads)
