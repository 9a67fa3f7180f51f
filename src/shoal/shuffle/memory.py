"""The bytes of an array of numpy."""

from __future__ import annotations

from typing import Any

__all__ = ["bytes_of"]


def bytes_of(array: Any) -> memoryview:
    """Return the memory of a contiguous array, whatever its type is."""
    return memoryview(array.reshape(-1).view("u1"))
