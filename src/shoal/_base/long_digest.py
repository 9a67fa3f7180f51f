"""Digests of bytes that are so long that one thread would take seconds."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import Any

__all__ = ["long_digest"]

_DIGEST = 16
_PART = 2**25
_THREADS = 8  # at most; memory is no faster for more


def long_digest(data: Any) -> bytes:
    """Return 16 bytes that are equal for equal bytes: a digest over the digests of parts."""
    whole = memoryview(data).cast("B")
    parts = [whole[i : i + _PART] for i in range(0, len(whole), _PART)]
    threads = min(len(parts), os.cpu_count() or 1, _THREADS)
    if threads < 2:
        digests = [_digest(part) for part in parts]
    else:
        with ThreadPoolExecutor(threads, "shoal-digest") as pool:  # hashing lets go of the GIL
            digests = list(pool.map(_digest, parts))
    return _digest(b"".join(digests))


def _digest(part: Any) -> bytes:
    return blake2b(part, digest_size=_DIGEST).digest()
