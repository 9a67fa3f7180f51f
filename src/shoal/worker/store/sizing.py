"""How large a value is, about, and what its type is called."""

from __future__ import annotations

import sys
from typing import Any

from dask.sizeof import sizeof
from dask.utils import typename

__all__ = ["PLAIN", "describe"]

PLAIN: dict[type, str] = {kind: kind.__name__ for kind in (int, float, str, bool, complex)}
PLAIN[type(None)] = "NoneType"
"""Types whose own size is all of them, with their names."""

_UNKNOWN = 1_000_000  # of what does not say its size


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
    return max(nbytes, 0), str(typename(kind))
