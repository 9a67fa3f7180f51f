"""The journal's file: written on the loop, synced and compacted in threads."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.scheduler.core.journal.format import compact

if TYPE_CHECKING:
    from shoal.scheduler.core.journal.writer import JournalWriter

__all__ = ["FileDisk"]

# Seconds between two syncs that nobody waits for, and until the next try after the disk refused.
_BETWEEN = 0.010
_RETRY = 5.0

_sync_data = getattr(os, "fdatasync", os.fsync)


class FileDisk:
    """The real `shoal.scheduler.core.journal.writer.Disk`.

    Parameters
    ----------
    path : Path
        The file.
    is_mine : callable
        Called before each write; raises `OSError` when another scheduler has taken the journal.
    at_once : bool
        Whether somebody waits for each sync.
    """

    def __init__(self, path: Path, is_mine: Callable[[], None], at_once: bool) -> None:
        self.writer: JournalWriter  # set by whoever makes it
        self._path = path
        self._aside = path.with_name(f"{path.name}.new")
        self._is_mine = is_mine
        self._at_once = at_once
        self._fd = -1
        self._loop = asyncio.get_running_loop()
        # One syncs while the other compacts.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="shoal-journal")
        self._synced_at = 0.0
        self._retrying: asyncio.TimerHandle | None = None
        self._closed = False

    # -- writing -------------------------------------------------------------------------

    def append(self, data: bytes) -> None:
        """Write at the end."""
        self._is_mine()
        _write(self._fd, data)

    def read(self, start: int, stop: int) -> bytes:
        """Return a part of the file."""
        with self._path.open("rb") as file:
            file.seek(start)
            return file.read(stop - start)

    def replace(self, data: bytes) -> None:
        """Put another file in its place, whole and on disk, or leave it."""
        self._is_mine()
        _write_file(self._aside, data)
        self._move_in()

    def adopt(self, tail: bytes) -> None:
        """Append to the file made aside, sync it, and put it in the place of the journal."""
        self._is_mine()
        fd = os.open(self._aside, os.O_WRONLY | os.O_APPEND)
        try:
            _write(fd, tail)
            os.fsync(fd)
        finally:
            os.close(fd)
        self._move_in()

    def _move_in(self) -> None:
        fd = os.open(self._aside, os.O_WRONLY | os.O_APPEND)
        try:
            os.replace(self._aside, self._path)
        except BaseException:
            os.close(fd)
            raise
        self._close_file()
        self._fd = fd
        sync_folder(self._path.parent)

    # -- in threads -----------------------------------------------------------------------

    def sync_soon(self) -> None:
        """Sync at the end of the turn; with some time after the last one, if nobody waits."""
        wait = 0.0 if self._at_once else self._synced_at + _BETWEEN - self._loop.time()
        if wait > 0:
            self._loop.call_later(wait, self._sync)
        else:
            self._loop.call_soon(self._sync)

    def _sync(self) -> None:
        if self._closed or self._fd < 0:
            return
        self._synced_at = self._loop.time()
        file = self.writer.sync_begins()
        fd = os.dup(self._fd)  # the file may be replaced meanwhile

        def work() -> None:
            error: OSError | None = None
            try:
                _sync_data(fd)
            except OSError as failed:
                error = failed
            finally:
                os.close(fd)
            self._tell(self.writer.sync_ended, file, error)

        self._threads.submit(work)

    def compact_soon(self, size: int, nonce: int) -> None:
        """Make a snapshot of the first bytes, aside."""

        def work() -> None:
            error: OSError | None = None
            length = number = 0
            try:
                with self._path.open("rb") as file:
                    made = compact(file.read(size), nonce)
                length, number = len(made.data), made.number
                _write_file(self._aside, made.data)
            except OSError as failed:
                error = failed
            except Exception as failed:
                error = OSError(f"{type(failed).__name__}: {failed}")
            self._tell(self.writer.compacted, nonce, length, number, error)

        self._threads.submit(work)

    def _tell(self, function: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is gone
            self._loop.call_soon_threadsafe(self._if_open, function, args)

    def _if_open(self, function: Callable[..., None], args: tuple[object, ...]) -> None:
        if not self._closed:
            function(*args)

    def retry_later(self) -> None:
        """Try again in a while."""
        if not self._closed:
            self._retrying = self._loop.call_later(_RETRY, self.writer.retry)

    def close(self) -> None:
        """Have all on disk, and close the file."""
        self._closed = True
        if self._retrying is not None:
            self._retrying.cancel()
        self._threads.shutdown(wait=True)
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                _sync_data(self._fd)
        self._close_file()
        with contextlib.suppress(OSError):
            self._aside.unlink()

    def _close_file(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _write(fd: int, data: bytes) -> None:
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


def _write_file(path: Path, data: bytes) -> None:
    """Write a file that only this user can read, and have it on disk."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        _write(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_folder(path: Path) -> None:
    """Have the names in a folder on disk, where the system knows of that."""
    with contextlib.suppress(OSError):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
