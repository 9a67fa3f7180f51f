"""The values of a simulated worker: in memory, or on a disk that may fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

__all__ = ["Store"]


class Store:
    """Values by key, the least recently used first.

    Parameters
    ----------
    fixed : callable
        Whether a key's value must stay in memory (an actor). It counts as nothing: a worker that
        made many would be paused for ever.
    on_lost : callable
        Told of keys that are found to be lost when they are looked for.
    """

    def __init__(
        self,
        fixed: Callable[[str], bool],
        on_lost: Callable[[list[str]], None],
    ) -> None:
        self.memory: dict[str, bytes] = {}
        self.disk: dict[str, bytes] = {}
        self.unreadable: dict[str, None] = {}  # of `disk`; nobody knows yet
        self.memory_bytes = 0
        self._sizes: dict[str, int] = {}
        self._fixed = fixed
        self._on_lost = on_lost

    def __contains__(self, key: str) -> bool:
        return key in self.memory or key in self.disk

    def __iter__(self) -> Iterator[str]:
        yield from self.memory
        yield from self.disk

    def __len__(self) -> int:
        return len(self.memory) + len(self.disk)

    def put(self, key: str, value: bytes, nbytes: int) -> None:
        """Store a value, in place of an older one."""
        self._remove(key)
        self.memory[key] = value
        self._sizes[key] = 0 if self._fixed(key) else nbytes
        self.memory_bytes += self._sizes[key]

    def get(self, key: str) -> bytes | None:
        """Return a value, from the disk if it is there; None when it is not here, or lost."""
        if key in self.unreadable:
            self._remove(key)
            self._on_lost([key])
            return None
        value = self.disk.pop(key, None)
        if value is not None:
            self.put(key, value, self._sizes[key])
        elif key in self.memory:
            value = self.memory[key] = self.memory.pop(key)  # it is the last to go now
        return value

    def drop(self, keys: Iterable[str]) -> None:
        """Forget values; no harm where there is none."""
        for key in keys:
            self._remove(key)

    def _remove(self, key: str) -> None:
        if self.memory.pop(key, None) is not None:
            self.memory_bytes -= self._sizes[key]
        self.disk.pop(key, None)
        self.unreadable.pop(key, None)

    def evict(
        self, nbytes: int, in_use: frozenset[str] = frozenset(), spare: Sequence[str] = ()
    ) -> list[str]:
        """Move what was not used for longest to the disk; return the keys of that.

        Nothing of `in_use`; and of `spare`, in its order, only when nothing else is left.
        """
        later = in_use.union(spare)
        first = [key for key in self.memory if key not in later]
        moved = []
        for key in [*first, *(key for key in spare if key in self.memory and key not in in_use)]:
            if nbytes <= 0:
                break
            size = self._sizes[key]
            if not self._fixed(key):
                nbytes -= size
                self.memory_bytes -= size
                self.disk[key] = self.memory.pop(key)
                moved.append(key)
            elif size:  # an actor has taken the key of a value since
                self.memory_bytes -= size
                self._sizes[key] = 0
        return moved

    def size(self, keys: Iterable[str]) -> int:
        """Return the sum of sizes of values that are, or were, here."""
        return sum(self._sizes[key] for key in keys)
