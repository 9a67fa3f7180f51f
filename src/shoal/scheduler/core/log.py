"""The last changes of tasks' states, for `story`; what changes there are: `transitions.table`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

__all__ = ["Change", "TransitionLog"]

Change: TypeAlias = tuple[str, str, str, str, float]
"""(key, start, finish, stimulus, time)."""

_Changes: TypeAlias = tuple[Sequence[str], Sequence[str], str, float]
"""The same of many keys: (keys, the states they went through, stimulus, time)."""


class TransitionLog:
    """Remembers the last changes; those of many tasks at once take no room for each.

    Parameters
    ----------
    limit : int
        How many, once `trim` was called.

    Attributes
    ----------
    append : callable
        Add one `Change`: the queue's own method, as this is done for every task several times.

    Examples
    --------
    >>> log = TransitionLog(2)
    >>> log.append(("x", "waiting", "processing", "Tick-1", 0.0))
    >>> log.append_many(["y", "z"], ("processing", "memory"), "Tick-2", 1.0)
    >>> log.trim()
    >>> [change[0] for change in log]
    ['y', 'z']
    """

    __slots__ = ("_entries", "_limit", "_more", "append")

    def __init__(self, limit: int) -> None:
        self._entries: deque[Change | _Changes] = deque()
        self._limit = limit
        self._more = 0  # changes in entries of many, less one for each
        self.append: Callable[[Change], None] = self._entries.append

    def __len__(self) -> int:
        return len(self._entries) + self._more

    def __iter__(self) -> Iterator[Change]:
        for entry in self._entries:
            if len(entry) == 5:
                yield entry
                continue
            keys, path, stimulus, now = entry
            for start, finish in pairwise(path):
                for key in keys:
                    yield key, start, finish, stimulus, now

    def last(self) -> Change:
        """Return the newest change; there must be one."""
        entry = self._entries[-1]
        if len(entry) == 5:
            return entry
        keys, path, stimulus, now = entry
        return keys[-1], path[-2], path[-1], stimulus, now

    def append_many(
        self, keys: Sequence[str], path: Sequence[str], stimulus: str, now: float
    ) -> None:
        """Add the changes of many tasks that went the same way; nobody may change the keys."""
        self._entries.append((keys, path, stimulus, now))
        self._more += len(keys) * (len(path) - 1) - 1

    def trim(self) -> None:
        """Forget the oldest, as many as are too many; those of many tasks together."""
        entries = self._entries
        while len(entries) + self._more > self._limit:
            entry = entries.popleft()
            if len(entry) == 4:
                self._more -= len(entry[0]) * (len(entry[1]) - 1) - 1
