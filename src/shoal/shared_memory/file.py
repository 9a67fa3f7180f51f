"""One anonymous file, as its owner and as its readers see it, and the lock between them.

The first page of a file holds a random token: numbers of processes and files are used again, and
so is the file, and a reader must know what it opened. The value's bytes begin on the second page.

**Who reads holds a shared lock** (`flock`) on what it opened, from before it looks at the token.
The kernel keeps that lock as long as anything refers to what was opened: the descriptor, a mapping,
or a part of one, also in forked children; and not longer, however a process ends. So the owner's
exclusive lock is had only while nobody reads or maps the file. The owner holds it while it
overwrites; nobody waits for a lock, who cannot have it does without.

Files cannot be cut, extended or written by descriptor, not even by their owner. The owner writes to
a mapping from before that seal; no process can make another.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Sequence

from shoal.shared_memory.mapped import copy_into, map_for_writing, populate, unmap

__all__ = ["HEAD", "TOKEN_BYTES", "OwnFile", "head", "open_file"]

HEAD = mmap.PAGESIZE
"""Bytes before the value's."""

TOKEN_BYTES = 16

_NAME = "shoal"
_LINK = f"/memfd:{_NAME} (deleted)"
_FIXED = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
_NO_NEW_WRITER = 0x10  # F_SEAL_FUTURE_WRITE, of Linux 5.1; the module has it from Python 3.13 on


def head(token: bytes, index: int) -> bytes:
    """Return what the file of that number, of the segment with that token, begins with."""
    return token + bytes([index])


class OwnFile:
    """A file of this process, for one value after another.

    Attributes
    ----------
    descriptor : int
        Its number, by which other processes find it.
    capacity : int
        Bytes that a value can have here, whole pages; they are there from the first `write` on.
    hidden : int
        Bytes of it that the system does not count as memory of this process.
    """

    __slots__ = ("_address", "_pid", "capacity", "descriptor", "hidden")

    def __init__(self, nbytes: int) -> None:
        self.descriptor = -1
        self.capacity = -(-nbytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self.hidden = self.capacity
        self._pid = os.getpid()
        self._address = 0
        self.descriptor = os.memfd_create(_NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)

    @property
    def reusable(self) -> bool:
        """Whether it can be written again."""
        # A forked child has its locks in common with its parent, and not the mapping.
        return bool(self._address) and os.getpid() == self._pid

    def claim(self) -> bool:
        """Return whether nobody has a use for the content; then nobody can, until it is written."""
        if not self.reusable:
            return False
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """Let others open a claimed file."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def write(self, mark: bytes, pieces: Sequence[memoryview], offsets: Sequence[int]) -> None:
        """Write a value's part, in a new file or one that was claimed; others can then open it.

        Parameters
        ----------
        mark : bytes
            The `head`.
        pieces : sequence of memoryview
            Bytes.
        offsets : sequence of int
            Where each of them begins.

        Raises
        ------
        OSError
            When there is no memory. The file is to be closed then.
        """
        if self._address:
            self._overwrite(mark, pieces, offsets)
            self.release()
            return
        # Written, not mapped and copied: the kernel then need not clear the pages first.
        _write(self.descriptor, memoryview(mark), 0)
        for piece, offset in zip(pieces, offsets, strict=True):
            _write(self.descriptor, piece, HEAD + offset)
        os.ftruncate(self.descriptor, HEAD + self.capacity)
        self._seal()

    def _overwrite(self, mark: bytes, pieces: Sequence[memoryview], offsets: Sequence[int]) -> None:
        if self.hidden:  # not before it is used again: many a file never is
            populate(self._address, HEAD + self.capacity)
            self.hidden = 0
        copy_into(self._address, memoryview(mark))
        for piece, offset in zip(pieces, offsets, strict=True):
            copy_into(self._address + HEAD + offset, piece)

    def _seal(self) -> None:
        length = HEAD + self.capacity
        self._address = map_for_writing(self.descriptor, length)
        try:
            _add_seals(self.descriptor, _FIXED | _NO_NEW_WRITER | fcntl.F_SEAL_SEAL)
        except OSError:  # an older Linux: then nobody can write at all, and it is used once
            self._unmap()
            _add_seals(self.descriptor, _FIXED | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL)

    def _unmap(self) -> None:
        # In a forked child it is not mapped, and something else may be at that address.
        if self._address and os.getpid() == self._pid:
            unmap(self._address, HEAD + self.capacity)
        self._address = 0

    def close(self) -> None:
        """Give it up; its memory is freed when nobody has it open or mapped any more."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            self._unmap()
            os.close(descriptor)

    __del__ = close

    def __repr__(self) -> str:
        return f"<OwnFile {self.descriptor} of {self.capacity} bytes>"


def open_file(path: str, mark: bytes, nbytes: int) -> int:
    """Open a file of another process to read it, and return the descriptor.

    As long as that, or a mapping made from it, is there, the content stays as it is.

    Raises
    ------
    OSError
        When it is gone, may not be opened, or is being overwritten.
    ValueError
        When something else is there.
    """
    if os.readlink(path) != _LINK:  # before it is opened: that might do something
        raise ValueError(f"{path} is not shared memory of shoal")
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # before the token is looked at
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
        if (
            os.pread(descriptor, len(mark), 0) != mark
            or os.fstat(descriptor).st_size < HEAD + nbytes
            or seals & _FIXED != _FIXED
            or not seals & (_NO_NEW_WRITER | fcntl.F_SEAL_WRITE)
        ):
            raise ValueError(f"{path} is another segment than it was")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _add_seals(descriptor: int, seals: int) -> None:
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)


def _write(descriptor: int, data: memoryview, at: int) -> None:
    while data.nbytes:  # one call writes at most 2 GiB
        count = os.pwrite(descriptor, data, at)
        data = data[count:]
        at += count
