"""All tasks by key, in several dicts.

A dict that grows is copied as a whole, and the loop stands still meanwhile: at 700,000 keys for 40
to 100 ms. So one that is about to grow like that is left as it is, and another takes what is new.
With fewer tasks than that there is only one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.scheduler.core.state import TaskState

__all__ = ["TaskTable"]

# CPython copies a dict when it has two thirds of a power of two; the next copy would be at 349,525.
_FULL = 349_000


class TaskTable(Mapping[str, "TaskState"]):
    """A dict of tasks, in the order in which they came."""

    __slots__ = ("_full", "_latest")

    def __init__(self) -> None:
        self._latest: dict[str, TaskState] = {}
        self._full: list[dict[str, TaskState]] = []

    def get(self, key: str, default: Any = None) -> TaskState | Any:
        ts = self._latest.get(key)
        if ts is not None:
            return ts
        for part in self._full:
            ts = part.get(key)
            if ts is not None:
                return ts
        return default

    def __getitem__(self, key: str) -> TaskState:
        ts: TaskState | None = self.get(key)
        if ts is None:
            raise KeyError(key)
        return ts

    def add(self, key: str, ts: TaskState) -> None:
        """Take in a task whose key is not known."""
        latest = self._latest
        latest[key] = ts
        if len(latest) >= _FULL:
            self._full.append(latest)
            self._latest = {}

    def __delitem__(self, key: str) -> None:
        if self._latest.pop(key, None) is not None:
            return
        for part in self._full:
            if part.pop(key, None) is not None:
                if not part:
                    self._full.remove(part)
                return
        raise KeyError(key)

    def isdisjoint(self, keys: Iterable[str]) -> bool:
        """Whether none of these keys is known."""
        parts = (*self._full, self._latest)
        return all(part.keys().isdisjoint(keys) for part in parts)

    def __contains__(self, key: object) -> bool:
        return key in self._latest or any(key in part for part in self._full)

    def __len__(self) -> int:
        return len(self._latest) + sum(map(len, self._full))

    def __iter__(self) -> Iterator[str]:
        for part in (*self._full, self._latest):
            yield from part
