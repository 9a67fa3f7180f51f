"""Memory of arrays of numpy: its bytes, and one piece of it for several arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shoal.shuffle.large import room

__all__ = ["bytes_of", "empty_together"]

_ALIGN = 64


def bytes_of(array: Any) -> memoryview:
    """Return the memory of a contiguous array, whatever its type is."""
    return memoryview(array.reshape(-1).view("u1"))


def empty_together(length: int, dtypes: Sequence[np.dtype[Any]]) -> list[np.ndarray[Any, Any]]:
    """Return arrays of one length, not filled, in one piece of memory.

    The system gives a large piece in large pages, where many small pieces cost as much time as it
    takes to fill them. A part large beside the worker's limit lies in a file (`large`).
    """
    starts = []
    end = 0
    for dtype in dtypes:
        starts.append(end)
        end += -(-length * dtype.itemsize // _ALIGN) * _ALIGN
    whole = room(end)
    return [
        whole[start : start + length * dtype.itemsize].view(dtype)
        for start, dtype in zip(starts, dtypes, strict=True)
    ]
