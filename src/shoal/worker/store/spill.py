"""Values in files: one file a value, the pickle and its large buffers one after another.

A file begins with a mark, the number of parts and the length of each, so that one that was cut
short is noticed. Files are private to the user, and their folder ends with the worker. Nothing here
knows of memory, limits or threads.
"""

from __future__ import annotations

import itertools
import mmap
import os
import shutil
import struct
import time
from typing import Any, BinaryIO

from shoal._base.private_folder import fresh_folder
from shoal.wire.blob import Blob, Buffer
from shoal.wire.pickling import dumps, loads

__all__ = ["Activity", "SpillFolder"]

_MARK = b"shoal-v1"
_COUNT = struct.Struct("<I")
_LENGTH = struct.Struct("<Q")


class Activity:
    """How much of one kind of work there was: bytes, how often, seconds."""

    __slots__ = ("count", "nbytes", "seconds")

    def __init__(self) -> None:
        self.nbytes = 0
        self.count = 0
        self.seconds = 0.0

    def add(self, nbytes: int, since: float) -> float:
        """Count what was begun at a time and has ended now; return now."""
        now = time.perf_counter()
        self.nbytes += nbytes
        self.count += 1
        self.seconds += now - since
        return now


class SpillFolder:
    """A folder of spilled values, made when the first one comes.

    Parameters
    ----------
    parent : str
        The folder in which it is made, under a name that nobody else has.
    """

    def __init__(self, parent: str) -> None:
        self._parent = parent
        self._path: str | None = None
        self._numbers = itertools.count()
        # Threads count at the same time; what is lost by that is not worth a lock.
        self.work = {
            name: Activity() for name in ("serialize", "disk-write", "disk-read", "deserialize")
        }

    def write(self, value: Any) -> tuple[str, int]:
        """Write a value into a new file; return its path and size in bytes.

        Raises
        ------
        TypeError
            When the value cannot be pickled.
        OSError
            When the disk is full or not to be written to. No file is left then.
        """
        began = time.perf_counter()
        blob = dumps(value)
        began = self.work["serialize"].add(blob.nbytes(), began)
        parts = [memoryview(part.data).cast("B") for part in [Buffer(blob.data), *blob.buffers]]
        if self._path is None:
            os.makedirs(self._parent, exist_ok=True)
            self._path = fresh_folder(self._parent, "storage-")
        path = os.path.join(self._path, str(next(self._numbers)))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
        try:
            with open(descriptor, "wb", buffering=0) as file:
                lengths = b"".join(_LENGTH.pack(part.nbytes) for part in parts)
                _write(file, memoryview(_MARK + _COUNT.pack(len(parts)) + lengths))
                for part in parts:
                    _write(file, part)
                nbytes = file.tell()
        except BaseException:
            self.remove(path)
            raise
        self.work["disk-write"].add(nbytes, began)
        return path, nbytes

    def read(self, path: str) -> Any:
        """Return the value in a file; arrays in it can be written to.

        Raises
        ------
        OSError
            When the file cannot be read.
        Exception
            The exception of unpickling; `ValueError` when the file is not what was written.
        """
        began = time.perf_counter()
        with open(path, "rb", buffering=0) as file:
            lengths = _lengths(file, path)
            parts = [_read(file, length) for length in lengths]
        began = self.work["disk-read"].add(sum(lengths), began)
        value = loads(Blob(parts[0], [Buffer(part) for part in parts[1:]]))
        self.work["deserialize"].add(sum(lengths), began)
        return value

    def map(self, path: str) -> tuple[Any, int | None]:
        """Return the value in a file, its buffers mapped from there; and where the last one begins.

        None where it has no buffers outside of its pickle.

        The file may be removed meanwhile.

        Raises
        ------
        OSError
            When the file cannot be read.
        Exception
            The exception of unpickling; `ValueError` when the file is not what was written.
        """
        with open(path, "rb", buffering=0) as file:
            lengths = _lengths(file, path)
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        at = len(_MARK) + _COUNT.size + len(lengths) * _LENGTH.size
        parts = []
        for length in lengths:
            parts.append(whole[at : at + length])
            at += length
        blob = Blob(parts[0], [Buffer(part) for part in parts[1:]])
        outside = len(parts) - (1 if len(parts[0]) else 2)  # the pickle may be the first of them
        return loads(blob), at - lengths[-1] if outside > 0 else None

    def remove(self, path: str) -> None:
        """Delete a file, if it is there."""
        try:
            os.unlink(path)
        except OSError:  # gone already; on Windows perhaps open, then it goes with the folder
            pass

    def close(self) -> None:
        """Delete the folder and all in it."""
        if self._path is not None:
            shutil.rmtree(self._path, ignore_errors=True)
            self._path = None


_BINARY = getattr(os, "O_BINARY", 0)  # Windows would translate line ends


def _lengths(file: BinaryIO, path: str) -> list[int]:
    """Read how long each part of a file is."""
    head = _read(file, len(_MARK) + _COUNT.size)
    if not head.startswith(_MARK):
        raise ValueError(f"{path} is not a file of spilled data")
    (count,) = _COUNT.unpack_from(head, len(_MARK))
    size = os.fstat(file.fileno()).st_size  # before memory is taken for what a file claims
    if count * _LENGTH.size > size:
        raise ValueError(f"{path} was cut short")
    lengths = [n for (n,) in _LENGTH.iter_unpack(_read(file, count * _LENGTH.size))]
    if sum(lengths) > size:
        raise ValueError(f"{path} was cut short")
    return lengths


def _write(file: BinaryIO, data: memoryview) -> None:
    while data.nbytes:
        data = data[file.write(data) :]


def _read(file: BinaryIO, nbytes: int) -> bytearray:
    data = bytearray(nbytes)
    view = memoryview(data)
    while view.nbytes:
        count = file.readinto(view)  # type: ignore[attr-defined]
        if not count:
            raise ValueError(f"{file.name} was cut short")
        view = view[count:]
    return data
