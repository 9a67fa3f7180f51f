"""Values that travel through the scheduler: plain data as msgpack, with futures in it by their key.

A value comes out as it went in, tuples and sets included. Anything else is refused, as the
scheduler keeps all of it: larger things belong on workers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from shoal._base.numbers import plain_scalar
from shoal.client.core.state import CANCELLED, LOST, Record
from shoal.client.futures.future import Future, make_future
from shoal.client.futures.outcome import error_of

if TYPE_CHECKING:
    from shoal.client.session.session import Session

__all__ = ["pack", "unpack"]

_FUTURE = 1
_TUPLE = 2
_SET = 3
_INT = 4  # too large for msgpack
_PAIRS = 5  # of a dict with keys that are not all text

_PLAIN = frozenset({type(None), bool, float, str, bytes})
_SMALL = range(-(2**63), 2**64)
_encode = msgspec.msgpack.Encoder().encode


def pack(value: Any, where: str) -> tuple[bytes, list[str]]:
    """Return a value as bytes, and the keys of the futures in it.

    Raises
    ------
    TypeError
        When there is something in it that cannot travel; `where` says to whom this happened.
    CancelledError
        When there is a future in it that was cancelled, or of which the data is lost.
    """
    if type(value) in _PLAIN:
        return _encode(value), []
    keys: list[str] = []
    return _encode(_wrap(value, keys, where)), keys


def _wrap(value: Any, keys: list[str], where: str) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    wrap = _WRAPPERS.get(kind)
    if wrap is None:
        wrap = next((w for base, w in _WRAPPERS.items() if isinstance(value, base)), None)
    if wrap is None and (scalar := plain_scalar(value)) is not value:
        return _wrap(scalar, keys, where)
    if wrap is None:
        name = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        raise TypeError(
            f"a {where} holds futures and plain data (None, bool, int, float, str, bytes, list, "
            f"tuple, set, dict), not {name}: put it on the workers with client.scatter(...) and "
            f"use the future instead"
        )
    return wrap(value, keys, where)


def _wrap_future(value: Future, keys: list[str], where: str) -> Any:
    record = value._record
    if record.status in (CANCELLED, LOST):
        error = error_of(value.client, record)
        assert error is not None
        raise error
    key = record.key
    keys.append(key)
    return msgspec.msgpack.Ext(_FUTURE, key.encode())


def _wrap_int(value: int, keys: list[str], where: str) -> Any:
    if value in _SMALL:
        return int(value)
    size = value.bit_length() // 8 + 1
    return msgspec.msgpack.Ext(_INT, value.to_bytes(size, "little", signed=True))


def _wrap_list(value: list[Any], keys: list[str], where: str) -> Any:
    return [_wrap(item, keys, where) for item in value]


def _wrap_tuple(value: tuple[Any, ...], keys: list[str], where: str) -> Any:
    return msgspec.msgpack.Ext(_TUPLE, _encode([_wrap(item, keys, where) for item in value]))


def _wrap_set(value: set[Any], keys: list[str], where: str) -> Any:
    return msgspec.msgpack.Ext(_SET, _encode([_wrap(item, keys, where) for item in value]))


def _wrap_dict(value: dict[Any, Any], keys: list[str], where: str) -> Any:
    if all(type(key) is str for key in value):
        return {key: _wrap(item, keys, where) for key, item in value.items()}
    pairs = [[_wrap(key, keys, where), _wrap(v, keys, where)] for key, v in value.items()]
    return msgspec.msgpack.Ext(_PAIRS, _encode(pairs))


# Subclasses come out as what they derive from, such as numpy's float64.
_WRAPPERS: dict[type, Callable[[Any, list[str], str], Any]] = {
    Future: _wrap_future,
    int: _wrap_int,
    list: _wrap_list,
    tuple: _wrap_tuple,
    set: _wrap_set,
    frozenset: _wrap_set,
    dict: _wrap_dict,
    float: lambda value, keys, where: float(value),
    str: lambda value, keys, where: str.__str__(value),
    bytes: lambda value, keys, where: bytes(value),
    bytearray: lambda value, keys, where: bytes(value),
    memoryview: lambda value, keys, where: bytes(value),
}


def unpack(packed: bytes, keys: list[str], session: Session) -> Any:
    """Return a value; futures in it are the session's."""
    if not keys:
        return _decode(packed)
    return msgspec.msgpack.decode(packed, ext_hook=_unwrapper(session))


def _unwrapper(session: Session | None) -> Callable[[int, memoryview], Any]:
    def unwrap(code: int, data: memoryview) -> Any:
        if code == _FUTURE and session is not None:
            return make_future(session, session.share(Record(str(data, "utf-8"))))
        if code == _INT:
            return int.from_bytes(data, "little", signed=True)
        inner = msgspec.msgpack.decode(data, ext_hook=unwrap)
        if code == _TUPLE:
            return tuple(inner)
        if code == _SET:
            return set(inner)
        return dict(inner)

    return unwrap


_decode = msgspec.msgpack.Decoder(ext_hook=_unwrapper(None)).decode
