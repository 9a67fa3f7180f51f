"""How large a value is, about, and what its type is called."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import Any

from dask.sizeof import sizeof
from dask.utils import typename

__all__ = ["PLAIN", "Usual", "describe"]

PLAIN: dict[type, str] = {kind: kind.__name__ for kind in (int, float, str, bool, complex)}
PLAIN[type(None)] = "NoneType"
"""Types whose own size is all of them, with their names."""

_UNKNOWN = 1_000_000  # of what does not say its size

_SLOW = 100e-6  # seconds
_SMALL = 1_000_000  # bytes
_MOST = 2**50  # bytes that anything is said to have
_TOLERANCE = 0.1
_ALIKE = 5
_EVERY = 10


def describe(value: Any) -> tuple[int, str]:
    """Return the size of a value in bytes, an estimate, and the name of its type.

    Examples
    --------
    >>> describe(b"12345")
    (5, 'bytes')
    """
    kind = type(value)
    name = PLAIN.get(kind)
    if name is not None:
        return sys.getsizeof(value), name
    if kind is bytes:
        return len(value), "bytes"
    try:
        nbytes = int(sizeof(value))
    except Exception:  # a user's __sizeof__
        nbytes = _UNKNOWN
    return min(max(nbytes, 0), _MOST), str(typename(kind))


class Usual:
    """The usual size of the results of one function.

    To ask a data frame for its size takes as long as many a task. So where the answer is slow
    (over 0.1 ms), below 1 MB, and was the same within a tenth five times in a row, only every
    tenth result is asked, as long as type and length stay the same. Another answer ends that.
    """

    __slots__ = ("_alike", "_answer", "_kind", "_left", "_length")

    def __init__(self) -> None:
        self._kind: type | None = None
        self._length = 0
        self._answer = (0, "")
        self._alike = 0
        self._left = 0  # results that are not asked

    def describe(self, value: Any) -> tuple[int, str]:
        """`describe`, of a result of this function."""
        kind = type(value)
        name = PLAIN.get(kind)
        if name is not None:
            return sys.getsizeof(value), name
        same = kind is self._kind and (not self._alike or _length(value) == self._length)
        if same and self._left > 0:
            self._left -= 1
            return self._answer
        began = perf_counter()
        answer = describe(value)
        slow = perf_counter() - began > _SLOW
        close = abs(answer[0] - self._answer[0]) <= _TOLERANCE * answer[0]
        if slow and same and close and answer[0] < _SMALL:
            self._alike += 1
            self._left = _EVERY - 1 if self._alike >= _ALIKE else 0
        else:
            self._alike = 1 if slow else 0
            self._left = 0
        self._kind, self._answer = kind, answer
        self._length = _length(value) if slow else 0
        return answer


def _length(value: Any) -> int:
    try:
        return len(value)
    except Exception:  # it has none
        return 0
