"""Programs made of descriptions of calls: put in order, with slots in the place of arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

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
from shoal.wire.sealed import Sealed
from shoal.wire.stateless import is_stateless

__all__ = ["MAKERS", "Call", "Inside", "Mark", "assemble", "is_container", "items_of"]

Mark: TypeAlias = "int | tuple[int]"
"""An argument: input number `i` from 0, the result of call number `i` below 0, or the id of a
constant that travels with the program."""

Call: TypeAlias = tuple[Any, tuple[Mark, ...], tuple[str, ...]]
"""Function, arguments, and the names of the last of them. The function is an `Inside` for a fused
task as a whole, and `None` for what is another name of its only argument."""

MAKERS: dict[Any, Callable[..., Any]] = {
    list: make_list,
    tuple: make_tuple,
    set: make_set,
    frozenset: make_frozenset,
    dict: make_dict,
}
"""Functions that make containers of their arguments, by the type."""


class Inside:
    """The inside of a fused task: nodes, the key of the result, and the keys of the arguments."""

    __slots__ = ("inkeys", "nodes", "outkey")

    def __init__(
        self, nodes: Mapping[Any, GraphNode], outkey: Any, inkeys: tuple[Any, ...]
    ) -> None:
        self.nodes = nodes
        self.outkey = outkey
        self.inkeys = inkeys


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


def assemble(
    calls: Mapping[int, Call], constants: Mapping[int, Any], inputs: int, result: Mark
) -> Program:
    """Return the program of some calls.

    Parameters
    ----------
    calls : dict
        By number.
    constants : dict
        By id.
    inputs : int
        How many arguments the program has.
    result : int or tuple
        The key of its result.
    """
    return _Assembly(calls, constants, inputs).program(result)


class _Assembly:
    def __init__(
        self, calls: Mapping[int, Call], constants: Mapping[int, Any], inputs: int
    ) -> None:
        self._calls = calls
        self._constants = constants
        self._inputs = inputs
        self._done: dict[int, Any] = {}  # by call: the stand-in for its result
        self._steps: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []

    def program(self, result: Mark) -> Program:
        """Return the program that gives `result`."""
        self._make(result)
        value = self._value(result)
        last = self._inputs + len(self._steps) - 1
        if not self._steps or type(value) is not Slot or value.index != last:
            self._step(identity, (value,), {})
        own = self._take_out_changeable()
        last_use: dict[int, int] = {}
        for i, (_, args, kwargs) in enumerate(self._steps):
            for arg in (*args, *kwargs.values()):
                if type(arg) is Slot:
                    last_use[arg.index] = i
        dead: list[list[int]] = [[] for _ in self._steps]
        for index, i in last_use.items():
            dead[i].append(index)
        steps: list[Step] = [
            (func, args, kwargs or None, tuple(over))
            for (func, args, kwargs), over in zip(self._steps, dead, strict=True)
        ]
        return Program(steps, funcname(self._steps[-1][0]), Sealed(tuple(own)) if own else None)

    def _take_out_changeable(self) -> list[Any]:
        """Put slots in the place of constants that a call could change; return these.

        Their slots come after those of the inputs.
        """
        own: dict[int, Any] = {}
        for _, args, kwargs in self._steps:
            for arg in (*args, *kwargs.values()):
                if type(arg) is not Slot and not is_stateless(arg):
                    own.setdefault(id(arg), arg)
        if not own:
            return []
        slots = {address: Slot(self._inputs + i) for i, address in enumerate(own)}

        def placed(arg: Any) -> Any:
            if type(arg) is not Slot:
                return slots.get(id(arg), arg)
            return arg if arg.index < self._inputs else Slot(arg.index + len(own))

        self._steps = [
            (func, tuple(map(placed, args)), {name: placed(arg) for name, arg in kwargs.items()})
            for func, args, kwargs in self._steps
        ]
        return list(own.values())

    def _make(self, result: Mark) -> None:
        """Add the steps of a call, and before them those of what it needs."""
        stack = [result]
        while stack:
            number = stack[-1]
            if type(number) is not int or number >= 0 or number in self._done:
                stack.pop()
                continue
            func, marks, names = self._calls[number]
            missing = [m for m in marks if type(m) is int and m < 0 and m not in self._done]
            if missing:
                stack += reversed(missing)
                continue
            stack.pop()
            values = tuple(map(self._value, marks))
            if func is None:
                self._done[number] = values[0]
            elif type(func) is Inside:
                self._done[number] = self._expand(func, values)
            else:
                count = len(values) - len(names)
                named = dict(zip(names, values[count:], strict=True))
                self._done[number] = self._step(func, values[:count], named)

    def _value(self, mark: Mark) -> Any:
        if isinstance(mark, tuple):
            return self._constants[mark[0]]
        return Slot(mark) if mark >= 0 else self._done[mark]

    def _step(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Slot:
        self._steps.append((func, args, kwargs))
        return Slot(self._inputs + len(self._steps) - 1)

    def _expand(self, inside: Inside, given: tuple[Any, ...]) -> Any:
        """Add the steps of a fused task; all constants in it travel with the program."""
        nodes = inside.nodes
        values = dict(zip(inside.inkeys, given, strict=True))
        stack = [inside.outkey]
        while stack:
            key = stack[-1]
            if key not in values:
                node = nodes[key]
                missing = [d for d in node.dependencies if d not in values and d in nodes]
                if missing:
                    stack += missing
                    continue
                values[key] = self._inner(node, values)
            stack.pop()
        return values[inside.outkey]

    def _inner(self, arg: Any, values: dict[Any, Any]) -> Any:
        """Return what stands for an argument in a fused task."""
        if isinstance(arg, TaskRef):
            return values[arg.key]
        if isinstance(arg, Alias):
            return values[arg.target]
        if isinstance(arg, DataNode):
            return arg.value
        if not isinstance(arg, GraphNode):
            return arg
        if isinstance(arg, Task):
            if arg.func is _execute_subgraph:
                given = tuple(self._inner(one, values) for one in arg.args[3:])
                return self._expand(Inside(*arg.args[:3]), given)
            if is_container(arg):
                kind, items = items_of(arg)
                return self._step(MAKERS[kind], tuple(self._inner(i, values) for i in items), {})
            if type(arg).__call__ is Task.__call__:
                args = tuple(self._inner(one, values) for one in arg.args)
                named = {name: self._inner(one, values) for name, one in arg.kwargs.items()}
                return self._step(arg.func, args, named)
        keys = tuple(arg.dependencies)
        return self._step(run_node, (arg, keys, *[values[key] for key in keys]), {})
