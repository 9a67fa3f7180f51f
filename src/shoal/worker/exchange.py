"""Values of this worker given to others, and those of others taken in."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.comm.base import Comm
from shoal.worker import core
from shoal.worker.store.sizing import describe
from shoal.worker.transfer import Packer, unpack_values
from shoal.worker.unreadable import Unreadable

if TYPE_CHECKING:
    from shoal.worker.worker import Worker

__all__ = ["Exchange"]

logger = logging.getLogger("shoal.worker")


class Exchange:
    """Between the worker's store and its peers.

    Parameters
    ----------
    worker : Worker
        Whose store and core it serves.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._packer = Packer()
        # Where somebody wants the task stream: called with keys, start, stop, source and bytes.
        self.trace: Callable[[list[str], float, float, str, int], None] | None = None

    async def fetch(self, fetch: core.Fetch) -> None:
        """Get values from a peer and tell the core what came."""
        worker = self._worker
        start = time.time()
        try:
            answer = await worker.peers(fetch.peer).get_data(keys=fetch.keys)
            values = await unpack_values(answer["data"])
        except Exception as error:
            if not isinstance(error, OSError):
                logger.warning("fetching from %s failed: %s", fetch.peer, error, exc_info=True)
            worker.feed(core.FetchFailed(fetch.peer, fetch.keys, str(error)))
            return
        got = [(key, *describe(value)) for key, value in values.items()]
        absent = [key for key in fetch.keys if key not in values]
        if self.trace is not None:
            nbytes = sum(row[1] for row in got)
            self.trace(list(values), start, time.time(), fetch.peer, nbytes)
        worker.feed(core.Fetched(fetch.peer, got, absent), values)

    async def give(self, comm: Comm, keys: list[str]) -> dict[str, Any]:
        """Return values that the worker holds, ready to be sent over a connection."""
        store = self._worker.store
        wanted = [key for key in keys if key in store]
        if any(map(store.is_on_disk, wanted)):
            values = await asyncio.to_thread(self._present, wanted)
        else:
            values = self._present(wanted)
        known = self._worker.machine.state.data
        size = sum(known[key][0] for key in values if key in known)
        return {
            "data": await self._packer.pack(comm, values, size),
            "missing": [key for key in keys if key not in values],
        }

    def _present(self, keys: list[str]) -> dict[str, Any]:
        """Return the values that are here."""
        while True:
            try:
                return dict(zip(keys, self._worker.store.get_many(keys), strict=True))
            except KeyError as error:
                keys = [key for key in keys if key not in error.args]

    async def take(self, data: dict[str, Any]) -> dict[str, Any]:
        """Store values that a client or the scheduler brings; return their sizes and types."""
        values = await unpack_values(data)
        for value in values.values():
            if type(value) is Unreadable:
                value.raise_error()
        described = {key: describe(value) for key, value in values.items()}
        keys = list(described)
        nbytes = [described[key][0] for key in keys]
        types = [described[key][1] for key in keys]
        self._worker.feed(core.DataAdded(keys, nbytes, types), values)
        return {
            "nbytes": dict(zip(keys, nbytes, strict=True)),
            "types": dict(zip(keys, types, strict=True)),
        }
