"""Shuffles in graphs: outputs that depend on a barrier come to depend on the inputs, in place.

dask's graphs of shuffles have a barrier between the tasks that give data away and those that take
it. Here the former return it in parts, and the latter read those that they need where they are.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dask._task_spec import Alias, GraphNode, List, Task, TaskRef, _execute_subgraph

if TYPE_CHECKING:
    from shoal.shuffle.specs import DataFrameShuffleSpec

__all__ = ["MOST", "Reads", "ranges", "read_in_place"]

Reads = dict[Any, frozenset[Any]]
"""Of each task that reads dependencies where they are: the keys of these."""

_FOREIGN = (
    "it was made by the package distributed, which is installed beside shoal. Call "
    "shoal.install_as_distributed() before the collection is made, or shuffle with 'tasks': "
    "dask.config.set({'dataframe.shuffle.method': 'tasks', 'array.rechunk.method': 'tasks'})"
)
MOST = 40_000
"""Inputs times outputs: from there on it is done in two steps."""


def read_in_place(graph: dict[Any, GraphNode]) -> Reads:
    """Put what reads in place into a graph, where something in it shuffles.

    Raises
    ------
    ValueError
        When a shuffle is of the package `distributed`.
    """
    tasks = sys.modules.get("shoal.shuffle.tasks")
    if tasks is None and "distributed" not in sys.modules:
        return {}  # no such graph was made in this process
    barriers = [node for node in graph.values() if type(node).__name__ == "P2PBarrierTask"]
    arrays = sys.modules.get("shoal.shuffle.arrays")
    if not barriers and arrays is None:
        return {}
    return _Rewriting(barriers, arrays).rewrite(graph)


def ranges(deps: Sequence[str], read: frozenset[str]) -> tuple[int, ...]:
    """Return which dependencies are among those, as (start, stop, start, stop, ...).

    Examples
    --------
    >>> ranges(["a", "b", "c", "d"], frozenset({"b", "c"}))
    (1, 3)
    """
    found: list[int] = []
    inside = False
    for i, dep in enumerate(deps):
        if (dep in read) != inside:
            found.append(i)
            inside = not inside
    if inside:
        found.append(len(deps))
    return tuple(found)


class _Shuffle:
    """A shuffle of a graph.

    Attributes
    ----------
    spec : DataFrameShuffleSpec
        The definition in its barrier.
    inputs : list
        Keys of the tasks before the barrier.
    """

    def __init__(self, barrier: Any) -> None:
        if not type(barrier).__module__.startswith("shoal."):
            raise ValueError(f"the shuffle {barrier.key!r} cannot be computed: {_FOREIGN}")
        self.spec: DataFrameShuffleSpec = barrier.spec
        self.inputs = [arg.key for arg in barrier.args if isinstance(arg, TaskRef)]
        self.inputs += [arg.target for arg in barrier.args if isinstance(arg, Alias)]
        self.meta_out = self.spec.meta_out
        self.many = len(self.inputs) * self.spec.npartitions > MOST

    def regrouped(self, part: int, added: dict[Any, Task]) -> tuple[list[Any], int]:
        """Return what an output reads where there are very many inputs, and which part of it.

        That is: tasks that put neighbouring parts of some inputs together, each made once.

        Parameters
        ----------
        part : int
            The output.
        added : dict
            Where tasks are put that are not there yet.
        """
        regroup: Any = sys.modules["shoal.shuffle.tasks"].Regrouping()
        width = math.isqrt(self.spec.npartitions - 1) + 1
        height = math.isqrt(len(self.inputs) - 1) + 1
        column = part // width
        first, last = column * width, min((column + 1) * width, self.spec.npartitions)
        keys: list[Any] = []
        for row, start in enumerate(range(0, len(self.inputs), height)):
            key = (f"shuffle-regroup-{self.spec.id}", row, column)
            keys.append(key)
            if key not in added:
                refs = List(*[TaskRef(one) for one in self.inputs[start : start + height]])
                added[key] = Task(key, regroup, first, last, refs)
        return keys, part - first


class _Rewriting:
    """One graph's."""

    def __init__(self, barriers: Sequence[Any], arrays: Any) -> None:
        self._shuffles = {}
        for barrier in barriers:
            shuffle = _Shuffle(barrier)
            self._shuffles[str(shuffle.spec.id)] = shuffle
        self._made: dict[tuple[Any, ...], Any] = {}  # functions: one object is pickled once
        self._arrays = arrays
        self._tasks: Any = sys.modules.get("shoal.shuffle.tasks")
        self._read: set[Any] = set()  # by the task at hand
        self._added: dict[Any, Task] = {}  # that read in place, too

    def rewrite(self, graph: dict[Any, GraphNode]) -> Reads:
        reads: Reads = {}
        for key, node in list(graph.items()):
            if not isinstance(node, Task):
                continue
            self._read = set()
            new: GraphNode = self._rewritten(node)
            if new is not node:
                graph[key] = new
            read = self._read & new.dependencies  # others are made inside of the task
            if read:
                reads[key] = frozenset(read)
        for key, task in self._added.items():
            graph[key] = task
            reads[key] = task.dependencies
        return reads

    def _rewritten(self, node: Any) -> Any:
        func = node.func
        if func is _execute_subgraph:
            return self._rewritten_inside(node)
        if self._arrays is not None and type(func) is self._arrays.Assembling:
            self._read |= node.dependencies
            return node
        name = getattr(func, "__name__", "")
        change = _CHANGES.get(name)
        return node if change is None or not self._shuffles else change(self, node)

    def _rewritten_inside(self, node: Task) -> Any:
        inner: Mapping[Any, GraphNode] = node.args[0]
        changed: dict[Any, Any] = {
            key: self._rewritten(one) if isinstance(one, Task) else one
            for key, one in inner.items()
        }
        if all(changed[key] is inner[key] for key in inner):
            return node
        fused: Any = Task.fuse(*changed.values(), key=node.key)
        return fused

    def _function(self, kind: str, *args: Any) -> Any:
        which = (kind, *map(id, args))
        made = self._made.get(which)
        if made is None:
            made = self._made[which] = (getattr(self._tasks, kind)(*args), args)
        return made[0]

    def _shuffle_named(self, node: Task) -> _Shuffle | None:
        for arg in node.args:
            if isinstance(arg, str) and arg in self._shuffles:
                return self._shuffles[arg]
        return None

    def _transfer(self, node: Task) -> Task:
        shuffle = self._shuffle_named(node)
        if shuffle is None:
            return node
        inner = node.func
        if inner.__name__ == "_shuffle_transfer":  # of dask: it looks for the other by its name
            inner = self._tasks.shuffle_transfer
        func = self._function("Transferring", shuffle.spec, inner)
        return Task(node.key, func, *node.args, **node.kwargs)

    def _sources(self, shuffle: _Shuffle, part: int) -> tuple[int, Any]:
        """Return the number of a part in what is to be read, and references to that."""
        keys = shuffle.inputs
        if shuffle.many:
            keys, part = shuffle.regrouped(part, self._added)
        self._read.update(keys)
        return part, List(*[TaskRef(key) for key in keys])

    def _unpack(self, node: Task) -> Task:
        shuffle = self._shuffles.get(node.args[0])
        if shuffle is None:
            return node
        func = self._function("Unpacking", shuffle.meta_out)
        return Task(node.key, func, *self._sources(shuffle, node.args[1]))

    def _merge(self, node: Task) -> Task:
        left = self._shuffles.get(node.args[0])
        right = self._shuffles.get(node.args[1])
        if left is None or right is None:
            return node
        func = self._function("Merging", left.meta_out, right.meta_out)
        sources = (*self._sources(left, node.args[2]), *self._sources(right, node.args[2]))
        return Task(node.key, func, *sources, *node.args[5:], **node.kwargs)


_CHANGES: dict[str, Any] = {
    "_shuffle_transfer": _Rewriting._transfer,
    "shuffle_transfer": _Rewriting._transfer,
    "assign_index_merge_transfer": _Rewriting._transfer,
    "merge_transfer": _Rewriting._transfer,
    "shuffle_unpack": _Rewriting._unpack,
    "merge_unpack": _Rewriting._merge,
}
