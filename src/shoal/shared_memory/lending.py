"""Blobs that are put into shared memory for a moment, until some peers have opened them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from shoal.shared_memory.blob import SharedBlob
from shoal.shared_memory.host import share_from
from shoal.shared_memory.pool import Pool
from shoal.wire.blob import Blob

__all__ = ["Lender", "lending"]

logger = logging.getLogger("shoal.shared_memory")


class Lender:
    """Copies each blob at most once, when the first peer that can open it is there.

    Parameters
    ----------
    blobs : mapping
        The values that may be lent, by key.
    pool : Pool, optional
        Where memory is taken from, and goes to.
    """

    def __init__(self, blobs: Mapping[str, Blob], pool: Pool | None = None) -> None:
        least = share_from()
        self._pool = pool
        self._writing: dict[str, asyncio.Task[SharedBlob]] = {}
        self._blobs: dict[str, Blob] = {}
        if least is not None:
            self._blobs = {k: blob for k, blob in blobs.items() if SharedBlob.size(blob) >= least}

    def worth(self, keys: Iterable[str]) -> bool:
        """Return whether some of these are large enough."""
        return any(key in self._blobs for key in keys)

    async def lend(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return references to those that are large enough, and could be copied."""
        references: dict[str, Any] = {}
        for key in keys:
            if key not in self._blobs:
                continue
            if key not in self._writing:
                writing = asyncio.to_thread(SharedBlob.write, self._blobs[key], self._pool)
                self._writing[key] = asyncio.create_task(writing)
            try:
                references[key] = (await asyncio.shield(self._writing[key])).reference()
            except OSError as error:  # no memory, too many open files
                logger.info("%r is not shared, but sent: %s", key, error)
        return references

    async def close(self) -> None:
        """Drop the copies; processes that opened them keep them."""
        for result in await asyncio.gather(*self._writing.values(), return_exceptions=True):
            if isinstance(result, SharedBlob):
                result.close()


@asynccontextmanager
async def lending(blobs: Mapping[str, Blob], pool: Pool | None = None) -> AsyncIterator[Lender]:
    """Give a `Lender` whose copies are dropped at the end."""
    lender = Lender(blobs, pool)
    try:
        yield lender
    finally:
        await lender.close()
