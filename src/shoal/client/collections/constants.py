"""Constants that the tasks of a graph share, and that should travel once."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from dask._task_spec import Alias, DataNode, GraphNode, Task, TaskRef, _execute_subgraph
from dask.sizeof import sizeof

from shoal.client.futures.future import Future
from shoal.wire.pickling import SMALL

__all__ = ["BIND", "COPY", "HOIST", "Constants"]

COPY = "copy"
"""Each task has a pickle of it: it is small, or only one task has it."""
BIND = "bind"
"""It travels with the function."""
HOIST = "hoist"
"""It is large: a task of its own, on which the others depend."""

# Types of which nobody counts how often they are there: a copy is as cheap as a reference.
_CHEAP = frozenset((int, float, complex, bool, type(None), slice, TaskRef, Future, type(...)))
_TEXTS = frozenset((str, bytes))
_ITEMS = 16


class Constants:
    """Constants in the tasks of a graph, by how many tasks have them.

    Parameters
    ----------
    nodes : iterable of GraphNode
        All tasks. They must stay alive, because objects are told apart by their address.

    Attributes
    ----------
    targets : set of int
        Addresses of what `dask.array.store` writes into.
    """

    def __init__(self, nodes: Iterable[GraphNode]) -> None:
        self._uses: Counter[int] = Counter()
        self._ways: dict[int, str] = {}
        self._insides: dict[int, list[Any]] = {}  # of fused tasks: how many, one, is it shared
        self.targets: set[int] = set()
        array = sys.modules.get("dask.array.core")
        self._store = getattr(array, "load_store_chunk", self)
        for node in nodes:
            if isinstance(node, Task):
                self._count_task(node)

    def way(self, value: Any) -> str:
        """Return how a constant should travel."""
        address = id(value)
        if self._uses.get(address, 0) < 2:
            return COPY
        way = self._ways.get(address)
        if way is None:
            way = self._ways[address] = _way(value)
        return way

    def is_shared(self, task: Task) -> bool:
        """Whether others have the inside of this fused task, and all of it may travel with them."""
        if self.targets:
            return False
        known = self._insides.get(id(task.args[0]))
        if known is None or known[0] < 2:
            return False
        args = known[1].args
        if args[1] is not task.args[1] or args[2] is not task.args[2]:
            return False
        if known[2] is None:
            known[2] = all(self.way(value) is not HOIST for value in _values(args[0].values()))
        return bool(known[2])

    def _count_task(self, task: Task) -> None:
        if task.func is _execute_subgraph:
            nodes = task.args[0]
            known = self._insides.setdefault(id(nodes), [0, task, None])
            known[0] += 1
            if known[0] <= 2:  # to count further is to find the same again
                for inner in nodes.values():
                    self._count(inner)
                    if isinstance(inner, Task) and inner.func is self._store:
                        given = dict(zip(task.args[2], task.args[3:], strict=True))
                        self._note_target(inner.args[1], {**nodes, **given})
            arguments: Iterable[Any] = task.args[3:]
        else:
            arguments = task.args
            if task.func is self._store:
                self._note_target(task.args[1], {})
        for arg in arguments:
            if type(arg) not in _CHEAP:
                self._count(arg)
        if task.kwargs:
            for arg in task.kwargs.values():
                if type(arg) not in _CHEAP:
                    self._count(arg)

    def _note_target(self, target: Any, around: dict[Any, Any]) -> None:
        """Note what a task writes into; `around` has what names in a fused task stand for."""
        if isinstance(target, TaskRef):
            target = around.get(target.key)
        if isinstance(target, DataNode):
            target = target.value
        if target is not None and not isinstance(target, (TaskRef, GraphNode)):
            self.targets.add(id(target))

    def _count(self, arg: Any) -> None:
        if isinstance(arg, Task):
            self._count_task(arg)
        elif isinstance(arg, DataNode):
            self._count(arg.value)
        elif isinstance(arg, (Alias, TaskRef)):
            pass
        elif type(arg) not in _TEXTS or len(arg) >= SMALL:
            self._uses[id(arg)] += 1


def _values(args: Iterable[Any]) -> Iterator[Any]:
    """All constants among arguments, and in tasks among them."""
    for arg in args:
        if isinstance(arg, Task):
            inner = arg.args[0].values() if arg.func is _execute_subgraph else ()
            yield from _values((*inner, *arg.args, *arg.kwargs.values()))
        elif isinstance(arg, DataNode):
            yield arg.value
        elif not isinstance(arg, (Alias, TaskRef)):
            yield arg


def _way(value: Any) -> str:
    if _is_plain(value):
        return COPY
    try:
        size = sizeof(value)
    except Exception:  # users' classes may not know
        size = 0
    return HOIST if size >= SMALL else BIND


def _is_plain(value: Any) -> bool:
    """Whether a pickle of it is short and quickly made."""
    kind = type(value)
    if kind in _CHEAP:
        return True
    if kind in _TEXTS:
        return len(value) < SMALL
    if kind in (tuple, list):
        return len(value) <= _ITEMS and all(map(_is_plain, value))
    return False
