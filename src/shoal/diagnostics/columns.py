"""Numbers as columns of bytes, little endian, as typed arrays in a browser read them."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable

__all__ = ["float32", "float64", "uint8", "uint32"]

_SWAP = sys.byteorder == "big"


def _pack(kind: str, values: Iterable[float]) -> bytes:
    column = array(kind, values)
    if _SWAP:
        column.byteswap()
    return column.tobytes()


def float64(values: Iterable[float]) -> bytes:
    """Return a column of a ``Float64Array``."""
    return _pack("d", values)


def float32(values: Iterable[float]) -> bytes:
    """Return a column of a ``Float32Array``."""
    return _pack("f", values)


def uint32(values: Iterable[int]) -> bytes:
    """Return a column of a ``Uint32Array``."""
    return _pack("I", values)


def uint8(values: Iterable[int]) -> bytes:
    """Return a column of a ``Uint8Array``."""
    return bytes(values)
