"""One output of a join: both sides at once, or, where one is too long for memory, slice by slice.

A side is too long where a key has most of the rows. It is then read and joined in slices; their
results go to a file, and are one frame in the end that lies in a file (`large`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from shoal.shuffle.frames import join_frames, split_frame
from shoal.shuffle.large import Scratch, is_large
from shoal.shuffle.reading import Piece

if TYPE_CHECKING:
    from shoal.shuffle.partitioned import Chunk

__all__ = ["join_sides"]

_SLICE = 4  # slices of which one side at once would be large
_MAX_SLICES = 256
_NUMBER = "__output"
# Joins of which each row belongs to one row of that side.
_BY_LEFT = ("inner", "left", "leftsemi")
_BY_RIGHT = ("inner", "right")


def join_sides(
    merge: Callable[[Any, Any], Any],
    how: str,
    left: Sequence[Piece],
    right: Sequence[Piece],
    metas: tuple[Any, Any],
    by_index: bool,
) -> Any:
    """Return the join of two sides.

    Parameters
    ----------
    merge : callable
        Joins two frames.
    how : str
        Which join it is.
    left, right : sequence of Piece
        The parts of both sides.
    metas : tuple of DataFrame
        Sides without rows.
    by_index : bool
        Whether the result's index has a meaning.
    """
    sizes = [sum(piece.chunk[0] for piece in side) for side in (left, right)]
    if is_large(sizes[0]) and sizes[0] >= sizes[1] and how in _BY_LEFT:
        rest = join_frames(right, metas[1])
        some = (merge(one, rest) for one in _slices(left, metas[0]))
    elif is_large(sizes[1]) and how in _BY_RIGHT:
        rest = join_frames(left, metas[0])
        some = (merge(rest, one) for one in _slices(right, metas[1]))
    else:
        return merge(join_frames(left, metas[0]), join_frames(right, metas[1]))
    found = _together(some)
    if not by_index:
        found.index = pd.RangeIndex(len(found))
    return found


def _slices(pieces: Sequence[Piece], meta: Any) -> Iterator[Any]:
    """Return a side in slices, each of which is far from large."""
    taken: list[Piece] = []
    nbytes = 0
    for piece in pieces:
        taken.append(piece)
        nbytes += piece.chunk[0]
        if is_large(nbytes * _SLICE):
            yield from _halves(join_frames(taken, meta))
            taken, nbytes = [], 0
    if taken:
        yield join_frames(taken, meta)


def _halves(frame: Any) -> Iterator[Any]:
    """Cut a frame that is one input's, and too large itself."""
    nbytes = int(frame.memory_usage(index=True).sum())
    count = 1
    while is_large(nbytes * _SLICE // (2 * count)) and count < _MAX_SLICES:
        count *= 2
    step = -(-len(frame) // count)
    for start in range(0, len(frame), max(1, step)):
        yield frame.iloc[start : start + step]


def _together(frames: Iterator[Any]) -> Any:
    """Return frames as one, of which no more than one is in memory at a time."""
    scratch = Scratch()
    pieces: list[Piece] = []
    meta: Any = None
    for frame in frames:
        if meta is None:
            meta = frame.iloc[:0].copy()
        if not len(frame):
            continue
        number = np.zeros(len(frame), "u1")
        value = split_frame(frame.assign(**{_NUMBER: number}), _NUMBER, 1)
        chunks: Sequence[Chunk] = value.parts[0]
        heads_start, lengths = value.heads_place()
        head = bytes(value.read(heads_start, heads_start + lengths[0]))
        at = scratch.nbytes
        scratch.write(value.read(0, heads_start))
        for chunk in chunks:
            pieces.append(Piece(scratch, at, chunk, head, 0))
            at += chunk[0]
    return join_frames(pieces, meta)
