"""Objects of this process that travel within it by reference: there is one, and no copy."""

from __future__ import annotations

import os
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

__all__ = ["Reference"]

_numbers = count()
_alive: WeakValueDictionary[tuple[int, int], Reference] = WeakValueDictionary()


class Reference:
    """Pickles as a reference, and unpickles in the same process as the value itself.

    The sender of a reference keeps it alive until it has arrived.

    Examples
    --------
    >>> value = [1]
    >>> reference = Reference(value)
    >>> pickle.loads(pickle.dumps(reference)) is value
    True
    """

    __slots__ = ("__weakref__", "_name", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self._name = (os.getpid(), next(_numbers))
        _alive[self._name] = self

    def __reduce__(self) -> Any:
        return _find, self._name

    def __repr__(self) -> str:
        return f"<Reference to a {type(self.value).__name__}>"


def _find(pid: int, number: int) -> Any:
    found = _alive.get((pid, number))
    if found is None:
        raise RuntimeError(
            "an object that was sent by reference is not there any more"
            if pid == os.getpid()
            else "an object that was sent by reference belongs to another process"
        )
    return found.value
