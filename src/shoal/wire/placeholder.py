"""What stands for a dependency in pickled arguments, and functions with arguments bound to them.

The client replaces the futures in a call's arguments by `Dependency(i)` before it pickles them. On
the worker the pickle itself puts the values in: a placeholder unpickles by looking up value `i` of
those that `dependency_values` holds for this thread, so nobody walks the arguments.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

__all__ = ["BoundFunction", "Dependency", "dependency_values"]

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
        return isinstance(other, Dependency) and other.index == self.index

    def __hash__(self) -> int:
        return hash((Dependency, self.index))

    def __repr__(self) -> str:
        return f"<Dependency {self.index}>"


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
    """What a pickled placeholder calls: its value; a placeholder again where none are set."""
    values = _current.values
    if values is None:
        return Dependency(index)
    if not 0 <= index < len(values):
        raise IndexError(
            f"the arguments name dependency {index}, but the task has {len(values)} dependencies"
        )
    return values[index]


class BoundFunction(functools.partial[T]):
    """A function with arguments that all calls share; they travel with the function, once.

    It is a `functools.partial`, under another name to tell it from those that users make.

    Examples
    --------
    >>> BoundFunction(int, base=2)("101")
    5
    """
