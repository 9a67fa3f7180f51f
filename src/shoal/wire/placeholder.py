"""What stands in for results and shared keyword arguments inside pickled calls.

The client pickles `Dependency(i)` where a future was found; on the worker, unpickling it gives the
value of the task's i-th dependency. So the arguments need no walk there. No task is run here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

__all__ = ["BoundFunction", "Dependency", "dependency_values"]


class _Stack(threading.local):
    """The values of the calls that are being unpickled in this thread, innermost last.

    A stack, because unpickling runs users' code, which may unpickle a call of its own.
    """

    def __init__(self) -> None:
        self.values: list[Sequence[Any]] = []


_stack = _Stack()


class Dependency:
    """Stands for the value of the i-th dependency of a task.

    Parameters
    ----------
    index : int
        Index into the task's dependencies.
    """

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def __reduce__(self) -> tuple[Callable[[int], Any], tuple[int]]:
        return _dependency, (self.index,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dependency) and self.index == other.index

    def __hash__(self) -> int:
        return hash((Dependency, self.index))

    def __repr__(self) -> str:
        return f"<Dependency {self.index}>"


def _dependency(index: int) -> Any:
    """Return the value that `Dependency(index)` stands for where it is unpickled.

    Outside of `dependency_values` it is the placeholder again, so that it survives copying.
    """
    stack = _stack.values
    if not stack:
        return Dependency(index)
    values = stack[-1]
    if not 0 <= index < len(values):
        raise LookupError(
            f"the arguments refer to dependency {index}, but the task has {len(values)}"
        )
    return values[index]


class dependency_values:  # a class, as it is on the path of every task with dependencies
    """Context in which unpickling replaces each `Dependency(i)` by `values[i]`, in this thread.

    Parameters
    ----------
    values : sequence
        The values of the task's dependencies, in order.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Sequence[Any]) -> None:
        self._values = values

    def __enter__(self) -> None:
        _stack.values.append(self._values)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _stack.values.pop()


class BoundFunction:
    """A function with keyword arguments that all calls of one `map` share.

    Parameters
    ----------
    function : callable
        The user's function.
    kwargs : dict
        Keyword arguments; those of a call win over these.
    """

    __slots__ = ("function", "kwargs")

    def __init__(self, function: Callable[..., Any], kwargs: dict[str, Any]) -> None:
        self.function = function
        self.kwargs = kwargs

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if kwargs:
            kwargs = {**self.kwargs, **kwargs}
        else:
            kwargs = self.kwargs
        return self.function(*args, **kwargs)

    def __reduce__(self) -> tuple[type[BoundFunction], tuple[Callable[..., Any], dict[str, Any]]]:
        return BoundFunction, (self.function, self.kwargs)

    def __repr__(self) -> str:
        return f"<BoundFunction {self.function!r} with {sorted(self.kwargs)}>"
