"""Placeholders of dependencies in pickled arguments, and functions with arguments bound to them.

The client replaces the futures in a call's arguments by `Dependency(i)` before it pickles them. On
the worker the pickle itself puts the values in: a placeholder unpickles by looking up value `i` of
those that `dependency_values` holds for this thread, so nobody walks the arguments.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from shoal.wire.sealed import Sealed
from shoal.wire.stateless import is_stateless, parts_of_partial, register_parts

__all__ = ["BoundFunction", "Dependency", "FreshlyBound", "OwnDependency", "dependency_values"]

T = TypeVar("T")


class Dependency:
    """Placeholder of the value of a task's dependency number `index`.

    Examples
    --------
    >>> import pickle
    >>> data = pickle.dumps(([1, Dependency(0)], None))
    >>> with dependency_values(["value"]):
    ...     pickle.loads(data)
    ([1, 'value'], None)
    """

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def __reduce__(self) -> tuple[Callable[[int], Any], tuple[int]]:
        return _dependency, (self.index,)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.index == self.index

    def __hash__(self) -> int:
        return hash((type(self), self.index))

    def __repr__(self) -> str:
        return f"<Dependency {self.index}>"


class OwnDependency(Dependency):
    """Placeholder of a dependency whose value is `Sealed`: the task gets a copy of its own."""

    __slots__ = ()

    def __reduce__(self) -> tuple[Callable[[int], Any], tuple[int]]:
        return _own_dependency, (self.index,)

    def __repr__(self) -> str:
        return f"<OwnDependency {self.index}>"


class _Current(threading.local):
    values: Sequence[Any] | None = None


_current = _Current()


class dependency_values:
    """Context manager: while it is entered, placeholders unpickled on this thread become values.

    Parameters
    ----------
    values : sequence
        The value of each dependency, in the order of the task's `deps`.
    """

    __slots__ = ("_before", "_values")

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values

    def __enter__(self) -> None:
        self._before = _current.values
        _current.values = self._values

    def __exit__(self, *exc_info: object) -> None:
        _current.values = self._before


def _dependency(index: int) -> Any:
    """Return the value of a placeholder as it is unpickled; a placeholder where none are set."""
    values = _current.values
    if values is None:
        return Dependency(index)
    if not 0 <= index < len(values):
        raise IndexError(
            f"the arguments name dependency {index}, but the task has {len(values)} dependencies"
        )
    return values[index]


def _own_dependency(index: int) -> Any:
    value = _dependency(index)
    return OwnDependency(index) if type(value) is Dependency else value.open()


class BoundFunction(functools.partial[T]):
    """A function with keyword arguments that all calls share; they travel with the function, once.

    It is a `functools.partial`, under another name to tell it from those that users make. Where the
    arguments could be changed by one call for the next, it arrives as a `FreshlyBound`.

    Examples
    --------
    >>> BoundFunction(int, base=2)("101")
    5
    """

    def __reduce__(self) -> Any:
        if self.args or is_stateless(tuple(self.keywords.values())):
            return super().__reduce__()
        return FreshlyBound, (self.func, Sealed(self.keywords))


class FreshlyBound:
    """A function with keyword arguments of which each call gets copies.

    Parameters
    ----------
    func : callable
        The function.
    keywords : Sealed
        The dict of them.
    """

    __slots__ = ("func", "keywords")

    def __init__(self, func: Callable[..., Any], keywords: Sealed) -> None:
        self.func = func
        self.keywords = keywords

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self.func(*args, **{**self.keywords.open(), **named})

    def __reduce__(self) -> Any:
        return FreshlyBound, (self.func, self.keywords)

    def __repr__(self) -> str:
        return f"<FreshlyBound {self.func!r}>"


def _func(bound: FreshlyBound) -> tuple[Any, ...]:
    return (bound.func,)


register_parts(BoundFunction, parts_of_partial)
register_parts(FreshlyBound, _func)
