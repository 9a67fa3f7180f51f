"""Keys of tasks: equal calls of pure functions share one.

A key is the function's name and 32 hexadecimal digits of a digest over function and arguments.
Simple arguments are taken as they are; everything else is left to `dask.tokenize`, which knows
arrays, data frames and many others, and costs a hundred times as much.
"""

from __future__ import annotations

import operator
import os
from hashlib import blake2b
from itertools import count
from typing import Any

from dask.tokenize import tokenize
from dask.utils import key_split

from shoal._base.keys import decode_key
from shoal._base.long_digest import long_digest
from shoal.wire.blob import Blob
from shoal.wire.placeholder import Dependency
from shoal.wire.plain_values import LONG, PLAIN, plain_arguments

__all__ = [
    "SCALARS",
    "CallDigest",
    "arguments_token",
    "blob_digest",
    "group_of_key",
    "unique",
]

SCALARS = PLAIN
"""Types of values that hold nothing else. Exact types: a subclass may mean anything."""

_DIGEST = 16  # bytes
_SHORT = 8  # bytes of a token that is part of the key as it is
_MASK = 2 ** (8 * _DIGEST) - 1
_SIMPLE_LIMIT = 100  # values in an argument; more are left to dask.tokenize

_prefix = os.urandom(8).hex()
_counter = count()


def unique() -> str:
    """Return 32 hexadecimal digits that nobody else has."""
    return f"{_prefix}{next(_counter):016x}"


def _new_prefix() -> None:
    # A forked child would count on from the same number.
    global _prefix
    _prefix = os.urandom(8).hex()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_prefix)


def blob_digest(blob: Blob) -> bytes:
    """Return 16 bytes that are equal for equal pickles."""
    hasher = blake2b(blob.data, digest_size=_DIGEST)
    for buffer in blob.buffers:
        hasher.update(_part(buffer.data))
    return hasher.digest()


def _part(data: Any) -> Any:
    return data if memoryview(data).nbytes <= LONG else long_digest(data)


class CallDigest:
    """Digests of calls of one function with the same keyword arguments."""

    __slots__ = ("_base", "_hasher", "_starts")

    def __init__(self, function_token: bytes, kwargs: dict[str, Any] | None = None) -> None:
        self._hasher = blake2b(function_token, digest_size=_DIGEST)
        if kwargs:
            items = tuple(sorted(kwargs.items(), key=_name))
            self._hasher.update(_token(items))
        own = self._hasher.hexdigest()
        self._base = int(own, 16)
        # By the length of a short token: the digits before its own, the first of them the length.
        self._starts = [f"{n}{own[: 2 * _DIGEST - 1 - 2 * n]}" for n in range(_SHORT + 1)]

    def of(self, token: bytes) -> str:
        """Return 32 hexadecimal digits for a call with these positional arguments."""
        n = len(token)
        if n <= _SHORT:
            # It is there as it is, and what is left of the digest tells functions apart.
            return self._starts[n] + token.hex()
        if n <= _DIGEST:
            # As numbers, short tokens differ from each other, and bases are random: the sum is as
            # good as a hash of both, at half the price.
            return f"{(self._base + int.from_bytes(token)) & _MASK:032x}"
        hasher = self._hasher.copy()
        hasher.update(token)
        return hasher.hexdigest()

    def keys_of(self, name: str, tokens: list[bytes]) -> list[str]:
        """Return ``f"{name}-{self.of(token)}"`` of each."""
        starts = [f"{name}-{start}" for start in self._starts]
        return [
            starts[len(token)] + token.hex() if len(token) <= _SHORT else f"{name}-{self.of(token)}"
            for token in tokens
        ]


def _name(item: tuple[str, Any]) -> str:
    return item[0]


def arguments_token(
    args: tuple[Any, ...], plain: tuple[Any, ...] = (), deps: tuple[str, ...] = ()
) -> bytes:
    """Return bytes that are equal for equal arguments.

    Parameters
    ----------
    args, plain : tuple
        The arguments with futures, and with placeholders for them.
    deps : tuple of str
        Keys of the futures.
    """
    if not deps:
        plain_token = plain_arguments(args)
        return _token(args) if plain_token is None else plain_token
    plain = _without_long(plain)
    if _simple(plain, _SIMPLE_LIMIT + len(deps)) > 0:
        # No text looks like a placeholder, as the repr of texts has quotes.
        return b"d" + repr((plain, deps)).encode()
    return _token(args)


class _Long:
    """Stands for long text or bytes; no other value looks like it, as it has no quotes."""

    __slots__ = ("_text",)

    def __init__(self, value: str | bytes) -> None:
        data = value if isinstance(value, bytes) else value.encode(errors="surrogatepass")
        self._text = f"<{type(value).__name__} {len(value)} {long_digest(data).hex()}>"

    def __repr__(self) -> str:
        return self._text

    def __dask_tokenize__(self) -> str:
        return self._text


def _without_long(value: Any) -> Any:
    """Return a value with digests of what is long: its repr would take seconds."""
    kind = type(value)
    if kind is str or kind is bytes:
        return value if len(value) <= LONG else _Long(value)
    if kind is tuple or kind is list:
        items = [_without_long(item) for item in value] if len(value) <= _SIMPLE_LIMIT else value
        return value if all(map(operator.is_, items, value)) else kind(items)
    return value


def _token(values: tuple[Any, ...]) -> bytes:
    values = _without_long(values)
    if _simple(values, _SIMPLE_LIMIT) > 0:
        # The repr of these types names type and value exactly.
        return b"r" + repr(values).encode()
    return b"t" + tokenize(*values).encode()


def _simple(value: Any, room: int) -> int:
    """Return how much of `room` is left after counting the values; 0: too many, or not simple."""
    kind = type(value)
    if kind in SCALARS or kind is Dependency or kind is _Long:
        return room - 1
    if kind is tuple or kind is list:
        for item in value:
            room = _simple(item, room)
            if room <= 0:
                return 0
        return room
    return 0


def group_of_key(key: str) -> str:
    """Return a wire key's group: ``("x-123", 0)`` is of ``x-123``, ``inc-1`` is of ``inc``."""
    if key.startswith("("):
        decoded = decode_key(key)
        if isinstance(decoded, tuple) and decoded and isinstance(decoded[0], str):
            return decoded[0]
    return str(key_split(key))
