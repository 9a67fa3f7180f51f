"""Memory for what is large beside the worker's limit: it lies in a file.

The system writes pages of a mapped file back and takes them away when memory is short, so that a
partition that is longer than all others, or than the limit, does not end its worker. Which values
are read back from spill files in the same way is decided in the worker's store.
"""

from __future__ import annotations

import logging
import mmap
import os
import tempfile
from typing import TYPE_CHECKING, Any

from shoal.task_context import current

if TYPE_CHECKING:
    import numpy as np

__all__ = ["LARGE", "Scratch", "is_large", "room"]

logger = logging.getLogger("shoal.worker")

LARGE = 0.25
"""Of the memory limit: what is above it lies in a file."""


def is_large(nbytes: int) -> bool:
    """Return whether so many bytes are too much for the memory of the worker that runs this."""
    context = current.get()
    limit = 0 if context is None else context.worker.memory_limit
    return 0 < LARGE * limit < nbytes


def room(nbytes: int, *, in_file: bool = False) -> np.ndarray[Any, Any]:
    """Return an array of bytes, not filled: in memory, or in a file where it is large.

    A disk that has no room for it is found out here; then it is in memory.

    Parameters
    ----------
    nbytes : int
        Its length.
    in_file : bool
        It is a part of something large.
    """
    import numpy as np  # the worker's store needs only the constant

    context = current.get()
    if context is not None and (in_file or is_large(nbytes)):
        try:
            with tempfile.TemporaryFile(dir=context.worker.local_directory, buffering=0) as file:
                _reserve(file.fileno(), nbytes)
                return np.frombuffer(mmap.mmap(file.fileno(), nbytes), "u1")
        except OSError as error:
            logger.info("%d bytes are kept in memory, not in a file: %s", nbytes, error)
    return np.empty(nbytes, "u1")


def _reserve(descriptor: int, nbytes: int) -> None:
    """Have a file be so long: a page without room on the disk would end the process later."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, nbytes)
    else:
        os.truncate(descriptor, nbytes)


class Scratch:
    """A file without a name in the worker's folder: what is written there can be read again."""

    __slots__ = ("_file", "nbytes")

    def __init__(self) -> None:
        context = current.get()
        folder = None if context is None else context.worker.local_directory
        self._file: Any = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self.nbytes = 0

    def write(self, data: Any) -> None:
        """Append bytes."""
        view = memoryview(data).cast("B")
        self.nbytes += view.nbytes
        while view.nbytes:
            view = view[self._file.write(view) :]

    def read_into(self, at: int, views: Any) -> None:
        """Copy what begins at a place into views, one after the other."""
        self._file.seek(at)
        for view in views:
            while view.nbytes:
                count = self._file.readinto(view)
                if not count:
                    raise ValueError("the file ends before")
                view = view[count:]

    def close(self) -> None:
        """Give the file up."""
        self._file.close()

    __del__ = close
