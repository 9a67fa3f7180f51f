"""Where files of a store are: a folder of this machine, or whatever fsspec knows.

A file is there whole or not at all: it is written aside and renamed, or the storage itself shows
only what is complete.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from typing import Any, Protocol

__all__ = ["Folder", "LocalFolder", "RemoteFolder", "folder_at"]

# Storage of objects: what is put there shows when it is complete.
_WHOLE = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "az", "adl", "memory"})
_ASIDE = ".part-"


class Folder(Protocol):
    """A folder of small and large files, by names with slashes."""

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes | None:
        """Return a file or a part of it; None when there is none."""

    def write(self, name: str, data: bytes | bytearray) -> None:
        """Put a file there, in place of an older one."""

    def remove(self, name: str) -> None:
        """Drop a file, if there is one."""

    def names(self, under: str) -> Iterator[str]:
        """Yield the names of the files below a folder."""


class LocalFolder:
    """A folder of this machine, or of a file system that is mounted.

    Parameters
    ----------
    root : str
        Its path.
    """

    def __init__(self, root: str) -> None:
        self._root = os.path.abspath(os.path.expanduser(root))

    def _path(self, name: str) -> str:
        return os.path.join(self._root, *name.split("/"))

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes | None:
        """Return a file or a part of it; None when there is none."""
        try:
            with open(self._path(name), "rb") as file:
                file.seek(start)
                return file.read() if length is None else file.read(length)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, name: str, data: bytes | bytearray) -> None:
        """Put a file there: written aside, brought to the disk, then renamed."""
        path = self._path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        aside = f"{path}{_ASIDE}{uuid.uuid4().hex}"
        try:
            with open(aside, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(aside, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(aside)
            raise

    def remove(self, name: str) -> None:
        """Drop a file, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path(name))

    def names(self, under: str) -> Iterator[str]:
        """Yield the names of the files below a folder."""
        top = self._path(under)
        for folder, _, files in os.walk(top):
            inside = os.path.relpath(folder, self._root).replace(os.sep, "/")
            yield from (f"{inside}/{file}" for file in files if _ASIDE not in file)


class RemoteFolder:
    """A folder of a file system that fsspec knows.

    Parameters
    ----------
    url : str
        ``s3://bucket/prefix`` and the like.
    options : dict
        Its options for fsspec, ``storage_options``.
    """

    def __init__(self, url: str, options: dict[str, Any]) -> None:
        import fsspec

        protocol = url.partition("://")[0]
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url, **options)
        except ImportError as error:
            extra = "pip install 'shoal[s3]'" if protocol == "s3" else f"fsspec says: {error}"
            raise ImportError(f"the store at {url} needs a package more: {extra}") from error
        self._root = self._root.rstrip("/")
        self._is_whole = protocol in _WHOLE

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def read(self, name: str, start: int = 0, length: int | None = None) -> bytes | None:
        """Return a file or a part of it; None when there is none."""
        end = None if length is None else start + length
        try:
            if not start and end is None:
                return bytes(self._fs.cat_file(self._path(name)))
            return bytes(self._fs.cat_file(self._path(name), start=start, end=end))
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes | bytearray) -> None:
        """Put a file there, whole."""
        path = self._path(name)
        if self._is_whole:
            self._fs.pipe_file(path, bytes(data))
            return
        self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        aside = f"{path}{_ASIDE}{uuid.uuid4().hex}"
        self._fs.pipe_file(aside, bytes(data))
        self._fs.mv(aside, path)

    def remove(self, name: str) -> None:
        """Drop a file, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._path(name))

    def names(self, under: str) -> Iterator[str]:
        """Yield the names of the files below a folder."""
        self._fs.invalidate_cache()
        try:
            found = self._fs.find(self._path(under))
        except FileNotFoundError:
            return
        start = len(self._root) + 1
        yield from (path[start:] for path in found if _ASIDE not in path)


def folder_at(url: str, options: dict[str, Any]) -> Folder:
    """Return the folder at a path or an address."""
    protocol, found, rest = url.partition("://")
    if not found:
        return LocalFolder(url)
    if protocol in ("file", "local"):
        return LocalFolder(rest)
    return RemoteFolder(url, options)
