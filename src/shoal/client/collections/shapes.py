"""Nested and fused tasks flattened to programs; tasks of the same shape share one program.

Most tasks have a shape that was met before, so a task is described first, in one pass, and a
program is made of the description when it is new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from dask._task_spec import (
    Alias,
    DataNode,
    GraphNode,
    Task,
    TaskRef,
    _execute_subgraph,
    _identity_cast,
)

from shoal.client.collections.assembly import MAKERS, Inside, Mark, assemble, is_container, items_of
from shoal.client.collections.constants import BIND, HOIST
from shoal.client.submission.keys import SCALARS
from shoal.wire.placeholder import Dependency
from shoal.wire.program import Program, run_node

if TYPE_CHECKING:
    from shoal.client.collections.lower import Lowering

__all__ = ["Flat"]

Local: TypeAlias = "dict[Any, Mark] | None"
"""The marks of the keys in a fused task; `None` outside of it."""


class Flat:
    """One task as a list of calls.

    Parameters
    ----------
    lowering : Lowering
        Which knows the names of keys, and which constants are shared.
    task : Task
        The value to flatten.

    Attributes
    ----------
    shape : tuple
        Equal for tasks that may share a program.
    inputs : list
        The arguments of the program: placeholders of dependencies, and constants.
    deps : dict
        The placeholders by key.
    """

    __slots__ = (
        "_calls",
        "_constants",
        "_functions",
        "_lowering",
        "_numbers",
        "_placed",
        "_result",
        "deps",
        "inputs",
        "shape",
    )

    def __init__(self, lowering: Lowering, task: Task) -> None:
        self._lowering = lowering
        # Of each call: its number, the id of its function, its arguments, names of the last ones.
        self._calls: list[tuple[int, int, tuple[Mark, ...], tuple[str, ...]]] = []
        self._functions: list[Any] = []  # of the calls
        self._constants: dict[int, Any] = {}  # constants that travel with the program
        self._numbers = 0
        self._placed: dict[int, int] = {}
        self.inputs: list[Any] = []
        self.deps: dict[str, Dependency] = {}
        self._result = self._task(task, None, None)
        self.shape = (self._result, len(self.inputs), *self._calls)

    def program(self) -> Program:
        """Return the program."""
        calls = {
            number: (function, marks, names)
            for function, (number, _, marks, names) in zip(
                self._functions, self._calls, strict=True
            )
        }
        return assemble(calls, self._constants, len(self.inputs), self._result)

    def _new(self) -> int:
        """Return the number of another call."""
        self._numbers += 1
        return -self._numbers

    def _call(
        self, func: Any, id: int, marks: list[Mark], names: tuple[str, ...], number: int | None
    ) -> int:
        if number is None:
            number = self._new()
        self._calls.append((number, id, tuple(marks), names))
        self._functions.append(func)
        return number

    def _task(self, task: Task, local: Local, number: int | None) -> Mark:
        """Describe a task as the call of that number, or as another one."""
        func, args, kwargs = task.func, task.args, task.kwargs
        if func is _execute_subgraph:
            return self._fused(task, local, number)
        if type(task) is not Task or func is _identity_cast:
            if is_container(task):
                kind, args = items_of(task)
                func, kwargs = MAKERS[kind], {}
            elif type(task).__call__ is not Task.__call__:
                return self._run(task, local, number)
        inputs = self.inputs
        marks: list[Mark] = []
        for arg in args:
            kind = type(arg)
            if kind is TaskRef and local is not None:
                marks.append(local[arg.key])
            elif kind in SCALARS:
                marks.append(len(inputs))
                inputs.append(arg)
            else:
                marks.append(self._value(arg, local))
        if not kwargs:
            return self._call(func, id(func), marks, (), number)
        marks += [self._value(arg, local) for arg in kwargs.values()]
        return self._call(func, id(func), marks, tuple(kwargs), number)

    def _value(self, arg: Any, local: Local) -> Mark:
        if isinstance(arg, TaskRef):
            return self._reference(arg.key, local)
        if isinstance(arg, GraphNode):
            return self._node(arg, local, None)
        return self._constant(arg)

    def _node(self, node: GraphNode, local: Local, number: int | None) -> Mark:
        if isinstance(node, Task):
            return self._task(node, local, number)
        if isinstance(node, Alias):
            return self._reference(node.target, local)
        if isinstance(node, DataNode):
            return self._constant(node.value)
        return self._run(node, local, number)

    def _run(self, node: GraphNode, local: Local, number: int | None) -> Mark:
        """A node of a kind that is not known here: it runs itself."""
        keys = tuple(node.dependencies)
        marks: list[Mark] = [self._bound(node), self._bound(keys)]
        marks += [self._reference(key, local) for key in keys]
        return self._call(run_node, id(run_node), marks, (), number)

    def _fused(self, task: Task, local: Local, number: int | None) -> Mark:
        nodes, outkey, inkeys = task.args[:3]
        given = [self._value(arg, local) for arg in task.args[3:]]
        if self._lowering.constants.is_shared(task):
            # Nothing in it differs from task to task, so nobody needs to look.
            return self._call(Inside(nodes, outkey, inkeys), id(nodes), given, (), number)
        inner: dict[Any, Mark] = dict(zip(inkeys, given, strict=True))
        made = [(self._new(), key, node) for key, node in nodes.items() if key not in inner]
        inner.update((key, new) for new, key, _ in made)
        for new, _, node in made:
            mark = self._node(node, inner, new)
            if mark != new:  # another name of something
                self._call(None, 0, [mark], (), new)
        return inner[outkey]

    def _reference(self, key: Any, local: Local) -> Mark:
        if local is not None:
            return local[key]
        placed = self._lowering.place(key, self.deps)
        return self._input_of(placed) if type(placed) is Dependency else self._constant(placed)

    def _input_of(self, placed: Dependency) -> int:
        slot = self._placed.get(placed.index)
        if slot is None:
            slot = self._placed[placed.index] = len(self.inputs)
            self.inputs.append(placed)
        return slot

    def _constant(self, value: Any) -> Mark:
        targets = self._lowering.constants.targets
        if targets and id(value) in targets:
            self.inputs.append(self._lowering.target(value))
            return len(self.inputs) - 1
        way = self._lowering.constants.way(value)
        if way is BIND:
            return self._bound(value)
        if way is HOIST:
            return self._input_of(self._lowering.hoist(value, self.deps))
        self.inputs.append(value)
        return len(self.inputs) - 1

    def _bound(self, value: Any) -> tuple[int]:
        self._constants[id(value)] = value
        return (id(value),)
