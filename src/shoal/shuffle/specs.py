"""The parts of dask's graphs of shuffles: their barrier, its attributes, and the names of keys.

Names and arguments are those that dask imports from ``distributed.shuffle``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NewType

from dask._task_spec import Task as _UntypedTask

__all__ = [
    "DataFrameShuffleSpec",
    "P2PBarrierTask",
    "ShuffleId",
    "barrier_key",
    "check_dtype_support",
    "id_from_key",
    "p2p_barrier",
]

_Task: Any = _UntypedTask  # dask is not annotated

ShuffleId = NewType("ShuffleId", str)
"""The name of a shuffle in the keys of its tasks."""

_BARRIER = "shuffle-barrier-"


def barrier_key(shuffle_id: ShuffleId) -> str:
    """Return the key of the task between the two halves of a shuffle.

    Examples
    --------
    >>> barrier_key(ShuffleId("abc"))
    'shuffle-barrier-abc'
    """
    return _BARRIER + shuffle_id


def id_from_key(key: Any) -> ShuffleId | None:
    """Return the shuffle whose `barrier_key` this is; None when it is none."""
    if not isinstance(key, str) or not key.startswith(_BARRIER):
        return None
    return ShuffleId(key.removeprefix(_BARRIER))


@dataclass(eq=False)
class DataFrameShuffleSpec:
    """The definition of a shuffle of frames.

    Parameters
    ----------
    id : ShuffleId
        Its name.
    npartitions : int
        How many partitions come out of it.
    column : object
        The column that says for each row which of them it goes to.
    meta : DataFrame
        An empty frame like those that go in.
    parts_out : int or sequence of int
        The partitions that are asked for; a number stands for all of so many.
    disk : bool
        Not heeded: what has no room in memory is spilled, as any data.
    drop_column : bool
        Whether the column is left out of what comes out.
    """

    id: ShuffleId
    npartitions: int
    column: Any
    meta: Any
    parts_out: Any
    disk: bool = True
    drop_column: bool = True

    @property
    def wanted(self) -> Sequence[int] | None:
        """The partitions that are asked for; None for all."""
        return None if isinstance(self.parts_out, int) else tuple(self.parts_out)

    @property
    def meta_out(self) -> Any:
        """An empty frame like those that come out."""
        return self.meta.drop(columns=[self.column]) if self.drop_column else self.meta


class P2PBarrierTask(_Task):  # type: ignore[misc]
    """The task between the two halves of a shuffle, as dask puts it into a graph.

    On a cluster it does not run: it tells what the shuffle is, and outputs depend on the inputs.

    Parameters
    ----------
    key : str
        Its key.
    func : callable
        `p2p_barrier`.
    *args, **kwargs
        The shuffle's name, then references to all its inputs.
    spec : DataFrameShuffleSpec
        The definition of the shuffle.
    """

    __slots__ = ()

    @property
    def spec(self) -> DataFrameShuffleSpec:
        """The definition of the shuffle."""
        spec: DataFrameShuffleSpec = self.kwargs["spec"]
        return spec

    @property
    def block_fusion(self) -> bool:
        """It stays a task of its own."""
        return True


class Gathered:
    """All that goes into a shuffle, in one process: where dask computes without a cluster.

    Attributes
    ----------
    spec : DataFrameShuffleSpec
        The definition of the shuffle.
    frames : tuple of DataFrame
        The inputs.
    """

    __slots__ = ("frames", "spec")

    def __init__(self, spec: DataFrameShuffleSpec, frames: tuple[Any, ...]) -> None:
        self.spec = spec
        self.frames = frames


def p2p_barrier(id: ShuffleId, *inputs: Any, spec: DataFrameShuffleSpec) -> Gathered:
    """Return the inputs of a shuffle. On a cluster this does not run."""
    return Gathered(spec, inputs)


def check_dtype_support(meta_input: Any) -> None:
    """Return: columns of any type can be shuffled.

    Columns of Arrow's, numpy's and pandas' own types are moved as they are, others are pickled.
    """
