"""The store: key to value, in memory by age of last use, the oldest on disk when told so.

It decides nothing: the worker's core says when and how much to evict. All methods may be called
from any thread. Files are written and read without the lock, so that one thread's disk does not
stop the others.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import msgspec

from shoal.shared_memory import Pool, SharedBlob
from shoal.shuffle.partitioned import born
from shoal.worker.store.shared_copies import SharedCopyCache
from shoal.worker.store.sizing import describe
from shoal.worker.store.spill import SpillFolder

__all__ = ["Spilled", "Store"]

logger = logging.getLogger("shoal.worker.store")

_ON_DISK = object()


class _Entry(msgspec.Struct, gc=False, eq=False):
    # No value refers to its entry, so no cycle goes through one.
    value: Any
    nbytes: int
    fixed: bool = False  # never goes to disk
    file: str | None = None  # stays after a value was read back, until it is dropped
    on_disk: int = 0  # bytes of the file


class Spilled(msgspec.Struct):
    """The result of `Store.spill`.

    Attributes
    ----------
    freed : int
        Bytes.
    keys : list of str
        Whose values are on disk only now.
    reason : str
        Why no more can be written, where that is so.
    """

    freed: int
    keys: list[str] = []
    reason: str = ""


class Store:
    """Values by key.

    Parameters
    ----------
    directory : str, optional
        Where spilled values go, in a folder of their own. Without it nothing is ever spilled.
    max_spill : int, optional
        Most bytes on disk.
    on_lost : callable, optional
        Called as ``on_lost(keys, reason)``, on whatever thread, when spilled values cannot be read.
    max_shared : int
        Most bytes of copies in shared memory.
    map_from : int, optional
        Bytes of a value that is not read back from disk but mapped: the system takes its pages
        away again where memory is short.

    Attributes
    ----------
    memory_bytes, disk_bytes : int
        Estimated size of the values in memory; size of the files.
    reads, read_bytes : int
        How many values were found in memory, and how large they were.
    lock : threading.RLock
        Held by who needs several calls to be one step; never while files are read or written.

    Examples
    --------
    >>> store = Store()
    >>> store.put("x", 1, 28)
    >>> store.get("x")
    1
    >>> store.memory_bytes
    28
    """

    def __init__(
        self,
        directory: str | None = None,
        *,
        max_spill: int | None = None,
        on_lost: Callable[[list[str], str], None] | None = None,
        max_shared: int = 0,
        map_from: int | None = None,
    ) -> None:
        self.memory_bytes = 0
        self.disk_bytes = 0
        self._folder = None if directory is None else SpillFolder(directory)
        self._max_spill = max_spill
        self._map_from = map_from
        self._on_lost = on_lost
        self.lock = threading.RLock()
        self._evicting = threading.Lock()
        self._memory: dict[str, _Entry] = {}  # least recently used first
        self._disk: dict[str, _Entry] = {}
        self._shared_copies = SharedCopyCache(max_shared)
        self._shared = self._shared_copies.blobs
        self._leaving: set[str] = set()  # keys being written to disk, and not used since
        self._warned: set[str] = set()
        self.reads = 0  # values that were asked for and in memory
        self.read_bytes = 0

    def __len__(self) -> int:
        return len(self._memory) + len(self._disk)

    def __contains__(self, key: str) -> bool:
        return key in self._memory or key in self._disk

    def __iter__(self) -> Iterator[str]:
        with self.lock:
            return iter([*self._memory, *self._disk])

    def put(self, key: str, value: Any, nbytes: int | None = None, *, fixed: bool = False) -> None:
        """Store a value, in place of an older one of the same key.

        Parameters
        ----------
        nbytes : int, optional
            Estimate of its size; made here when it is not given.
        fixed : bool
            Never write it to disk (an actor: a copy of it would not be it).
        """
        if nbytes is None:
            nbytes = describe(value)[0]
        entry = _Entry(value, nbytes, fixed)
        with self.lock:
            if key in self._memory or key in self._disk:
                self._remove(key)
            self._memory[key] = entry
            self.memory_bytes += nbytes

    def put_all(self, items: Iterable[tuple[str, Any, int]]) -> None:
        """Store many values, each with its key and the estimate of its size."""
        memory = self._memory
        disk = self._disk
        added = 0
        with self.lock:
            for key, value, nbytes in items:
                if key in memory or key in disk:
                    self._remove(key)
                memory[key] = _Entry(value, nbytes)
                added += nbytes
            self.memory_bytes += added

    def get(self, key: str) -> Any:
        """Return a value; `KeyError` when it is not here (any more)."""
        return self.get_many((key,))[0]

    def get_many(self, keys: Iterable[str]) -> list[Any]:
        """Return the values of keys, in order.

        Raises
        ------
        KeyError
            When some are not here, or cannot be read; its `args` are all of these keys.
        """
        values: list[Any] = []
        absent: list[str] = []
        read: list[tuple[int, str, _Entry]] = []
        memory = self._memory
        with self.lock:
            if self._leaving:
                keys = list(keys)
                self._leaving.difference_update(keys)
            for key in keys:
                entry = memory.pop(key, None)
                if entry is not None:
                    memory[key] = entry  # the most recently used now
                    self.reads += 1
                    self.read_bytes += entry.nbytes
                    values.append(entry.value)
                    continue
                entry = self._disk.get(key)
                if entry is None:
                    absent.append(key)
                else:
                    read.append((len(values), key, entry))
                values.append(None)
        for index, key, entry in read:
            try:
                values[index] = self._read_back(key, entry)
            except KeyError:
                absent.append(key)
        if absent:
            raise KeyError(*absent)
        return values

    def peek_many(self, keys: Iterable[str]) -> list[Any]:
        """`get_many`, for others: what is on disk only is read, and stays there."""
        values = []
        absent: list[str] = []
        for key in keys:
            with self.lock:
                entry = self._memory.get(key) or self._disk.get(key)
                value = None if entry is None else entry.value
            try:
                if entry is None:
                    raise KeyError(key)
                values.append(self._read_file(key, entry) if value is _ON_DISK else value)
            except KeyError:
                absent.append(key)
        if absent:
            raise KeyError(*absent)
        return values

    def get_present(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return the values of those keys that are here and can be read."""
        values = {}
        for key in keys:
            try:
                values[key] = self.get(key)
            except KeyError:
                pass
        return values

    def in_memory(self, keys: list[str]) -> dict[str, Any]:
        """Return the values of those keys that are in memory; they do not count as used."""
        found = ((key, self._memory.get(key)) for key in keys)
        return {key: entry.value for key, entry in found if entry is not None}

    def in_place(self, key: str) -> tuple[Any, tuple[str, int] | None] | None:
        """Return a value without bringing it into memory; None when it is not here.

        A value that is on disk is mapped from its file as long as it is referred to; with it come
        the file, and where in it the value's last buffer begins, if it has one.
        """
        with self.lock:
            entry = self._memory.get(key)
            if entry is not None:
                return entry.value, None
            entry = self._disk.get(key)
            if entry is None or entry.file is None or self._folder is None:
                return None
            file = entry.file
        try:
            value, offset = self._folder.map(file)
        except (OSError, ValueError) as error:
            with self.lock:
                if self._memory.get(key) is entry:  # read back meanwhile
                    return entry.value, None
            logger.warning("Spilled data of %r cannot be read: %s", key, error)
            return None
        return value, None if offset is None else (file, offset)

    def keys(self) -> list[str]:
        """Return all keys."""
        return list(self)

    def nbytes(self, key: str) -> int:
        """Return the estimated size of a value; 0 when it is not here (any more)."""
        entry = self._memory.get(key) or self._disk.get(key)
        return 0 if entry is None else entry.nbytes

    def drop(self, keys: Iterable[str]) -> None:
        """Drop values, where they are here."""
        with self.lock:
            for key in keys:
                self._remove(key)

    def pop(self, key: str) -> bool:
        """Drop a value and its file; return whether it was here."""
        with self.lock:
            return self._remove(key)

    def is_on_disk(self, key: str) -> bool:
        """Return whether a value is on disk only."""
        return key in self._disk

    def activities(self) -> dict[str, tuple[int, int, float]]:
        """Return bytes, count and seconds of what was done with memory and disk, by name."""
        found = {"memory-read": (self.read_bytes, self.reads, 0.0)} if self.reads else {}
        if self._folder is not None:
            found |= {
                name: (each.nbytes, each.count, each.seconds)
                for name, each in self._folder.work.items()
                if each.count
            }
        return found

    @property
    def disk_count(self) -> int:
        """How many values are on disk only."""
        return len(self._disk)

    @property
    def shared_bytes(self) -> int:
        """Bytes in shared memory that the process's own memory does not show."""
        return self._shared_copies.hidden + born.hidden

    @property
    def pool(self) -> Pool:
        """Shared memory whose values are gone, for the next copies."""
        return self._shared_copies.pool

    def make_room_for_copy(self, nbytes: int) -> None:
        """Have older copies leave their memory to one of so many bytes, where all is in use."""
        with self.lock:
            self._shared_copies.make_room(nbytes)

    def shareable(self, key: str) -> Any:
        """Return a value of which a copy in shared memory may be made; `KeyError` if not so."""
        with self.lock:
            entry = self._memory[key]
            if entry.fixed or entry.nbytes > self._shared_copies.max_bytes:
                raise KeyError(key)
            return entry.value

    def shared(self, key: str) -> SharedBlob | None:
        """Return the copy of a value in shared memory, where there is one."""
        with self.lock:
            return self._shared_copies.get(key)

    def share(self, key: str, value: Any, blob: SharedBlob, *, own: bool) -> None:
        """Keep a copy in shared memory as long as the value is here, in memory.

        Parameters
        ----------
        own : bool
            Whether the copy takes memory of its own; False where the value is mapped from it.
        """
        with self.lock:
            entry = self._memory.get(key)
            if entry is None or entry.value is not value:  # dropped or replaced meanwhile
                blob.close()
            else:
                self._shared_copies.put(key, blob, own)

    def evict(self, nbytes: int) -> int:
        """`spill`, and return how many bytes were freed."""
        return self.spill(nbytes).freed

    def spill(
        self, nbytes: int, in_use: frozenset[str] = frozenset(), spare: Sequence[str] = ()
    ) -> Spilled:
        """Free memory.

        The pool of shared memory goes first, the copies in it next, then the values that were not
        used for the longest time, to disk.

        It blocks while it writes: call it on a thread that may. Values that cannot be pickled stay
        in memory. When the disk is full, or `max_spill` reached, all the rest stays.

        Parameters
        ----------
        nbytes : int
            How much.
        in_use : frozenset of str
            Keys whose values stay: writing them would free nothing.
        spare : sequence of str
            Keys whose values go only when all others are gone, in this order.
        """
        with self.lock:
            done = Spilled(self._shared_copies.shrink(nbytes))
        if done.freed >= nbytes:
            return done
        if self._folder is None:
            done.reason = "this worker writes nothing to disk"
            return done
        with self._evicting:
            chosen = self._oldest(nbytes - done.freed, in_use, spare)
            self._leaving = {key for key, _ in chosen}
            for key, entry in chosen:
                done.reason = self._spill(key, entry)
                if done.reason:
                    break
                if entry.value is _ON_DISK:
                    done.freed += entry.nbytes
                    done.keys.append(key)
            self._leaving = set()
        return done

    def close(self) -> None:
        """Drop everything, and the folder on disk."""
        with self._evicting, self.lock:
            self._memory.clear()
            self._disk.clear()
            self._shared_copies.close()
            self.memory_bytes = self.disk_bytes = 0
            if self._folder is not None:
                self._folder.close()

    # ------------------------------------------------------------------

    def _remove(self, key: str) -> bool:
        entry = self._memory.pop(key, None)
        if entry is not None:
            self.memory_bytes -= entry.nbytes
        else:
            entry = self._disk.pop(key, None)
            if entry is None:
                return False
        if self._shared:
            self._shared_copies.drop(key)
        self._remove_file(entry)
        return True

    def _remove_file(self, entry: _Entry) -> None:
        if entry.file is not None and self._folder is not None:
            self._folder.remove(entry.file)
            self.disk_bytes -= entry.on_disk
            entry.file = None

    def _oldest(
        self, nbytes: int, in_use: frozenset[str], spare: Sequence[str]
    ) -> list[tuple[str, _Entry]]:
        chosen = []
        memory = self._memory
        later = in_use.union(spare)
        with self.lock:
            first = (key for key in memory if key not in later)
            last = (key for key in spare if key in memory and key not in in_use)
            for key in chain(first, last):
                if nbytes <= 0:
                    break
                entry = memory[key]
                if not entry.fixed:
                    chosen.append((key, entry))
                    nbytes -= entry.nbytes
        return chosen

    def _spill(self, key: str, entry: _Entry) -> str:
        """Move one value to disk where that is possible; return why no other can be, if so."""
        assert self._folder is not None
        file, size = entry.file, entry.on_disk
        if file is None:
            if self._max_spill is not None and self.disk_bytes + entry.nbytes > self._max_spill:
                why = f"not more than {self._max_spill} bytes are spilled to disk"
                self._warn("limit", why)
                return why
            try:
                file, size = self._folder.write(entry.value)
            except OSError as error:
                self._warn("disk", f"data cannot be spilled to disk and stays in memory: {error}")
                return str(error)
            except Exception as error:
                entry.fixed = True
                self._warn("pickle", f"{key!r} cannot be spilled to disk, it stays: {error}")
                return ""
            self._warned.discard("disk")
        with self.lock:
            if self._memory.get(key) is not entry:  # dropped or replaced meanwhile
                if entry.file is None:
                    self._folder.remove(file)
                return ""
            if entry.file is None:
                entry.file, entry.on_disk = file, size
                self.disk_bytes += size
            if key not in self._leaving:  # it was used meanwhile, so that nothing would be freed
                return ""
            del self._memory[key]
            self._shared_copies.drop(key)
            self.memory_bytes -= entry.nbytes
            entry.value = _ON_DISK
            self._disk[key] = entry
        return ""

    def _read_back(self, key: str, entry: _Entry) -> Any:
        value = self._read_file(key, entry)
        with self.lock:
            if entry.value is not _ON_DISK:
                return entry.value  # another thread was faster: all share one object
            if self._disk.get(key) is entry:
                del self._disk[key]
                entry.value = value
                self._memory[key] = entry
                self.memory_bytes += entry.nbytes
        return value

    def _read_file(self, key: str, entry: _Entry) -> Any:
        assert self._folder is not None
        file = entry.file
        try:
            if file is None:
                raise KeyError(key)
            if self._map_from is not None and entry.nbytes >= self._map_from:
                return self._folder.map(file)[0]
            return self._folder.read(file)
        except Exception as error:
            with self.lock:
                known = self._memory.get(key) or self._disk.get(key)
                if known is not None and known.value is not _ON_DISK:
                    return known.value  # replaced, or read by another thread
                if known is not entry:
                    raise KeyError(key) from None
                self._remove(key)
            logger.warning("Spilled data of %r cannot be read: %s", key, error)
            if self._on_lost is not None:
                self._on_lost([key], f"its spill file cannot be read: {error}")
            raise KeyError(key) from error

    def _warn(self, about: str, text: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            logger.warning("%s", text[:1].upper() + text[1:])
