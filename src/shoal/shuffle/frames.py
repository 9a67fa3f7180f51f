"""Frames of pandas in parts, and together again: every type of column comes out as it went in.

A part of a frame is bytes: the values of each field of fixed width one after the other, then one
Arrow record batch of the columns that are Arrow's, then a pickle of those that are neither. The
head is common to all parts of a frame: its columns, their types and categories.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from dask.dataframe.core import _concat

from shoal.shuffle.columns import Scheme, build_frame, take_apart
from shoal.shuffle.counters import COUNTERS
from shoal.shuffle.large import is_large, room
from shoal.shuffle.memory import bytes_of, empty_together
from shoal.shuffle.partitioned import Chunk, Partitioned
from shoal.shuffle.strings import join_in_file

if TYPE_CHECKING:
    import pandas as pd

    from shoal.shared_memory import Pool
    from shoal.shuffle.reading import Piece

__all__ = ["join_frames", "split_frame"]

_concat_unlike: Any = _concat  # dask is not annotated
_ALIGN = 64  # bytes, as Arrow wants it


def split_frame(
    frame: pd.DataFrame,
    column: str,
    npartitions: int,
    wanted: Sequence[int] | None = None,
    drop_column: bool = True,
    pool: Pool | None = None,
) -> Partitioned:
    """Return the rows of a frame in the order of their partitions, each a part.

    Parameters
    ----------
    frame : DataFrame
        The rows.
    column : str
        Which partition each of them goes to: a number from 0 on.
    npartitions : int
        How many there are.
    wanted : sequence of int, optional
        The partitions that somebody will ask for; the rows of others are left out.
    drop_column : bool
        Whether the column is left out.
    pool : Pool, optional
        Where shared memory is taken from.

    Raises
    ------
    ValueError
        When the column has something else in it than numbers of partitions.
    """
    began = time.perf_counter()
    order, bounds = _order(frame[column].to_numpy(), npartitions, wanted, column)
    scheme, fields = take_apart(frame, column if drop_column else None)
    head = pickle.dumps(scheme, 5)
    pieces: list[Any] = []
    parts: list[list[Chunk]] = []
    fixed = _taken(fields.fixed, order)
    arrow = None if fields.arrow is None else fields.arrow.take(order)
    for start, stop in pairwise(bounds):
        rows = stop - start
        if not rows:
            parts.append([])
            continue
        some: list[Any] = [bytes_of(values[start:stop]) for values in fixed]
        nbytes = sum(piece.nbytes for piece in some)
        arrow_bytes = pickled_bytes = 0
        if arrow is not None:
            batch = memoryview(arrow.slice(start, rows).serialize())
            arrow_bytes = batch.nbytes
            some.append(batch)
        if fields.others:
            rest = pickle.dumps([one.take(order[start:stop]) for one in fields.others], 5)
            pickled_bytes = len(rest)
            some.append(rest)
        parts.append([(nbytes + arrow_bytes + pickled_bytes, 0, rows, arrow_bytes, pickled_bytes)])
        pieces += some
    value = Partitioned.write([head], parts, pieces, pool)
    seconds = time.perf_counter() - began
    COUNTERS.add(written=1, written_bytes=value.nbytes, written_seconds=seconds)
    return value


def _taken(
    fields: Sequence[np.ndarray[Any, Any]], order: np.ndarray[Any, Any]
) -> list[np.ndarray[Any, Any]]:
    """Return the values of all fields in an order."""
    taken = empty_together(len(order), [field.dtype for field in fields])
    for field, target in zip(fields, taken, strict=True):
        if len(order):
            np.take(field, order, out=target, mode="clip")  # which needs no buffer in between
    return taken


def _order(
    numbers: Any, npartitions: int, wanted: Sequence[int] | None, column: str
) -> tuple[np.ndarray[Any, Any], list[int]]:
    """Return the rows in the order of their partitions, and where each partition begins."""
    if numbers.dtype.kind not in "iu":
        given, numbers = numbers, None
        if given.dtype.kind in "fbO":
            numbers = np.asarray(given, dtype="f8").astype("i8")
        if numbers is None or (numbers != given).any():
            raise ValueError(f"{column!r} says where rows go, and is not of whole numbers")
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= npartitions):
        raise ValueError(
            f"{column!r} says where rows go: to 0 up to {npartitions - 1}; it has numbers from "
            f"{numbers.min()} to {numbers.max()}"
        )
    # Sorting numbers of 16 bits takes linear time.
    small = numbers.astype("u2" if npartitions <= 1 << 16 else "i8", copy=False)
    counts = np.bincount(small, minlength=npartitions)
    if wanted is not None and len(wanted) < npartitions:
        left_out = np.ones(npartitions, dtype=bool)
        left_out[list(wanted)] = False
        places = np.flatnonzero(~left_out[small])
        order = places[np.argsort(small[places], kind="stable")]
        counts[left_out] = 0
    else:
        order = np.argsort(small, kind="stable")
    return order, [0, *np.cumsum(counts).tolist()]


def join_frames(pieces: Sequence[Piece], meta: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all pieces, in order, as one frame.

    Parameters
    ----------
    pieces : sequence of Piece
        The parts that `split_frame` made, of any number of frames.
    meta : DataFrame
        The frame to return when there is none.
    """
    began = time.perf_counter()
    frames = [_join_alike(scheme, some) for scheme, some in _runs(pieces)]
    if not frames:
        return meta.iloc[:0].copy()
    frame = frames[0]
    if len(frames) > 1:  # of other types or categories, as of files that were written apart
        frame = _concat_unlike(frames)
    nbytes = sum(piece.chunk[0] for piece in pieces)
    COUNTERS.add(read=1, read_bytes=nbytes, read_seconds=time.perf_counter() - began)
    return frame


def _runs(pieces: Sequence[Piece]) -> Iterator[tuple[Scheme, list[Piece]]]:
    """Return pieces in a row whose fields can be put one after the other."""
    known: dict[bytes, Scheme] = {}
    scheme: Scheme | None = None
    run: list[Piece] = []
    for piece in pieces:
        its = known.get(piece.head)
        if its is None:
            its = pickle.loads(piece.head)
            same = (other for other in known.values() if other.equals(its))
            its = known[piece.head] = next(same, its)
        if scheme is not None and its is not scheme:
            yield scheme, run
            run = []
        scheme = its
        run.append(piece)
    if scheme is not None:
        yield scheme, run


def _join_alike(scheme: Scheme, pieces: list[Piece]) -> pd.DataFrame:
    """Read pieces with one scheme, each field straight to its place."""
    rows = sum(piece.chunk[2] for piece in pieces)
    fixed = empty_together(rows, scheme.fixed)
    targets = [(bytes_of(field), field.itemsize) for field in fixed]
    schema: Any = None
    batches: list[Any] = []
    others: list[list[Any]] = []
    start = 0
    # The batches of a large partition lie in a file, and stay as they are.
    arrow_sizes = [-(-piece.chunk[3] // _ALIGN) * _ALIGN for piece in pieces]
    in_file = bytes_of(room(sum(arrow_sizes), in_file=True)) if is_large(sum(arrow_sizes)) else None
    place = 0
    for piece, arrow_room in zip(pieces, arrow_sizes, strict=True):
        _, _, count, arrow_bytes, pickled_bytes = piece.chunk
        stop = start + count
        views = [view[start * width : stop * width] for view, width in targets]
        arrow: Any = bytearray(arrow_bytes) if in_file is None else in_file[place:][:arrow_bytes]
        place += arrow_room
        pickled = bytearray(pickled_bytes)
        if arrow_bytes:
            views.append(memoryview(arrow))
        if pickled_bytes:
            views.append(memoryview(pickled))
        piece.read_into(views)
        if arrow_bytes:
            import pyarrow as pa

            if schema is None:
                schema = pa.ipc.read_schema(pa.py_buffer(scheme.arrow))
            batches.append(pa.ipc.read_record_batch(pa.py_buffer(arrow), schema))
        if pickled_bytes:
            others.append(pickle.loads(pickled))
        start = stop
    table = None
    if batches:
        import pyarrow as pa

        table = pa.Table.from_batches(batches)
        if in_file is not None:
            names = table.column_names
            table = pa.table([join_in_file(column) for column in table.columns], names)
        elif len(batches) > 1:  # one chunk each: the pieces' buffers go
            table = table.combine_chunks()
    return build_frame(scheme, fixed, table, others)
