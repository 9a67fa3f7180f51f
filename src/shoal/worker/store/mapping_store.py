"""A store whose values are kept in a mapping that the user brought (``Worker(data=)``)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from typing import Any

from shoal._base.keys import decode_key
from shoal.worker.store.store import Spilled, Store

__all__ = ["MappingStore", "make_mapping"]


class MappingStore(Store):
    """Values by key, in a mapping of somebody else's, under the users' keys.

    Where and how they are kept is the mapping's matter: its ``evict()``, where it has one, is
    called when memory is short, and returns how many bytes it freed, or -1 when it cannot.

    Parameters
    ----------
    mapping : MutableMapping
        Where the values are kept. Its methods are called on any thread, one at a time.
    **kwargs
        Of `Store`.
    """

    def __init__(self, mapping: MutableMapping[Any, Any], **kwargs: Any) -> None:
        super().__init__(None, **kwargs)
        self.mapping = mapping

    def put(self, key: str, value: Any, nbytes: int | None = None, *, fixed: bool = False) -> None:
        """Store a value, in place of an older one of the same key."""
        with self.lock:
            super().put(key, value, nbytes, fixed=fixed)
            self._move(key)

    def put_all(self, items: Iterable[tuple[str, Any, int]]) -> None:
        """Store many values, each with its key and the estimate of its size."""
        for key, value, nbytes in items:
            self.put(key, value, nbytes)

    def _move(self, key: str) -> None:
        """Give a value to the mapping; an actor's proxy stays here."""
        entry = self._memory[key]
        if entry.fixed:
            return
        value, entry.value = entry.value, None
        self.mapping[decode_key(key)] = value

    def get_many(self, keys: Iterable[str]) -> list[Any]:
        """Return the values of keys, in order.

        Raises
        ------
        KeyError
            When some are not here; its `args` are all of these keys.
        """
        keys = list(keys)
        values: list[Any] = []
        with self.lock:
            absent = [key for key in keys if key not in self]
            if absent:
                raise KeyError(*absent)
            for key in keys:
                entry = self._memory[key]
                values.append(entry.value if entry.fixed else self.mapping[decode_key(key)])
        return values

    def in_place(self, key: str) -> tuple[Any, None] | None:
        """Return a value, wherever the mapping has it; None when it is not here."""
        try:
            return self.get(key), None
        except KeyError:
            return None

    def shareable(self, key: str) -> Any:
        """Refuse: copies in shared memory are made of values that this process keeps itself."""
        raise KeyError(key)

    def spill(
        self, nbytes: int, in_use: frozenset[str] = frozenset(), spare: Sequence[str] = ()
    ) -> Spilled:
        """Have the mapping free memory, where it can."""
        freed = super().spill(nbytes).freed
        evict = getattr(self.mapping, "evict", None)
        while evict is not None and freed < nbytes:
            with self.lock:
                more = evict()
            if not isinstance(more, (int, float)) or more <= 0:
                break
            freed += int(more)
        return Spilled(freed)

    def _remove(self, key: str) -> bool:
        entry = self._memory.get(key)
        was_here = super()._remove(key)
        if was_here and entry is not None and not entry.fixed:
            self.mapping.pop(decode_key(key), None)
        return was_here

    def close(self) -> None:
        """Drop everything, and close the mapping where it can be closed."""
        super().close()
        close = getattr(self.mapping, "close", None)
        if close is not None:
            close()


def make_mapping(data: Any, local_directory: str) -> MutableMapping[Any, Any]:
    """Return the mapping that the argument `data` of a worker means.

    Parameters
    ----------
    data : MutableMapping, callable, or (callable, dict)
        The mapping; or what returns it, and its arguments. It gets the worker's folder as
        `worker_local_directory` where it takes that.

    Raises
    ------
    TypeError
        When it is nothing of that.
    """
    if isinstance(data, MutableMapping):
        return data
    make, arguments = data if isinstance(data, tuple) and len(data) == 2 else (data, {})
    if not callable(make):
        raise TypeError(
            f"data= is a mutable mapping, what returns one, or (callable, dict); got {data!r}"
        )
    arguments = dict(arguments)
    if _takes(make, "worker_local_directory"):
        arguments["worker_local_directory"] = local_directory
    mapping = make(**arguments)
    if not isinstance(mapping, MutableMapping):
        raise TypeError(f"data= made {type(mapping).__name__}, which is no mutable mapping")
    return mapping


def _takes(function: Callable[..., Any], name: str) -> bool:
    try:
        return name in inspect.signature(function).parameters
    except (TypeError, ValueError):  # builtins without one
        return False
