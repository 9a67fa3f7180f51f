"""Arguments and results of plain types, told as msgpack: a fifth of what a pickle of them costs.

Plain is what msgpack gives back exactly: numbers of at most 64 bits, texts, bytes, booleans, None.
Exact types only: a subclass may mean anything. Everything else is pickled, elsewhere.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import msgspec

__all__ = [
    "LEAST",
    "LONG",
    "MOST",
    "PICKLE",
    "PLAIN",
    "PLAIN_RESULTS",
    "is_plain_result",
    "load_arguments",
    "load_plain",
    "plain_arguments",
    "plain_rows",
]

PLAIN = frozenset((int, float, bool, type(None), str, bytes))
"""Types of arguments that may be plain."""

PLAIN_RESULTS = frozenset((int, float, bool))
"""Types of results that travel as they are; ``None`` in a message is no result, bytes a pickle."""

LEAST, MOST = -(2**63), 2**64 - 1
"""Between these, both included, are the whole numbers that are plain."""

PICKLE = 0x80
"""The first byte of every pickle, and of no array in msgpack."""

LONG = 2**20
"""Texts and bytes that are longer travel as buffers of their own, without copies."""

_SIZED = frozenset((str, bytes))

_encode = msgspec.msgpack.Encoder().encode
load_plain = msgspec.msgpack.Decoder(tuple).decode
"""Returns the positional arguments that `plain_arguments` was given."""


def plain_arguments(args: tuple[Any, ...]) -> bytes | None:
    """Return positional arguments as bytes if all are plain and none is long, else `None`.

    Equal arguments of the same types have equal bytes, and others have others.

    Examples
    --------
    >>> load_arguments(plain_arguments((1, 2.0, "three")))
    ((1, 2.0, 'three'), None)
    """
    for arg in args:
        kind = type(arg)
        if kind not in PLAIN or (kind in _SIZED and len(arg) > LONG):
            return None
    try:
        return _encode(args)
    except (OverflowError, UnicodeEncodeError):  # more than 64 bits; half a surrogate pair
        return None


def plain_rows(rows: Sequence[tuple[Any, ...]]) -> list[bytes] | None:
    """Return `plain_arguments` of each of many calls if all arguments of all are plain."""
    for column in zip(*rows, strict=True):
        kinds = set(map(type, column))
        if not kinds <= PLAIN:
            return None
        if not kinds.isdisjoint(_SIZED) and any(
            type(arg) in _SIZED and len(arg) > LONG for arg in column
        ):
            return None
    try:
        return list(map(_encode, rows))
    except (OverflowError, UnicodeEncodeError):
        return None


def load_arguments(data: bytes) -> Any:
    """Return ``(args, kwargs or None)`` of what `plain_arguments` returned, or of a pickle."""
    if data[0] == PICKLE:
        return pickle.loads(data)
    return load_plain(data), None


def is_plain_result(value: Any) -> bool:
    """Whether a value of one of `PLAIN_RESULTS` can be told as it is."""
    return type(value) is not int or LEAST <= value <= MOST
