"""Columns of words in one piece, that lies in a file: Arrow itself joins chunks in memory only."""

from __future__ import annotations

import copyreg
from typing import Any

import numpy as np
import pandas as pd

from shoal.shuffle.large import room
from shoal.shuffle.memory import bytes_of
from shoal.wire.pickling import register_reducer

__all__ = ["join_in_file"]

_SLACK = 4096  # bytes of buffers that hold nothing
_MOST = {4: 2**31 - 1, 8: 2**63 - 1}  # bytes of a column, by the width of its offsets


def join_in_file(column: Any) -> Any:
    """Return a column of Arrow's in one chunk; one of another type than words or bytes as it is.

    pandas copies such a column whenever it is pickled, so also when it is spilled; in a process
    that had one that is large, no longer.
    """
    import pyarrow as pa

    for kind in (pd.arrays.ArrowStringArray, pd.arrays.ArrowExtensionArray):
        register_reducer(kind, _reduce)
    kind = column.type
    wide = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
    if not (wide or pa.types.is_string(kind) or pa.types.is_binary(kind)):
        return column
    width = 8 if wide else 4
    chunks = [_Words(chunk, width) for chunk in column.chunks]
    total = sum(words.stop - words.start for words in chunks)
    if total > _MOST[width]:
        return column
    rows = len(column)
    ends = room((rows + 1) * width, in_file=True).view(f"i{width}")
    data = room(max(1, total), in_file=True)
    ends[0] = at = row = 0
    for words in chunks:
        nbytes, count = words.stop - words.start, len(words.ends) - 1
        if nbytes:
            data[at : at + nbytes] = words.data[words.start : words.stop]
        np.add(words.ends[1:], at - words.start, out=ends[row + 1 : row + count + 1])
        at += nbytes
        row += count
    buffers = [_validity(column), pa.py_buffer(bytes_of(ends)), pa.py_buffer(data)]
    return pa.chunked_array([pa.Array.from_buffers(kind, rows, buffers)])


class _Words:
    """The buffers of one chunk."""

    __slots__ = ("data", "ends", "start", "stop")

    def __init__(self, chunk: Any, width: int) -> None:
        _, ends, data = chunk.buffers()
        first, rows = chunk.offset, len(chunk)
        self.ends = np.zeros(1, f"i{width}")
        if rows:
            self.ends = np.frombuffer(ends, f"i{width}")[first : first + rows + 1]
        self.data = np.frombuffer(data, "u1") if data is not None else np.empty(0, "u1")
        self.start, self.stop = int(self.ends[0]), int(self.ends[-1])


def _validity(column: Any) -> Any:
    """Return which rows have a value, as bits; None where all have."""
    import pyarrow as pa

    if not column.null_count:
        return None
    valid = np.empty(len(column), "?")
    row = 0
    for chunk in column.chunks:
        valid[row : row + len(chunk)] = chunk.is_valid().to_numpy(zero_copy_only=False)
        row += len(chunk)
    return pa.py_buffer(np.packbits(valid, bitorder="little"))


def _reduce(array: Any) -> Any:
    """Pickle a column as pandas does, without a copy where it is one whole chunk."""
    state = array.__dict__
    chunks = state["_pa_array"].chunks
    used = sum(chunk.nbytes for chunk in chunks)
    if len(chunks) != 1 or chunks[0].get_total_buffer_size() > used + _SLACK:  # or it is a slice
        state = array.__getstate__()
    return copyreg.__newobj__, (type(array),), {**state, "_cache": {}}  # type: ignore[attr-defined]
