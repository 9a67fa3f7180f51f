"""How much memory messages take that wait for a peer: an estimate, made while one is behind.

Buffers that others hold anyway, as arguments and functions of tasks, count for nothing: to keep
one once more costs a reference.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from shoal.wire import messages as m
from shoal.wire.blob import Blob, Buffer

__all__ = ["weight_of"]

_EACH = 100  # bytes of a message, and of an entry in one
_HELD = (m.Compute, m.ComputeMany, m.DefineFunctions, m.Graph, m.Scattered)


def weight_of(messages: Iterable[Any]) -> int:
    """Return about how many bytes these messages keep from being freed.

    Examples
    --------
    >>> weight_of([m.Published("topic", [Blob(bytes(1000))])])
    1300
    """
    return sum(map(_weight, messages))


def _weight(message: Any) -> int:
    if isinstance(message, _HELD):
        return _EACH * (1 + len(getattr(message, "keys", ())))
    if isinstance(message, msgspec.Struct):
        return _EACH + sum(_of(getattr(message, name)) for name in message.__struct_fields__)
    return _EACH + _of(message)


def _of(value: Any) -> int:
    kind = type(value)
    if kind is str or kind is bytes or kind is bytearray:
        return len(value)
    if kind is Blob:
        return _EACH + len(value.data) + sum(map(_of, value.buffers))
    if kind is Buffer:
        return memoryview(value.data).nbytes
    if kind is list or kind is tuple:
        return _EACH * len(value) + sum(map(_of, value))
    if kind is dict:
        return _EACH * len(value) + sum(map(_of, value)) + sum(map(_of, value.values()))
    return getattr(value, "nbytes", 0) if kind not in (int, float, bool) else 0
