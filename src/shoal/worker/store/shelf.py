"""The shelf: shared-memory copies of stored values, for readers on this host.

A copy of our own takes memory besides the value. One borrowed from a peer is what our value is
mapped from, so it costs open files only. Both are there for speed: they go when the value goes,
when memory is short, and when there are too many, the least recently asked for first.
"""

from __future__ import annotations

import sys

from shoal.shared_memory import SharedBlob

__all__ = ["Shelf"]

_FEW_FILES = 64  # where the system does not say how many may be open


class Shelf:
    """Shared blobs by key. Its owner sees to it that one thread at a time calls.

    Parameters
    ----------
    max_bytes : int
        Most that own copies may take together.
    max_files : int, optional
        Most files open for all of them; by default a quarter of what the process may open.

    Attributes
    ----------
    blobs : dict
        The blobs, the least recently asked for first.
    own_bytes : int
        What the own copies take.
    """

    __slots__ = ("_files", "_own", "blobs", "max_bytes", "max_files", "own_bytes")

    def __init__(self, max_bytes: int, max_files: int | None = None) -> None:
        self.max_bytes = max_bytes
        self.max_files = _allowed_files() if max_files is None else max_files
        self.blobs: dict[str, SharedBlob] = {}
        self.own_bytes = 0
        self._own: set[str] = set()
        self._files = 0

    def get(self, key: str) -> SharedBlob | None:
        """Return the blob of a key, where there is one."""
        blob = self.blobs.pop(key, None)
        if blob is not None:
            self.blobs[key] = blob
        return blob

    def put(self, key: str, blob: SharedBlob, own: bool) -> None:
        """Take a blob, in place of an older one; drop others where limits ask for that."""
        self.drop(key)
        self.blobs[key] = blob
        self._files += blob.files
        if own:
            self._own.add(key)
            self.own_bytes += blob.nbytes
        self.shrink(self.own_bytes - self.max_bytes)
        while self._files > self.max_files:
            self.drop(next(iter(self.blobs)))

    def drop(self, key: str) -> None:
        """Close the blob of a key, where there is one."""
        blob = self.blobs.pop(key, None)
        if blob is None:
            return
        self._files -= blob.files
        if key in self._own:
            self._own.discard(key)
            self.own_bytes -= blob.nbytes
        blob.close()

    def shrink(self, nbytes: int) -> int:
        """Drop own copies of so many bytes, or all; return how many bytes they were."""
        freed = 0
        for key in list(self.blobs) if nbytes > 0 and self._own else ():
            if freed >= nbytes:
                break
            if key in self._own:
                freed += self.blobs[key].nbytes
                self.drop(key)
        return freed

    def close(self) -> None:
        """Drop everything."""
        for key in list(self.blobs):
            self.drop(key)


def _allowed_files() -> int:
    if sys.platform == "win32":
        return _FEW_FILES
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _FEW_FILES if soft == resource.RLIM_INFINITY else max(1, soft // 4)
