"""Several calls that travel as one task: what nested and fused tasks of a dask graph become.

A program is pickled once and shared by all tasks that have the same shape; what differs between
them comes as arguments. The client makes programs, workers run them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

from shoal.wire.sealed import Sealed
from shoal.wire.stateless import register_parts

__all__ = [
    "Program",
    "Slot",
    "Step",
    "identity",
    "make_dict",
    "make_frozenset",
    "make_list",
    "make_set",
    "make_tuple",
    "run_node",
]


class Slot:
    """Stands for value number `index` of a run: arguments, the run's own constants, then results.

    Examples
    --------
    >>> Slot(2)
    <Slot 2>
    """

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def __reduce__(self) -> tuple[Callable[[int], Slot], tuple[int]]:
        return Slot, (self.index,)

    def __repr__(self) -> str:
        return f"<Slot {self.index}>"


Step: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any] | None, tuple[int, ...]]
"""Function, arguments with slots, keyword arguments with slots, slots that are not needed after."""


class Program:
    """Calls, one after the other; the result is that of the last.

    Parameters
    ----------
    steps : sequence of Step
        The calls. An argument that is a `Slot` becomes a value of this run.
    name : str
        Its name in errors and logs.
    constants : Sealed, optional
        A tuple of constants that a call could change: each run has its own, after the arguments.

    Examples
    --------
    >>> import operator
    >>> steps = [(operator.add, (Slot(0), 1), None, (0,)), (operator.neg, (Slot(1),), None, ())]
    >>> Program(steps, "neg")(5)
    -6
    """

    __slots__ = ("__name__", "constants", "steps")

    def __init__(self, steps: Sequence[Step], name: str, constants: Sealed | None = None) -> None:
        self.steps = tuple(steps)
        self.__name__ = name
        self.constants = constants

    def __call__(self, *arguments: Any) -> Any:
        values = list(arguments)
        if self.constants is not None:
            values += self.constants.open()
        result = None
        for func, args, kwargs, dead in self.steps:
            given = [values[arg.index] if type(arg) is Slot else arg for arg in args]
            named = _named(kwargs, values) if kwargs else {}
            for index in dead:
                # Values of a fused chain may be large: none is kept longer than it is needed.
                values[index] = None
            result = func(*given, **named)
            values.append(result)
        return result

    def __reduce__(self) -> tuple[type[Program], tuple[Any, ...]]:
        if self.constants is None:
            return Program, (self.steps, self.__name__)
        return Program, (self.steps, self.__name__, self.constants)

    def __repr__(self) -> str:
        return f"<Program {self.__name__}: {len(self.steps)} steps>"


def _parts(program: Program) -> Iterator[Any]:
    for func, args, kwargs, _ in program.steps:
        yield func
        yield from args
        yield from (kwargs or {}).values()


def _index(slot: Slot) -> tuple[int]:
    return (slot.index,)


register_parts(Program, _parts)
register_parts(Slot, _index)


def _named(kwargs: dict[str, Any], values: list[Any]) -> dict[str, Any]:
    return {name: values[arg.index] if type(arg) is Slot else arg for name, arg in kwargs.items()}


def identity(value: Any) -> Any:
    """Return the value: the task of a literal, and of a second name."""
    return value


def make_list(*items: Any) -> list[Any]:
    """Return a list of the arguments."""
    return list(items)


def make_tuple(*items: Any) -> tuple[Any, ...]:
    """Return a tuple of the arguments."""
    return items


def make_set(*items: Any) -> set[Any]:
    """Return a set of the arguments."""
    return set(items)


def make_frozenset(*items: Any) -> frozenset[Any]:
    """Return a frozen set of the arguments."""
    return frozenset(items)


def make_dict(*items: Any) -> dict[Any, Any]:
    """Return a dict of keys and values that take turns."""
    return dict(zip(items[::2], items[1::2], strict=True))


def run_node(node: Callable[[dict[Any, Any]], Any], keys: tuple[Any, ...], *values: Any) -> Any:
    """Have a node of a dask graph run itself, on the values of the keys that it depends on."""
    return node(dict(zip(keys, values, strict=True)))
