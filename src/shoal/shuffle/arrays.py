"""Blocks of arrays in parts, and blocks of other chunks put together of them.

A part of a block is a box of it, its values in the order of the box. Blocks that are no plain
arrays of numpy, or of objects, are cut into pickles.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.array.core import concatenate3

from shoal.shuffle.counters import COUNTERS
from shoal.shuffle.memory import bytes_of
from shoal.shuffle.partitioned import Chunk, Partitioned
from shoal.shuffle.reading import Piece, own_pool, read_parts
from shoal.wire.stateless import register_parts

if TYPE_CHECKING:
    from shoal.worker.sources import Source

__all__ = ["Assembling", "split_block"]

_concatenate3: Any = concatenate3  # dask is not annotated

_OTHER = b"pickled"  # the head of parts that are pickles


def split_block(block: Any, cuts: Sequence[Sequence[int | None]]) -> Partitioned:
    """Return a block in boxes.

    Parameters
    ----------
    block : array
        The block.
    cuts : sequence of sequence of int
        Where along each axis a box ends; None: at the end of the block. The boxes are the parts,
        the last axis first.
    """
    began = time.perf_counter()
    axes = []
    for ends in cuts:
        starts = [0, *ends[:-1]]
        axes.append([slice(a, b) for a, b in zip(starts, ends, strict=True)])
    plain = type(block) is np.ndarray and not block.dtype.hasobject
    head = pickle.dumps(block.dtype, 5) if plain else _OTHER
    pieces: list[Any] = []
    parts: list[list[Chunk]] = []
    for box in product(*axes):
        piece = block[box]
        if plain:
            data: Any = bytes_of(np.ascontiguousarray(piece))
        else:
            data = memoryview(pickle.dumps(piece, 5))
        parts.append([(data.nbytes, 0, *piece.shape)])
        pieces.append(data)
    value = Partitioned.write([head], parts, pieces, own_pool())
    seconds = time.perf_counter() - began
    COUNTERS.add(written=1, written_bytes=value.nbytes, written_seconds=seconds)
    return value


class Assembling:
    """Puts a block together of boxes of other blocks."""

    __slots__ = ()

    def __call__(
        self, sources: Sequence[Source | Partitioned], parts: Sequence[int], grid: Sequence[int]
    ) -> Any:
        """Return the block.

        Parameters
        ----------
        sources : sequence of Source
            The blocks, in parts.
        parts : sequence of int
            Which box of each of them.
        grid : sequence of int
            How many boxes there are along each axis; the last one goes first.
        """
        pieces = read_parts(sources, [(part, part + 1) for part in parts])
        began = time.perf_counter()
        made = _assemble(pieces, tuple(grid))
        nbytes = sum(piece.chunk[0] for piece in pieces)
        COUNTERS.add(read=1, read_bytes=nbytes, read_seconds=time.perf_counter() - began)
        return made

    def __reduce__(self) -> Any:
        return Assembling, ()


def _no_parts(assembling: Assembling) -> tuple[()]:
    return ()


register_parts(Assembling, _no_parts)


def _assemble(pieces: Sequence[Piece], grid: tuple[int, ...]) -> Any:
    if any(piece.head == _OTHER for piece in pieces):
        return _concatenate(pieces, grid)
    starts = [_starts(pieces, grid, axis) for axis in range(len(grid))]
    dtype = np.result_type(*{pickle.loads(head) for head in {piece.head for piece in pieces}})
    made = np.empty([ends[-1] for ends in starts], dtype)
    for piece, place in zip(pieces, product(*map(range, grid)), strict=True):
        box = tuple(slice(ends[i], ends[i + 1]) for ends, i in zip(starts, place, strict=True))
        target = made[box]
        if target.flags.c_contiguous and target.nbytes == piece.chunk[0]:
            if target.nbytes:
                piece.read_into([bytes_of(target)])
        else:
            target[...] = _read(piece)
    return made


def _starts(pieces: Sequence[Piece], grid: tuple[int, ...], axis: int) -> list[int]:
    """Return where the boxes along an axis begin, and where the last one ends."""
    step = int(np.prod(grid[axis + 1 :], dtype=int))
    ends = [0]
    for i in range(grid[axis]):
        ends.append(ends[-1] + pieces[i * step].chunk[2 + axis])
    return ends


def _read(piece: Piece) -> Any:
    data = bytearray(piece.chunk[0])
    piece.read_into([memoryview(data)])
    if piece.head == _OTHER:
        return pickle.loads(data)
    return np.frombuffer(data, pickle.loads(piece.head)).reshape(piece.chunk[2:])


def _concatenate(pieces: Sequence[Piece], grid: tuple[int, ...]) -> Any:
    if not grid:
        return _read(pieces[0])
    nested: list[Any] = [_read(piece) for piece in pieces]
    for length in reversed(grid[1:]):
        nested = [nested[i : i + length] for i in range(0, len(nested), length)]
    return _concatenate3(nested)
