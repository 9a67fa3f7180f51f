"""A store of results: found by name, written so that nothing torn is ever read, dropped when old.

Large entries are files of their own, small ones are in packs. A store that fails never makes a
computation fail: it says so once, and is left alone for a while.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Any, NamedTuple

from dask.utils import parse_timedelta

from shoal.cache import packs
from shoal.cache.entries import About, BadEntry, pack_entry, unpack_entry, value_of
from shoal.cache.folders import Folder, folder_at

__all__ = ["MISSING", "Entry", "Store", "store_of"]

logger = logging.getLogger("shoal.cache")

_OBJECTS = "objects"
_SMALL = 32 * 2**10  # bytes of an entry up to which it is packed with others
_REST = 30.0  # seconds that a store which failed is left alone
MISSING: Any = object()  # returned by `try_get` where there is no value


class Entry(NamedTuple):
    """One result in a store, as `Store.ls` tells of it.

    Attributes
    ----------
    name : str
        Under which it is found.
    function : str
        The function that made it.
    created : float
        When, in seconds since the epoch.
    version : str
        The version that its maker said.
    nbytes : int
        Size of its value.
    file : str
        The file that it is in.
    """

    name: str
    function: str
    created: float
    version: str
    nbytes: int
    file: str


class Store:
    """Where results outlive their cluster.

    Parameters
    ----------
    url : str or path
        A folder, or an address that fsspec knows: ``"s3://bucket/prefix"``.
    version : str
        Part of all names: another version finds nothing of this one.
    expire : str or float, optional
        How long a result is good, ``"30 days"``; for ever by default.
    storage_options : dict, optional
        Options for fsspec: keys, endpoints.

    Examples
    --------
    >>> store = Store("results", version="2", expire="30 days")
    >>> futures = client.map(simulate, range(100), cache=store)  # doctest: +SKIP
    >>> [entry.function for entry in store.ls()]  # doctest: +SKIP
    ['simulate', ...]
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        version: str = "",
        expire: str | float | None = None,
        storage_options: dict[str, Any] | None = None,
    ) -> None:
        self.url = os.fspath(url)
        if "://" not in self.url:  # where a process stands is its own business
            self.url = os.path.abspath(os.path.expanduser(self.url))
        self.version = str(version)
        self.expire = None if expire is None else float(parse_timedelta(expire))
        self.storage_options = dict(storage_options or {})
        self._made: _Backend | None = None

    def __repr__(self) -> str:
        return f"<Store {self.url!r}>"

    def __reduce__(self) -> Any:
        return _remade, (self.url, self.version, self.expire, self.storage_options)

    def __dask_tokenize__(self) -> tuple[str, ...]:
        return ("shoal.Store", self.url, self.version)

    @property
    def _backend(self) -> _Backend:
        if self._made is None:
            self._made = _backend_at(self.url, self.storage_options)
        return self._made

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value; the default where there is none that is whole and not too old.

        Raises
        ------
        Exception
            The storage's error.
        """
        found = self._backend.read(name)
        if found is None or self._is_old(found[0]):
            return default
        return value_of(*found)

    def __contains__(self, name: str) -> bool:
        found = self._backend.read(name)
        return found is not None and not self._is_old(found[0])

    def put(self, name: str, value: Any, function: str = "", *, now: bool = False) -> None:
        """Keep a value.

        Parameters
        ----------
        name : str
            Under which it is found again.
        value : object
            A value that can be pickled.
        function : str
            The maker of the entry: text for people.
        now : bool
            Whether it is on the storage when this returns. Small values are gathered otherwise.
        """
        entry = pack_entry(name, function, self.version, time.time(), value)
        self._backend.write(name, entry, now)

    def try_get(self, name: str) -> Any:
        """Return a value, or `MISSING`, whatever happens to the storage."""
        if self._backend.rests:
            return MISSING
        try:
            return self.get(name, MISSING)
        except Exception as error:
            self._backend.note_failure(error)
            return MISSING

    def try_put(self, name: str, value: Any, function: str = "") -> None:
        """Keep a value if that can be done."""
        if self._backend.rests:
            return
        try:
            self.put(name, value, function)
        except Exception as error:
            self._backend.note_failure(error)

    def flush(self) -> None:
        """Write what small values wait to be written together."""
        self._backend.writer.flush()

    def ls(self, function: str | None = None) -> Iterator[Entry]:
        """Yield what is there, of one function or all; what is torn is not."""
        for found, file in self._backend.all():
            if function is None or found.function == function:
                yield Entry(
                    found.name, found.function, found.created, found.version, found.nbytes, file
                )

    def rm(
        self,
        name: str | None = None,
        *,
        function: str | None = None,
        older: str | float | None = None,
    ) -> int:
        """Drop entries: one by name, those of a function, those that are older than a time.

        Without any of these, all. Returns how many were dropped.
        """
        before = None if older is None else time.time() - float(parse_timedelta(older))

        def goes(found: About) -> bool:
            return (
                (name is None or found.name == name)
                and (function is None or found.function == function)
                and (before is None or found.created < before)
            )

        return self._backend.remove(goes)

    def verify(self, remove: bool = False) -> list[str]:
        """Read all, and return the files in which something does not fit its checksum.

        Parameters
        ----------
        remove : bool
            Drop what is damaged.
        """
        return self._backend.verify(remove)

    def _is_old(self, found: About) -> bool:
        return self.expire is not None and time.time() - found.created > self.expire


def store_of(cache: Any) -> Store:
    """Return the store that a user means: one, or its path or address."""
    if isinstance(cache, Store):
        return cache
    if isinstance(cache, (str, os.PathLike)):
        return Store(cache)
    raise TypeError(
        f"cache= takes a folder, an address such as 's3://bucket/prefix', or a shoal.Store; "
        f"not the {type(cache).__name__} {cache!r}"
    )


def _remade(url: str, version: str, expire: float | None, options: dict[str, Any]) -> Store:
    return Store(url, version=version, expire=expire, storage_options=options)


class _Backend:
    """The files of a store; one for all stores of an address in a process."""

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        self._url = url
        self._options = options
        self._folder: Folder | None = None
        self._reader: packs.PackReader | None = None
        self._writer: packs.PackWriter | None = None
        self._rests_until = 0.0
        self._said = False

    @property
    def folder(self) -> Folder:
        if self._folder is None:
            self._folder = folder_at(self._url, self._options)
        return self._folder

    @property
    def writer(self) -> packs.PackWriter:
        if self._writer is None:
            self._writer = packs.PackWriter(self.folder, self.reader.learn, self.note_failure)
        return self._writer

    @property
    def reader(self) -> packs.PackReader:
        if self._reader is None:
            self._reader = packs.PackReader(self.folder)
        return self._reader

    @property
    def rests(self) -> bool:
        return bool(self._rests_until) and time.monotonic() < self._rests_until

    def note_failure(self, error: Exception) -> None:
        self._rests_until = time.monotonic() + _REST
        if not self._said:
            self._said = True
            logger.warning(
                "The cache at %s cannot be used: %s: %s. Results are computed, and not kept",
                self._url,
                type(error).__name__,
                error,
            )

    def read(self, name: str) -> tuple[About, bytes] | None:
        waiting = None if self._writer is None else self._writer.get(name)
        data: bytes | memoryview | None = waiting or self.reader.get(name)
        if data is None:
            data = self.folder.read(_object(name))
        if data is None:
            return None
        try:
            return unpack_entry(data, name)
        except BadEntry as error:
            logger.warning("An entry of the cache at %s is not used: %s", self._url, error)
            return None

    def write(self, name: str, entry: bytearray, now: bool) -> None:
        if now or len(entry) > _SMALL:
            self.folder.write(_object(name), entry)
        else:
            self.writer.add(name, bytes(entry))

    def all(self) -> Iterator[tuple[About, str]]:
        for file, entries in self._files():
            for _, data in entries:
                try:
                    yield unpack_entry(data)[0], file
                except BadEntry:
                    pass

    def _files(self) -> Iterator[tuple[str, list[tuple[str, bytes | memoryview]]]]:
        if self._writer is not None:
            self._writer.flush()
        for file in list(self.folder.names(_OBJECTS)):
            data = self.folder.read(file)
            if data is not None:
                yield file, [(file.rpartition("/")[2], data)]
        for file in list(self.folder.names(packs.FOLDER)):
            data = self.folder.read(file)
            if data is not None:
                yield file, list(packs.entries_of(data).items())

    def remove(self, goes: Callable[[About], bool]) -> int:
        removed = 0
        for file, entries in self._files():
            kept: dict[str, bytes] = {}
            gone = 0
            for name, data in entries:
                try:
                    gone += (drop := goes(unpack_entry(data)[0]))
                except BadEntry:
                    drop = False
                if not drop:
                    kept[name] = bytes(data)
            if gone:
                self._keep_only(file, kept)
                removed += gone
        self.reader.forget()
        return removed

    def _keep_only(self, file: str, kept: dict[str, bytes]) -> None:
        if kept:  # of a pack: its successor is there before it goes
            self.folder.write(file.replace(".pack", "-.pack"), packs.join(kept))
        self.folder.remove(file)

    def verify(self, remove: bool) -> list[str]:
        bad: list[str] = []
        for file, entries in self._files():
            good: dict[str, bytes] = {}
            for name, data in entries:
                try:
                    unpack_entry(data, name)
                    good[name] = bytes(data)
                except BadEntry:
                    pass
            if len(good) < len(entries) or not entries:
                bad.append(file)
                if remove:
                    self._keep_only(file, good)
        self.reader.forget()
        return bad


def _object(name: str) -> str:
    return f"{_OBJECTS}/{name[:2]}/{name}"


_backends: dict[tuple[str, str], _Backend] = {}
_lock = Lock()


def _backend_at(url: str, options: dict[str, Any]) -> _Backend:
    with _lock:
        key = (url, repr(sorted(options.items())))
        if key not in _backends:
            _backends[key] = _Backend(url, options)
        return _backends[key]
