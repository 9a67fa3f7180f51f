"""Names of the peer-to-peer shuffle, which shoal does not have: using one is a clear error.

dask uses them only when it was told to shuffle or rechunk by ``p2p``, and it asks of each task of a
graph whether it is a `P2PBarrierTask`. So all can be imported, and none can be called.
"""

from __future__ import annotations

from typing import Any, NewType, NoReturn

from dask._task_spec import Task as _UntypedTask

from shoal.client.collections.graphs import NO_P2P

__all__ = [
    "DataFrameShuffleSpec",
    "P2PBarrierTask",
    "ShuffleId",
    "barrier_key",
    "check_dtype_support",
    "id_from_key",
    "merge_transfer",
    "merge_unpack",
    "p2p_barrier",
    "partial_concatenate",
    "partial_rechunk",
    "rechunk_p2p",
    "shuffle_transfer",
    "shuffle_unpack",
]

_Task: Any = _UntypedTask  # dask is not annotated

ShuffleId = NewType("ShuffleId", str)

_BARRIER = "shuffle-barrier-"


def _refuse(what: str) -> NoReturn:
    raise RuntimeError(f"{what}: {NO_P2P}")


def barrier_key(shuffle_id: ShuffleId) -> str:
    """Return the key of the task between the two halves of a shuffle."""
    return _BARRIER + shuffle_id


def id_from_key(key: Any) -> ShuffleId | None:
    """Return the shuffle whose `barrier_key` this is; None when it is none."""
    if not isinstance(key, str) or not key.startswith(_BARRIER):
        return None
    return ShuffleId(key.removeprefix(_BARRIER))


class P2PBarrierTask(_Task):  # type: ignore[misc]
    """The task between the two halves of a shuffle. None can be made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse("P2PBarrierTask")


class DataFrameShuffleSpec:
    """What a shuffle of dataframes is to do. None can be made."""

    def __init__(
        self,
        id: ShuffleId,
        npartitions: int,
        column: Any,
        meta: Any,
        parts_out: Any,
        disk: bool,
        drop_column: bool,
    ) -> None:
        _refuse("DataFrameShuffleSpec")


def p2p_barrier(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise: there is no peer-to-peer shuffle."""
    _refuse("p2p_barrier")


def check_dtype_support(meta_input: Any) -> NoReturn:
    """Raise: no type of column can be shuffled from peer to peer."""
    _refuse("shuffle_method='p2p'")


def rechunk_p2p(x: Any, chunks: Any, **kwargs: Any) -> NoReturn:
    """Raise: arrays are not rechunked from peer to peer."""
    _refuse("rechunk with method='p2p'")


def shuffle_transfer(df: Any, id: ShuffleId, partition: Any) -> NoReturn:
    """Raise: there is no peer-to-peer shuffle."""
    _refuse("shuffle_transfer")


def shuffle_unpack(id: ShuffleId, part: int, barrier: Any) -> NoReturn:
    """Raise: there is no peer-to-peer shuffle."""
    _refuse("shuffle_unpack")


def merge_transfer(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise: there is no peer-to-peer join."""
    _refuse("merge_transfer")


def merge_unpack(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise: there is no peer-to-peer join."""
    _refuse("merge_unpack")


def partial_concatenate(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise: arrays are not rechunked from peer to peer."""
    _refuse("partial_concatenate")


def partial_rechunk(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise: arrays are not rechunked from peer to peer."""
    _refuse("partial_rechunk")


def _calculate_prechunking(*args: Any, **kwargs: Any) -> NoReturn:
    _refuse("_calculate_prechunking")


def _split_partials(*args: Any, **kwargs: Any) -> NoReturn:
    _refuse("_split_partials")
