"""All tasks by key, in several dicts.

A dict that grows is copied as a whole, and the loop stands still meanwhile: at 700,000 keys for 40
to 100 ms. So one that is about to grow like that is left as it is, and another takes what is new.
With fewer tasks than that there is only one.
"""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, ValuesView
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.scheduler.core.state import TaskState

__all__ = ["TaskTable"]

# CPython copies a dict when it has two thirds of a power of two; the next copy would be at 349,525,
# and a message may bring 10,000.
_FULL = 339_000


def _new_part() -> dict[str, TaskState]:
    """Return an empty dict that will keep the hashes of its keys.

    A dict that has had nothing but strings leaves them to the strings: to grow, or to pass by
    another key in the same place, it reads these, and they are all over the memory.
    """
    part: dict[Any, Any] = {None: None}
    del part[None]
    return part


class TaskTable(Mapping[str, "TaskState"]):
    """A dict of tasks, in the order in which they came.

    Attributes
    ----------
    add, get, drop : callable
        `dict.setdefault`, for keys that full parts lack; `dict.get`; `del` of one key. Methods of
        the dict itself where that will do: they are called for each task, and a call of Python's
        would be a tenth of what it costs.
    """

    __slots__ = ("_full", "_latest", "_recent", "add", "drop", "get")

    def __init__(self) -> None:
        self._latest = _new_part()
        self._full: list[dict[str, TaskState]] = []
        # Where the last key was found: most are asked for in the order in which they came, and to
        # look where one is not costs as much, in a table that is in no cache.
        self._recent = self._latest
        self._be_one()

    def _be_one(self) -> None:
        self.add: Callable[[str, TaskState], TaskState] = self._latest.setdefault
        self.get: Callable[..., Any] = self._latest.get
        self.drop: Callable[[str], Any] = self._latest.pop

    def _find(self, key: str, default: Any = None) -> TaskState | Any:
        ts = self._recent.get(key)
        if ts is not None:
            return ts
        for part in (self._latest, *self._full):
            ts = part.get(key)
            if ts is not None:
                self._recent = part
                return ts
        return default

    def _drop(self, key: str) -> None:
        part = self._recent
        try:
            del part[key]
        except KeyError:
            if self._find(key) is None:
                raise
            part = self._recent
            del part[key]
        self._forget_if_empty(part)

    def _forget_if_empty(self, part: dict[str, TaskState]) -> None:
        if not part and part is not self._latest:
            self._full.remove(part)
            self._recent = self._latest
            if not self._full:
                self._be_one()

    def __getitem__(self, key: str) -> TaskState:
        ts: TaskState | None = self.get(key)
        if ts is None:
            raise KeyError(key)
        return ts

    def make_room(self) -> None:
        """Begin another dict where the latest is about to grow; called before many are added."""
        if len(self._latest) >= _FULL:
            self._full.append(self._latest)
            self._latest = _new_part()
            self.add, self.get, self.drop = self._latest.setdefault, self._find, self._drop

    def full_parts_lack(self, keys: Iterable[str]) -> bool:
        """Whether none of these keys is in any part but the latest."""
        return all(part.keys().isdisjoint(keys) for part in self._full)

    def drop_many(self, keys: list[str]) -> None:
        """`del` of known keys, most of them in the same part."""
        part = self.part_of(keys[0])
        pop = part.pop
        for key in keys:
            if pop(key, None) is None:
                self.drop(key)
        self._forget_if_empty(part)

    def part_of(self, key: str) -> dict[str, TaskState]:
        """Return the part that has a key, if any has: those that came with it are there, too."""
        self.get(key)
        return self._recent

    def __contains__(self, key: object) -> bool:
        return key in self._latest or any(key in part for part in self._full)

    def __len__(self) -> int:
        return len(self._latest) + sum(map(len, self._full))

    def __iter__(self) -> Iterator[str]:
        for part in self.parts:
            yield from part

    def items(self) -> ItemsView[str, TaskState]:
        """View the keys with their tasks; over the dicts, without a search for each key."""
        return _Items(self)

    def values(self) -> ValuesView[TaskState]:
        """View the tasks, likewise."""
        return _Values(self)

    @property
    def parts(self) -> tuple[dict[str, TaskState], ...]:
        """The dicts, the oldest first."""
        return (*self._full, self._latest)


class _Items(ItemsView[str, "TaskState"]):
    _mapping: TaskTable

    def __iter__(self) -> Iterator[tuple[str, TaskState]]:
        for part in self._mapping.parts:
            yield from part.items()


class _Values(ValuesView["TaskState"]):
    _mapping: TaskTable

    def __iter__(self) -> Iterator[TaskState]:
        for part in self._mapping.parts:
            yield from part.values()
