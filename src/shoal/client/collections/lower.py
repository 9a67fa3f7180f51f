"""Lowering: nodes of a dask graph become functions, pickled arguments and dependencies.

A plain task keeps its function, and its references become placeholders. A task with other tasks
inside becomes a program (see `shapes`). The scheduler and the workers need nothing of dask for it.
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

from dask._task_spec import (
    Alias,
    DataNode,
    GraphNode,
    Task,
    TaskRef,
    _execute_subgraph,
    _identity_cast,
)
from dask.utils import format_bytes

from shoal.client.collections.assembly import is_container, items_of
from shoal.client.collections.constants import COPY, HOIST, Constants
from shoal.client.collections.pickles import Pickles
from shoal.client.collections.shapes import Flat
from shoal.client.core.state import Extras, Function
from shoal.client.futures.future import collect_pickled
from shoal.client.submission.keys import SCALARS, blob_digest
from shoal.wire.blob import Blob
from shoal.wire.pickling import dumps
from shoal.wire.placeholder import Dependency, OwnDependency
from shoal.wire.program import identity, run_node
from shoal.wire.reference import Reference
from shoal.wire.sealed import Sealed
from shoal.wire.stateless import is_stateless

if TYPE_CHECKING:
    from shoal.client.collections.graphs import Plan
    from shoal.client.session.session import Session

__all__ = ["Literal", "Lowered", "Lowering"]

_NESTED: Any = object()
"""Returned by `_place` for arguments that only a program can have."""


class Lowered:
    """A task ready to be sent."""

    __slots__ = ("args", "deps", "extras", "function")

    def __init__(
        self, function: Function, args: bytes, deps: tuple[str, ...], extras: Extras | None
    ) -> None:
        self.function = function
        self.args = args
        self.deps = deps
        self.extras = extras


class Literal:
    """A large constant that several tasks have: a task of its own."""

    __slots__ = ("kind", "lowered", "name", "value")

    def __init__(self, name: str, lowered: Lowered, value: Any, kind: type[Dependency]) -> None:
        self.name = name
        self.kind = kind  # of its placeholders
        self.lowered = lowered
        self.value = value  # keeps the address from being used again


class Lowering:
    """Lowers the tasks of one graph.

    Parameters
    ----------
    session : Session
        Whose functions are known.
    plan : Plan
        The graph.

    Attributes
    ----------
    fresh : list of Literal
        Constants that became tasks since the caller emptied this list; to be sent before the task
        that was lowered.
    """

    def __init__(self, session: Session, plan: Plan) -> None:
        self.constants = Constants(node for _, node in plan.tasks)
        self.fresh: list[Literal] = []
        self._functions = session.functions
        self._large = session.large
        self._names = plan.names
        self._values = plan.literals
        self._hoisted: dict[int, Literal] = {}
        self._by_address: dict[int, Function] = {}
        self._programs: dict[tuple[Any, ...], Function] = {}
        self._warned = False
        self._identity = self.function(identity)
        self._in_process = session.stores.in_process
        self._references: dict[int, Reference] = {}
        self._pickles = Pickles()

    def lower(self, key: Any, node: GraphNode) -> Lowered:
        """Return a task's function and arguments.

        Raises
        ------
        TypeError
            When something in it cannot be pickled; it names the task.
        """
        try:
            if isinstance(node, Task):
                return self._lower_task(node)
            deps: dict[str, Dependency] = {}
            if isinstance(node, DataNode):
                return self._pack(self._identity, (node.value,), None, deps)
            if isinstance(node, Alias):
                placed = self.place(node.target, deps)
                return self._pack(self._identity, (placed,), None, deps)
            keys = tuple(node.dependencies)
            args = (node, keys, *(self.place(k, deps) for k in keys))
            return self._pack(self.function(run_node), args, None, deps)
        except TypeError as error:
            raise TypeError(f"the task {key!r} cannot be sent: {error}") from error

    def function(self, func: Any) -> Function:
        """Return a function's pickle, made once for each object."""
        known = self._by_address.get(id(func))
        if known is None:
            known = self._by_address[id(func)] = self._functions.opaque(func)
            self._warn_if_large(known.blob.nbytes(), getattr(func, "__name__", repr(func)))
        return known

    def place(self, key: Any, deps: dict[str, Dependency]) -> Any:
        """Return what stands for a key: a placeholder, or its value where that is small."""
        values = self._values
        if values and key in values:
            return values[key]
        return _placeholder(self._names[key], deps)

    def hoist(self, value: Any, deps: dict[str, Dependency]) -> Dependency:
        """Return the placeholder of a large constant that is a task of its own."""
        literal = self._hoisted.get(id(value))
        if literal is None:
            # Sealed, as any of the tasks that are given it could change it for the others.
            kind, constant = Dependency, value
            if not is_stateless(value):
                kind, constant = OwnDependency, Sealed(value)
            lowered = self._pack(self._identity, (constant,), None, {})
            buffers = [] if lowered.extras is None else lowered.extras.buffers
            name = f"{type(value).__name__}-{blob_digest(Blob(lowered.args, buffers)).hex()}"
            literal = self._hoisted[id(value)] = Literal(name, lowered, value, kind)
            self.fresh.append(literal)
        return _placeholder(literal.name, deps, literal.kind)

    def target(self, value: Any) -> Any:
        """Return what stands for something that an array is stored into: it must be the very one.

        Raises
        ------
        TypeError
            When it is memory of this process, and workers are others.
        """
        if self._in_process:
            return self._references.setdefault(id(value), Reference(value))
        numpy = sys.modules["numpy"]
        if isinstance(value, numpy.ndarray):
            raise TypeError(
                f"{type(value).__name__} is memory of this process, and workers would write into "
                "copies of their own: use `target[...] = array.compute()`, store into something "
                "that other processes can open (zarr, HDF5), or have workers in this process "
                "with Client(processes=False)"
            )
        return value

    def _as_known(self, task: Task) -> Lowered | None:
        """Return a task whose arguments have a known pickle, and no others in them; else `None`.

        Describes them as `Pickles.form` does, without making what stands for its inputs.
        """
        names, values = self._names, self._values
        places: dict[str, int] = {}
        form: list[Any] = []
        for arg in task.args:
            kind = type(arg)
            if kind is TaskRef:
                key = arg.key
                if values and key in values:
                    return None
                form.append(places.setdefault(names[key], len(places)))
            elif kind in SCALARS and kind is not float:
                form += (kind, arg)
            else:
                return None
        data = self._pickles.get(tuple(form))
        if data is None:
            return None
        return Lowered(self.function(task.func), data, tuple(places), None)

    def _lower_task(self, task: Task) -> Lowered:
        func = task.func
        if type(task) is Task and func is not _execute_subgraph and func is not _identity_cast:
            lowered = None if task.kwargs else self._as_known(task)
            if lowered is not None:
                return lowered
        if func is not _execute_subgraph and type(task).__call__ is Task.__call__:
            deps: dict[str, Dependency] = {}
            if is_container(task):
                placed = self._place(task, deps)
                if placed is not _NESTED:
                    return self._pack(self._identity, (placed,), None, deps)
            else:
                args = self._place_all(task.args, deps)
                if args is not _NESTED:
                    if not task.kwargs:
                        return self._pack(self.function(func), tuple(args), None, deps)
                    named = self._place_all(tuple(task.kwargs.values()), deps)
                    if named is not _NESTED:
                        kwargs = dict(zip(task.kwargs, named, strict=True))
                        return self._pack(self.function(func), tuple(args), kwargs, deps)
        flat = Flat(self, task)
        known = self._programs.get(flat.shape)
        if known is None:
            known = self._programs[flat.shape] = self._functions.opaque(flat.program())
            self._warn_if_large(known.blob.nbytes(), repr(task.key))
        return self._pack(known, tuple(flat.inputs), None, flat.deps)

    def _place_all(self, args: tuple[Any, ...], deps: dict[str, Dependency]) -> Any:
        placed: list[Any] = []
        for arg in args:
            kind = type(arg)
            if kind is TaskRef:
                placed.append(self.place(arg.key, deps))
            elif kind in SCALARS:
                placed.append(arg)
            else:
                arg = self._place(arg, deps)
                if arg is _NESTED:
                    return _NESTED
                placed.append(arg)
        return placed

    def _place(self, arg: Any, deps: dict[str, Dependency]) -> Any:
        if isinstance(arg, TaskRef):
            return self.place(arg.key, deps)
        if isinstance(arg, Alias):
            return self.place(arg.target, deps)
        if isinstance(arg, Task):
            if not is_container(arg):
                return _NESTED
            kind, items = items_of(arg)
            if kind not in (list, tuple):  # items of others must be hashable: workers find out
                return _NESTED
            placed = self._place_all(items, deps)
            return placed if placed is _NESTED or kind is list else tuple(placed)
        if isinstance(arg, DataNode):
            arg = arg.value
        elif isinstance(arg, GraphNode):
            return _NESTED
        if self.constants.targets and id(arg) in self.constants.targets:
            return self.target(arg)
        way = self.constants.way(arg)
        if way is COPY:
            return arg
        return self.hoist(arg, deps) if way is HOIST else _NESTED

    def _pack(
        self,
        function: Function,
        args: tuple[Any, ...],
        kwargs: dict[str, Any] | None,
        deps: dict[str, Dependency],
    ) -> Lowered:
        form = self._pickles.form(args, kwargs)
        if form is not None:
            data = self._pickles.get(form)
            if data is not None:
                return Lowered(function, data, tuple(deps), None)
        with collect_pickled() as kept:
            blob = dumps((args, kwargs))
        extras = None
        referred = [arg for arg in args if type(arg) is Reference] if self._references else []
        if blob.buffers or kept or referred:
            mentioned = tuple(future._record.key for future in kept)
            extras = Extras(buffers=blob.buffers, keep=(*kept, *referred), mentioned=mentioned)
            self._warn_if_large(blob.nbytes(), None)
        elif form is not None:
            self._pickles.add(form, bytes(blob.data))
        return Lowered(function, bytes(blob.data), tuple(deps), extras)

    def _warn_if_large(self, nbytes: int, name: str | None) -> None:
        if nbytes <= self._large or self._warned:
            return
        self._warned = True
        where = "a constant" if name is None else f"{name}, with what it refers to,"
        warnings.warn(
            f"{where} of {format_bytes(nbytes)} is part of the graph and is sent with it: load "
            "large data in tasks, or put it on workers once with `client.scatter(data)` and use "
            "the future instead",
            UserWarning,
            stacklevel=2,
        )


def _placeholder(
    name: str, deps: dict[str, Dependency], kind: type[Dependency] = Dependency
) -> Dependency:
    known = deps.get(name)
    if known is None:
        known = deps[name] = kind(len(deps))
    return known
