"""Values to bytes and back: pickle protocol 5 with large buffers out of band, cloudpickle where
needed.

`pickle` is several times faster than cloudpickle, so it goes first. It fails on lambdas and local
functions, and it pickles what `__main__` defines by reference, which no other process can resolve:
both go to cloudpickle, which pickles by value.
"""

from __future__ import annotations

import copyreg
import functools
import io
import pickle
import types
from collections import ChainMap
from collections.abc import Callable
from typing import Any

import cloudpickle

from shoal.wire.blob import Blob, Buffer
from shoal.wire.stateless import is_importable

__all__ = [
    "SMALL",
    "dumps",
    "dumps_bytes",
    "loads",
    "loads_bytes",
    "reduce_code",
    "register_reducer",
    "whole",
]

# Buffers below this many bytes are cheaper to copy into the pickle than to send as frames of their
# own.
SMALL = 65_536

_PROTOCOL = 5

_LONG = frozenset({bytes, bytearray})
_SCALARS = frozenset({int, float, bool, type(None)})  # always in band, with any pickler

_reducers: dict[type, Any] = {}


_FILENAME = 10  # where the file's name stands among the arguments of `types.CodeType`


def reduce_code(code: types.CodeType) -> Any:
    """Reduce a code object as cloudpickle does, with the name of its file.

    cloudpickle 3.1.3 and later leaves the name out; tracebacks, warnings and profiles show it.
    """
    make, args, *rest = cloudpickle.Pickler.dispatch_table[types.CodeType](code)
    return make, (*args[:_FILENAME], code.co_filename, *args[_FILENAME + 1 :]), *rest


def _reduce_lru_cache(wrapper: Any) -> Any:
    """Pickle a function with a cache like the function: by value where its name is no use."""
    if is_importable(wrapper):
        return wrapper.__reduce__()
    return _make_lru_cache, (wrapper.__wrapped__, wrapper.cache_parameters())


def _make_lru_cache(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


class _CloudPickler(cloudpickle.Pickler):  # type: ignore[misc]
    dispatch_table: Any = ChainMap(
        _reducers,
        {types.CodeType: reduce_code, functools._lru_cache_wrapper: _reduce_lru_cache},
        cloudpickle.Pickler.dispatch_table,
    )


def register_reducer(cls: type, reduce: Callable[[Any], Any]) -> None:
    """Have objects of a class pickled by a function that works like ``__reduce__``.

    For pickles of shoal only; `copyreg` would change those of everybody in the process.
    """
    _reducers[cls] = reduce


def _pickle(obj: Any, buffer_callback: Any) -> bytes:
    if not _reducers:
        return pickle.dumps(obj, _PROTOCOL, buffer_callback=buffer_callback)
    file = io.BytesIO()
    pickler = pickle.Pickler(file, _PROTOCOL, buffer_callback=buffer_callback)
    table: Any = ChainMap(_reducers, copyreg.dispatch_table)
    pickler.dispatch_table = table
    pickler.dump(obj)
    return file.getvalue()


class _Whole:
    """Stands for one long `bytes` or `bytearray`: pickle would copy it into the pickle."""

    __slots__ = ("value",)

    def __init__(self, value: bytes | bytearray) -> None:
        self.value = value

    def __reduce__(self) -> Any:
        return type(self.value), (pickle.PickleBuffer(self.value),)


def whole(value: Any) -> Any:
    """Return what stands for long bytes inside of a value, to be pickled without a copy."""
    return _Whole(value) if type(value) in _LONG and len(value) >= SMALL else value


def dumps(obj: Any, *, small: int = SMALL) -> Blob:
    """Pickle a value; buffers of at least `small` bytes are referred to, not copied.

    Raises
    ------
    TypeError
        When the value cannot be pickled; the message says what kept it from being pickled.
    """
    if type(obj) in _SCALARS:
        return Blob(pickle.dumps(obj, _PROTOCOL), [])
    buffers: list[Buffer] = []

    def take(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:  # not contiguous
            return True
        if raw.nbytes < small:
            return True
        buffers.append(Buffer(raw))
        return False

    if type(obj) in _LONG and len(obj) >= small:
        obj = _Whole(obj)
    try:
        data = _pickle(obj, take)
        by_value = b"__main__" in data
    except Exception:  # a user's __reduce__ may raise anything
        by_value = True
    if by_value:
        buffers.clear()
        data = _by_value(obj, take)
    if len(data) >= small:
        return Blob(b"", [Buffer(data), *buffers])
    return Blob(data, buffers)


def loads(blob: Blob) -> Any:
    """Unpickle a value; arrays in it refer to the buffers of the blob."""
    data, buffers = blob.data, blob.buffers
    if not len(data):
        if not buffers:
            raise ValueError("an empty blob has no value")
        return pickle.loads(buffers[0].data, buffers=[b.data for b in buffers[1:]])
    if buffers:
        return pickle.loads(data, buffers=[b.data for b in buffers])
    return pickle.loads(data)


def dumps_bytes(obj: Any) -> bytes:
    """Pickle a value into one `bytes`, all buffers in band."""
    try:
        data = _pickle(obj, None)
        if b"__main__" not in data:
            return data
    except Exception:  # a user's __reduce__ may raise anything
        pass
    return _by_value(obj, None)


def loads_bytes(data: Any) -> Any:
    """Unpickle what `dumps_bytes` made."""
    return pickle.loads(data)


def _by_value(obj: Any, take: Any) -> bytes:
    file = io.BytesIO()
    try:
        _CloudPickler(file, _PROTOCOL, buffer_callback=take).dump(obj)
    except Exception as error:
        raise TypeError(
            f"cannot pickle {type(obj).__module__}.{type(obj).__qualname__} object: {error}"
        ) from error
    return file.getvalue()
