"""Shared-memory copies of stored values, for readers on this host.

A copy of our own takes memory besides the value. One borrowed from a peer is what our value is
mapped from, so it costs open files only. Both are there for speed: they go when the value goes,
when memory is short, and when there are too many, the least recently asked for first. The memory of
own ones then waits in a pool for the next copies, and counts as well.
"""

from __future__ import annotations

import sys

from shoal.shared_memory import Pool, SharedBlob, make_pool

__all__ = ["SharedCopyCache"]

_FEW_FILES = 64  # where the system does not say how many may be open


class SharedCopyCache:
    """Shared blobs by key. Its owner sees to it that one thread at a time calls.

    Parameters
    ----------
    max_bytes : int
        Most that own copies may take together, with the pool.
    max_files : int, optional
        Most files open for all of them; by default a quarter of what the process may open.
    pool : Pool, optional
        Where the memory of own copies comes from and goes to; by default as configured.

    Attributes
    ----------
    blobs : dict
        The blobs, the least recently asked for first.
    own_bytes : int
        The bytes of the own copies.
    """

    __slots__ = (
        "_files",
        "_hidden",
        "_own",
        "blobs",
        "max_bytes",
        "max_files",
        "own_bytes",
        "pool",
    )

    def __init__(
        self, max_bytes: int, max_files: int | None = None, pool: Pool | None = None
    ) -> None:
        self.max_bytes = max_bytes
        self.max_files = _allowed_files() if max_files is None else max_files
        self.blobs: dict[str, SharedBlob] = {}
        self.own_bytes = 0
        self.pool = make_pool(max_bytes) if pool is None else pool
        self._own: set[str] = set()
        self._files = 0
        self._hidden = 0

    @property
    def hidden(self) -> int:
        """The bytes of copies and pool that the system does not count as memory of this process."""
        return self._hidden + self.pool.hidden

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
            self._hidden += blob.hidden
        self.make_room(0)
        self.pool.shrink(self.own_bytes + self.pool.nbytes - self.max_bytes)
        self.pool.limit_files(self.max_files - self._files)
        while self._files > self.max_files:
            self.drop(next(iter(self.blobs)), reuse=False)

    def make_room(self, nbytes: int) -> None:
        """Drop own copies until there is room for one of so many bytes, perhaps in their memory."""
        excess = self.own_bytes + nbytes - self.max_bytes
        for key in self._oldest_own(excess):
            self.drop(key)

    def drop(self, key: str, *, reuse: bool = True) -> None:
        """Close the blob of a key, where there is one; its memory is used again, or freed."""
        blob = self.blobs.pop(key, None)
        if blob is None:
            return
        self._files -= blob.files
        if key in self._own:
            self._own.discard(key)
            self.own_bytes -= blob.nbytes
            self._hidden -= blob.hidden
        blob.close(reuse=reuse)

    def shrink(self, nbytes: int) -> int:
        """Free so many bytes, or all: the pool's first, then own copies; return how many."""
        freed = self.pool.shrink(nbytes)
        for key in self._oldest_own(nbytes - freed):
            freed += self.blobs[key].nbytes
            self.drop(key, reuse=False)
        return freed

    def _oldest_own(self, nbytes: int) -> list[str]:
        """Return the keys of own copies that take so many bytes together, or of all."""
        found: list[str] = []
        if nbytes > 0 and self._own:
            for key, blob in self.blobs.items():
                if nbytes <= 0:
                    break
                if key in self._own:
                    found.append(key)
                    nbytes -= blob.nbytes
        return found

    def close(self) -> None:
        """Drop everything."""
        self.pool.close()
        for key in list(self.blobs):
            self.drop(key, reuse=False)


def _allowed_files() -> int:
    if sys.platform == "win32":
        return _FEW_FILES
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _FEW_FILES if soft == resource.RLIM_INFINITY else max(1, soft // 4)
