"""Arguments that are the same for task after task but for the inputs: unpickled once.

The tasks of one function in a graph often differ in nothing but which results they are given. Their
pickled arguments are then equal, byte for byte, and where there is nothing in them but plain values
and placeholders, the inputs are put into place without unpickling anything again.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from typing import Any

from shoal.wire.placeholder import Dependency
from shoal.wire.plain_values import PLAIN

__all__ = ["Repeated"]


_Parts = list[tuple[int, Any]]  # which input, or -1 and a plain value


class Repeated:
    """The last pickled arguments of a function, and what is in them.

    Examples
    --------
    >>> data = pickle.dumps(((1, Dependency(0)), None))
    >>> repeated = Repeated()
    >>> repeated.fill(data, ["a"])  # not seen before
    >>> repeated.fill(data, ["b"])
    [1, 'b']
    """

    __slots__ = ("_known", "_seen")

    def __init__(self) -> None:
        self._seen = b""
        self._known: tuple[bytes, _Parts | None] = (b"", None)

    def fill(self, data: bytes, values: Sequence[Any]) -> list[Any] | None:
        """Return positional arguments with values in place; None where they must be unpickled.

        Several threads may call it at once.
        """
        known, parts = self._known
        if known != data:
            if self._seen != data:
                self._seen = data
                return None
            parts = _parts(data)
            self._known = (data, parts)
        if parts is None:
            return None
        return [values[index] if index >= 0 else plain for index, plain in parts]


def _parts(data: bytes) -> _Parts | None:
    """Return what pickled arguments consist of, if all is plain or a placeholder."""
    try:
        args, kwargs = _Reader(io.BytesIO(data)).load()
    except Exception:  # there is something else in it
        return None
    if kwargs or type(args) is not tuple:
        return None
    parts: _Parts = []
    for arg in args:
        if type(arg) is Dependency:
            parts.append((arg.index, None))
        elif type(arg) in PLAIN:
            parts.append((-1, arg))
        else:
            return None
    return parts


class _Reader(pickle.Unpickler):
    """Unpickles nothing that anybody defined but placeholders, and leaves these in place."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == (_dependency.__module__, _dependency.__name__):
            return Dependency
        raise pickle.UnpicklingError(f"{module}.{name} is no placeholder")


_dependency: Any = Dependency(0).__reduce__()[0]
