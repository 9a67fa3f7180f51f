"""Columns of numbers are what typed arrays of a browser read."""

from __future__ import annotations

import struct

from shoal.diagnostics.columns import float32, float64, uint8, uint32


def test_numbers_are_little_endian() -> None:
    assert float64([1.5, -2.0]) == struct.pack("<2d", 1.5, -2.0)
    assert float32([1.5]) == struct.pack("<f", 1.5)
    assert uint32([1, 0xFFFFFFFF]) == struct.pack("<2I", 1, 0xFFFFFFFF)
    assert uint8([True, False]) == b"\x01\x00"


def test_a_column_of_nothing_is_empty() -> None:
    assert float64(()) == float32(()) == uint32(()) == uint8(()) == b""
