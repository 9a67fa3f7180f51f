"""The functions of tasks of a shuffle or a join of frames.

`shuffle_transfer` and the others of these names stand in the graphs that dask makes. The definition
of a shuffle is in its barrier only, so `shoal.client.collections.in_place` puts functions bound to
it into their places: `Transferring`, `Unpacking`, `Merging`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from dask.dataframe.core import _concat as untyped_concat
from dask.dataframe.multi import merge_chunk

from shoal.shuffle.frames import join_frames, split_frame
from shoal.shuffle.joining import join_sides
from shoal.shuffle.reading import own_pool, read_parts
from shoal.shuffle.regrouping import Regrouping
from shoal.shuffle.specs import DataFrameShuffleSpec, Gathered, ShuffleId
from shoal.wire.stateless import register_parts

if TYPE_CHECKING:
    from shoal.shuffle.partitioned import Partitioned
    from shoal.worker.sources import Source

__all__ = [
    "Merging",
    "Regrouping",
    "Transferring",
    "Unpacking",
    "merge_transfer",
    "merge_unpack",
    "shuffle_transfer",
    "shuffle_unpack",
]

# dask is not annotated.
_concat: Any = untyped_concat
_merge_chunk: Any = merge_chunk
_specs: ContextVar[Mapping[str, DataFrameShuffleSpec] | None] = ContextVar("specs", default=None)


def shuffle_transfer(df: Any, id: ShuffleId, partition: int) -> Partitioned | Any:
    """Return a frame in parts, one for each partition that comes out of a shuffle.

    Where dask computes without a cluster, it is the frame itself.
    """
    spec = (_specs.get() or {}).get(id)
    if spec is None:
        return df
    return split_frame(df, spec.column, spec.npartitions, spec.wanted, spec.drop_column, own_pool())


merge_transfer = shuffle_transfer
"""The same for one side of a join."""


def shuffle_unpack(id: ShuffleId, part: int, barrier: Gathered) -> Any:
    """Return an output of a shuffle; on a cluster `Unpacking` takes its place."""
    spec = barrier.spec
    some = [frame[frame[spec.column] == part] for frame in barrier.frames]
    if spec.drop_column:
        some = [frame.drop(columns=[spec.column]) for frame in some]
    return _concat(some) if some else spec.meta_out


def merge_unpack(
    shuffle_id_left: ShuffleId,
    shuffle_id_right: ShuffleId,
    output_partition: int,
    barrier_left: Gathered,
    barrier_right: Gathered,
    *join: Any,
    **options: Any,
) -> Any:
    """Return an output of a join; on a cluster `Merging` takes its place.

    The arguments after the barriers are those of `_join`.
    """
    return _join(
        shuffle_unpack(shuffle_id_left, output_partition, barrier_left),
        shuffle_unpack(shuffle_id_right, output_partition, barrier_right),
        *join,
        **options,
    )


def _join(
    left: Any,
    right: Any,
    how: Any,
    left_on: Any,
    right_on: Any,
    result_meta: Any,
    suffixes: Any,
    left_index: bool,
    right_index: bool,
    indicator: bool = False,
) -> Any:
    """Join two frames; the order of the arguments is that of dask's tasks."""
    return _merge_chunk(
        left,
        right,
        how=how,
        result_meta=result_meta,
        left_on=left_on,
        right_on=right_on,
        suffixes=suffixes,
        left_index=left_index,
        right_index=right_index,
        indicator=indicator,
    )


# Of `_join`, after the two frames.
_ARGUMENTS = (
    *("how", "left_on", "right_on", "result_meta", "suffixes"),
    *("left_index", "right_index", "indicator"),
)


class Transferring:
    """A function that calls `shuffle_transfer` or `merge_transfer`, with what the shuffle is to do.

    Parameters
    ----------
    spec : DataFrameShuffleSpec
        The definition of the shuffle.
    func : callable
        The function.
    """

    __slots__ = ("func", "spec")

    def __init__(self, spec: DataFrameShuffleSpec, func: Callable[..., Any]) -> None:
        self.spec = spec
        self.func = func

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        token = _specs.set({**(_specs.get() or {}), self.spec.id: self.spec})
        try:
            return self.func(*args, **kwargs)
        finally:
            _specs.reset(token)

    def __reduce__(self) -> Any:
        return Transferring, (self.spec, self.func)


class Unpacking:
    """Makes one output of a shuffle.

    Parameters
    ----------
    meta : DataFrame
        An output without rows.
    """

    __slots__ = ("meta",)

    def __init__(self, meta: Any) -> None:
        self.meta = meta

    def __call__(self, part: int, sources: Sequence[Source]) -> Any:
        return _unpack(sources, part, self.meta)

    def __reduce__(self) -> Any:
        return Unpacking, (self.meta,)


class Merging:
    """Makes one output of a join, of a part of both sides.

    Parameters
    ----------
    meta_left, meta_right : DataFrame
        Sides without rows.
    """

    __slots__ = ("meta_left", "meta_right")

    def __init__(self, meta_left: Any, meta_right: Any) -> None:
        self.meta_left = meta_left
        self.meta_right = meta_right

    def __call__(
        self,
        part_left: int,
        sources_left: Sequence[Source],
        part_right: int,
        sources_right: Sequence[Source],
        *join: Any,
        **options: Any,
    ) -> Any:
        left = read_parts(sources_left, [(part_left, part_left + 1)] * len(sources_left))
        right = read_parts(sources_right, [(part_right, part_right + 1)] * len(sources_right))
        by_name = dict(zip(_ARGUMENTS, join, strict=False)) | options
        return join_sides(
            lambda one, other: _join(one, other, **by_name),
            by_name["how"],
            left,
            right,
            (self.meta_left, self.meta_right),
            by_name["left_index"] or by_name["right_index"],
        )

    def __reduce__(self) -> Any:
        return Merging, (self.meta_left, self.meta_right)


def _unpack(sources: Sequence[Source], part: int, meta: Any) -> Any:
    return join_frames(read_parts(sources, [(part, part + 1)] * len(sources)), meta)


def _no_parts(function: Any) -> tuple[()]:
    return ()  # nothing in it is changed by a call


for _kind in (Unpacking, Merging):
    register_parts(_kind, _no_parts)


def _func(transferring: Transferring) -> tuple[Any, ...]:
    return (transferring.func,)


register_parts(Transferring, _func)
