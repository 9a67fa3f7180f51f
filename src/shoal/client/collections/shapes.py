"""Nested and fused tasks flattened to programs; tasks of the same shape share one program."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dask._task_spec import (
    Alias,
    DataNode,
    GraphNode,
    NestedContainer,
    Task,
    TaskRef,
    _execute_subgraph,
    _identity_cast,
)
from dask.utils import funcname

from shoal.client.collections.constants import BIND, HOIST
from shoal.wire.placeholder import Dependency
from shoal.wire.program import (
    Program,
    Slot,
    Step,
    identity,
    make_dict,
    make_frozenset,
    make_list,
    make_set,
    make_tuple,
    run_node,
)

if TYPE_CHECKING:
    from shoal.client.collections.lower import Lowering

__all__ = ["MAKERS", "Flat", "is_container", "items_of"]

MAKERS: dict[Any, Callable[..., Any]] = {
    list: make_list,
    tuple: make_tuple,
    set: make_set,
    frozenset: make_frozenset,
    dict: make_dict,
}
"""Functions that make containers of their arguments, by the type."""


def is_container(task: Task) -> bool:
    """Whether a task does nothing but make a container of its arguments."""
    if isinstance(task, NestedContainer):
        return task.klass in MAKERS
    return task.func is _identity_cast and task.kwargs.get("typ") in MAKERS


def items_of(task: Task) -> tuple[Any, tuple[Any, ...]]:
    """Return the type of the container that a task makes, and what is in it."""
    if isinstance(task, NestedContainer):
        return task.klass, task.args
    return task.kwargs["typ"], task.args


class _Bound:
    """A constant that is part of the program."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Flat:
    """One task as a list of calls; slots below 0 are results of steps, until `program`.

    Parameters
    ----------
    lowering : Lowering
        Which knows the names of keys, and which constants are shared.
    task : Task
        What to flatten.

    Attributes
    ----------
    shape : tuple
        Equal for tasks that may share a program.
    inputs : list
        What the program is called with: placeholders of dependencies, and constants.
    deps : dict
        The placeholders by key.
    """

    def __init__(self, lowering: Lowering, task: Task) -> None:
        self._lowering = lowering
        self._steps: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []
        self._placed: dict[int, Slot] = {}
        self.inputs: list[Any] = []
        self.deps: dict[str, Dependency] = {}
        result = self._value(task, None)
        if type(result) is not Slot or result.index >= 0 or result.index != -len(self._steps):
            self._step(identity, (result,), {})
        self.shape = (len(self.inputs), *map(_shape, self._steps))

    def program(self) -> Program:
        """Return the program."""
        first = len(self.inputs)
        last_use: dict[int, int] = {}
        steps: list[Step] = []
        for i, (func, args, kwargs) in enumerate(self._steps):
            done = tuple(_final(arg, first, last_use, i) for arg in args)
            named = {k: _final(arg, first, last_use, i) for k, arg in kwargs.items()}
            steps.append((func, done, named or None, ()))
        for index, i in last_use.items():
            func, args, named_args, dead = steps[i]
            steps[i] = (func, args, named_args, (*dead, index))
        return Program(steps, funcname(self._steps[-1][0]))

    def _step(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Slot:
        self._steps.append((func, args, kwargs))
        return Slot(-len(self._steps))

    def _value(self, arg: Any, inner: dict[Any, Any] | None) -> Any:
        """Return the slot or the bound constant of an argument; `inner`: of a fused task."""
        if isinstance(arg, TaskRef):
            return self._reference(arg.key, inner)
        if isinstance(arg, GraphNode):
            if isinstance(arg, Alias):
                return self._reference(arg.target, inner)
            if isinstance(arg, DataNode):
                return self._constant(arg.value)
            if isinstance(arg, Task):
                return self._call(arg, inner)
            return self._run(arg, inner)
        return self._constant(arg)

    def _call(self, task: Task, inner: dict[Any, Any] | None) -> Any:
        if task.func is _execute_subgraph:
            return self._fused(task, inner)
        if is_container(task):
            kind, items = items_of(task)
            return self._step(MAKERS[kind], tuple(self._value(i, inner) for i in items), {})
        if type(task).__call__ is not Task.__call__:
            return self._run(task, inner)
        args = tuple(self._value(arg, inner) for arg in task.args)
        kwargs = {name: self._value(arg, inner) for name, arg in task.kwargs.items()}
        return self._step(task.func, args, kwargs)

    def _run(self, node: GraphNode, inner: dict[Any, Any] | None) -> Slot:
        """A node of a kind that is not known here: it runs itself."""
        keys = tuple(node.dependencies)
        values = tuple(self._reference(key, inner) for key in keys)
        return self._step(run_node, (_Bound(node), _Bound(keys), *values), {})

    def _fused(self, task: Task, outer: dict[Any, Any] | None) -> Any:
        nodes, outkey, inkeys = task.args[:3]
        values = {
            key: self._value(arg, outer) for key, arg in zip(inkeys, task.args[3:], strict=True)
        }
        stack = [outkey]
        while stack:
            key = stack[-1]
            if key not in values:
                node = nodes[key]
                missing = [d for d in node.dependencies if d not in values and d in nodes]
                if missing:
                    stack += missing
                    continue
                values[key] = self._value(node, values)
            stack.pop()
        return values[outkey]

    def _reference(self, key: Any, inner: dict[Any, Any] | None) -> Any:
        if inner is not None:
            return inner[key]
        placed = self._lowering.place(key, self.deps)
        return self._input_of(placed) if type(placed) is Dependency else self._constant(placed)

    def _input_of(self, placed: Dependency) -> Slot:
        slot = self._placed.get(placed.index)
        if slot is None:
            slot = self._placed[placed.index] = Slot(len(self.inputs))
            self.inputs.append(placed)
        return slot

    def _constant(self, value: Any) -> Any:
        way = self._lowering.constants.way(value)
        if way is BIND:
            return _Bound(value)
        if way is HOIST:
            return self._input_of(self._lowering.hoist(value, self.deps))
        self.inputs.append(value)
        return Slot(len(self.inputs) - 1)


def _shape(step: tuple[Any, tuple[Any, ...], dict[str, Any]]) -> tuple[Any, ...]:
    func, args, kwargs = step
    shape = (id(func), *map(_part, args))
    if kwargs:
        return (*shape, *((name, _part(arg)) for name, arg in kwargs.items()))
    return shape


def _part(arg: Any) -> Any:
    return arg.index if type(arg) is Slot else (id(arg.value),)


def _final(arg: Any, first: int, last_use: dict[int, int], step: int) -> Any:
    if type(arg) is not Slot:
        return arg.value
    index = arg.index if arg.index >= 0 else first - 1 - arg.index
    last_use[index] = step
    return Slot(index)
