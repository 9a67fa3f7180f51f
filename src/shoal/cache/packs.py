"""Many small entries in one file: gathered for a moment by the process that made them.

A pack is the entries one after the other, their places (msgpack), the length of that in 8 bytes,
and a magic. It is written once, whole, and never changed. Results gathered and not yet written are
lost with their process, and computed again where they are needed.
"""

from __future__ import annotations

import atexit
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from shoal.cache.folders import Folder

__all__ = ["FOLDER", "PackReader", "PackWriter", "entries_of", "join", "write_all"]

FOLDER = "packs"
_MAGIC = b"shoal-pack-1\n"
_TAIL = 8 + len(_MAGIC)
_MOST_BYTES = 4 * 2**20
_MOST_ENTRIES = 5000
_MOMENT = 0.25  # seconds that entries wait for others
_LOOK_EVERY = 1.0  # seconds between two looks for packs of others
_KEPT_BYTES = 64 * 2**20  # of packs that were read

_places = msgspec.msgpack.Decoder(dict[str, tuple[int, int]])


def join(entries: dict[str, bytes]) -> bytes:
    """Return a pack of entries by name."""
    whole = bytearray()
    places: dict[str, tuple[int, int]] = {}
    for name, entry in entries.items():
        places[name] = (len(whole), len(entry))
        whole += entry
    index = msgspec.msgpack.encode(places)
    return bytes(whole) + index + len(index).to_bytes(8, "little") + _MAGIC


def entries_of(pack: bytes) -> dict[str, memoryview]:
    """Return the entries of a pack by name; none where it is not whole."""
    if len(pack) < _TAIL or pack[-len(_MAGIC) :] != _MAGIC:
        return {}
    length = int.from_bytes(pack[-_TAIL : -len(_MAGIC)], "little")
    try:
        places = _places.decode(pack[-_TAIL - length : -_TAIL])
    except msgspec.DecodeError:
        return {}
    view = memoryview(pack)
    return {name: view[start : start + size] for name, (start, size) in places.items()}


class PackWriter:
    """Gathers the small entries of this process, and writes them together.

    Parameters
    ----------
    folder : Folder
        Where packs go.
    on_written : callable
        Called with a pack and the names in it.
    on_error : callable
        Called with the exception when one could not be written.
    """

    def __init__(
        self,
        folder: Folder,
        on_written: Callable[[str, Iterable[str]], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._folder = folder
        self._on_written = on_written
        self._on_error = on_error
        self._writing: dict[str, bytes] = {}
        self._alone = threading.Lock()  # one pack at a time
        self._lock = threading.Lock()
        self._waiting: dict[str, bytes] = {}
        self._nbytes = 0
        self._timer: threading.Timer | None = None
        _writers.append(self)

    def get(self, name: str) -> bytes | None:
        """Return an entry that is not written yet."""
        return self._waiting.get(name) or self._writing.get(name)

    def add(self, name: str, entry: bytes) -> None:
        """Take an entry, to be written soon."""
        with self._lock:
            self._waiting[name] = entry
            self._nbytes += len(entry)
            full = self._nbytes >= _MOST_BYTES or len(self._waiting) >= _MOST_ENTRIES
            if not full and self._timer is None:
                self._timer = threading.Timer(_MOMENT, self.flush)
                self._timer.daemon = True
                self._timer.start()
        if full:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        with self._alone:
            with self._lock:
                self._writing, self._waiting = self._waiting, {}
                self._nbytes = 0
                timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
            if not self._writing:
                return
            name = f"{FOLDER}/{time.time_ns():020}-{uuid.uuid4().hex[:8]}.pack"
            try:
                self._folder.write(name, join(self._writing))
                self._on_written(name, self._writing)
            except Exception as error:
                self._on_error(error)
            finally:
                self._writing = {}


_writers: list[PackWriter] = []


def write_all() -> None:
    """Write what waits in this process, in all stores; called when it ends."""
    for writer in list(_writers):
        writer.flush()


atexit.register(write_all)


class PackReader:
    """Finds entries in the packs of a folder.

    Parameters
    ----------
    folder : Folder
        Where packs are.
    """

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._known: set[str] = set()  # packs whose places are known
        self._where: dict[str, str] = {}  # entry -> the newest pack that has it
        self._kept: OrderedDict[str, dict[str, memoryview]] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._looked = 0.0

    def get(self, name: str) -> memoryview | None:
        """Return an entry; None where no pack has it."""
        with self._lock:
            if name not in self._where and time.monotonic() - self._looked >= _LOOK_EVERY:
                self._look()
            pack = self._where.get(name)
            if pack is None:
                return None
            found = self._entries(pack).get(name)
            if found is None:  # another process removed the pack, or made another of it
                del self._where[name]
            return found

    def learn(self, pack: str, names: Iterable[str]) -> None:
        """A pack of this process was written."""
        with self._lock:
            self._known.add(pack)
            self._where.update(dict.fromkeys(names, pack))

    def forget(self) -> None:
        """Look at everything anew the next time."""
        with self._lock:
            self._known.clear()
            self._where.clear()
            self._kept.clear()
            self._sizes.clear()
            self._looked = 0.0

    def _look(self) -> None:
        names = sorted(name for name in self._folder.names(FOLDER) if name.endswith(".pack"))
        for pack in names:
            if pack not in self._known:
                self._known.add(pack)
                for name in self._entries(pack):
                    self._where[name] = pack
        self._looked = time.monotonic()

    def _entries(self, pack: str) -> dict[str, memoryview]:
        found = self._kept.get(pack)
        if found is not None:
            self._kept.move_to_end(pack)
            return found
        data = self._folder.read(pack) or b""
        found = self._kept[pack] = entries_of(data)
        self._sizes[pack] = len(data)
        while len(self._kept) > 1 and sum(self._sizes.values()) > _KEPT_BYTES:
            old, _ = self._kept.popitem(last=False)
            del self._sizes[old]
        return found
