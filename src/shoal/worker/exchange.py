"""Values of this worker given to others, and those of others taken in."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from shoal import config
from shoal._base.local_stores import announce_store
from shoal.comm.base import Comm
from shoal.comm.inproc import InProc
from shoal.shared_memory import SharedBlob, borrow, host_identity, share_from, tend
from shoal.worker import core
from shoal.worker.memory_watch import MemoryWatch
from shoal.worker.store.sizing import describe
from shoal.worker.transfer import Packer, unpack_values
from shoal.worker.unreadable import Unreadable

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from shoal.comm.rpc import ConnectionPool
    from shoal.worker.store import Store
    from shoal.worker.transfers import Transfers

__all__ = ["Exchange"]

logger = logging.getLogger("shoal.worker")

_SENDING = 0.1  # seconds


class ExchangeHost(Protocol):
    """A worker, as those of its parts know it that give and take values."""

    machine: core.Machine
    store: Store
    transfers: Transfers
    peers: ConnectionPool
    memory_watch: MemoryWatch

    @property
    def address(self) -> str:
        """Where others reach it."""

    def feed(self, event: core.events.Event, values: Mapping[str, Any] | None = None) -> None:
        """Give the core an event, and the values that came with it."""

    def memory(self) -> dict[str, int]:
        """Return how much memory is in use, in bytes."""

    def background(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine beside what is under way."""


class Exchange:
    """Between the worker's store and its peers.

    Parameters
    ----------
    worker : Worker
        Whose store and core it serves.
    """

    def __init__(self, worker: ExchangeHost) -> None:
        self._worker = worker
        self._packer = Packer()
        self._share_from = share_from()
        tend(worker.store.pool, asyncio.get_running_loop(), worker.background)
        self.giving = 0  # bytes of values that were read from disk for peers, and not sent yet
        self._sharing: dict[str, asyncio.Task[SharedBlob | None]] = {}
        length = config.get_int("distributed.admin.low-level-log-length", minimum=0)
        # When which keys came by `scatter`: for the stories of them.
        self.scattered: deque[tuple[float, list[str]]] = deque(maxlen=length)
        # Where somebody wants to know: called with keys, start, stop, source and bytes.
        self.traces: list[Callable[[list[str], float, float, str, int], None]] = []

    def announce(self) -> None:
        """Let others in this process have values as they are; the worker has its address now."""
        announce_store(self._worker.address, self._worker.store)

    async def fetch(self, fetch: core.Fetch) -> None:
        """Get values from a peer and tell the core what came."""
        worker = self._worker
        start = time.time()
        incoming = worker.transfers.incoming
        incoming.active += 1
        try:
            values, borrowed = await self._get(fetch.peer, fetch.keys, fetch.lives)
        except Exception as error:
            if not isinstance(error, OSError):
                logger.warning("fetching from %s failed: %s", fetch.peer, error, exc_info=True)
            worker.feed(core.FetchFailed(fetch.peer, fetch.keys, str(error), fetch.lives))
            return
        finally:
            incoming.active -= 1
        got = [(key, *describe(value)) for key, value in values.items()]
        absent = [key for key in fetch.keys if key not in values]
        incoming.note(
            start, fetch.peer, {key: nbytes for key, nbytes, _ in got}, *(kind for *_, kind in got)
        )
        for trace in self.traces:
            nbytes = sum(row[1] for row in got)
            trace(list(values), start, time.time(), fetch.peer, nbytes)
        worker.feed(core.Fetched(fetch.peer, got, absent, fetch.lives), values)
        worker.memory_watch.look()
        self._keep(values, borrowed)

    async def _get(
        self, peer: str, keys: list[str], lives: dict[str, int] | None
    ) -> tuple[dict[str, Any], dict[str, SharedBlob]]:
        """Return the values that a peer has, and the shared memory that some are mapped from."""
        server = self._worker.peers(peer)
        answer = await server.get_data(keys=keys, host=host_identity(), lives=lives)
        data = answer["data"]
        borrowed, failed = borrow(answer["shared"])
        data.update((key, blob.blob()) for key, blob in borrowed.items())
        if failed:
            answer = await server.get_data(keys=failed, lives=lives)
            data.update(answer["data"])
        return await unpack_values(data), borrowed

    async def gather(self, who_has: Mapping[str, list[str]]) -> tuple[dict[str, Any], list[str]]:
        """Return values that are on other workers, by key; and the keys that could not be had."""
        found: dict[str, Any] = {}
        left = {key: list(where) for key, where in who_has.items()}
        while any(left.values()):
            asked: dict[str, list[str]] = {}
            for key, where in left.items():
                if where:
                    asked.setdefault(where.pop(), []).append(key)
            for peer, keys in asked.items():
                try:
                    values, _ = await self._get(peer, keys, None)
                except OSError as error:
                    logger.info("could not gather from %s: %s", peer, error)
                    continue
                found.update(values)
            left = {key: where for key, where in left.items() if key not in found}
        return found, list(left)

    def _keep(self, values: Mapping[str, Any], borrowed: Mapping[str, SharedBlob]) -> None:
        """Others who ask here for what was borrowed get the same memory."""
        for key, blob in borrowed.items():
            self._worker.store.share(key, values[key], blob, own=False)

    async def give(self, comm: Comm, keys: list[str], host: str | None = None) -> dict[str, Any]:
        """Return values that the worker holds, as they can be sent over a connection.

        Parameters
        ----------
        comm : Comm
            The connection.
        keys : list of str
            The wanted keys.
        host : str, optional
            The `host_identity` of who asks. Where it is ours, large values are referred to.
        """
        outgoing = self._worker.transfers.outgoing
        known = self._worker.machine.state.data
        wanted = sum(known[key][0] for key in keys if key in known)
        outgoing.active += 1
        outgoing.active_bytes += wanted
        start = time.time()
        on_disk = self._worker.store.is_on_disk
        nbytes = sum(known[key][0] for key in keys if key in known and on_disk(key))
        self.giving += nbytes
        try:
            answer = await self._answer(comm, keys, host)
        finally:
            outgoing.active -= 1
            outgoing.active_bytes -= wanted
            # Values that were read are in memory until they are sent.
            asyncio.get_running_loop().call_later(_SENDING, self._given, nbytes)
        sent = (*answer["data"], *answer["shared"])
        outgoing.note(start, comm.peer_address, {key: known.get(key, (0,))[0] for key in sent})
        return answer

    def _given(self, nbytes: int) -> None:
        self.giving -= nbytes

    async def _answer(self, comm: Comm, keys: list[str], host: str | None) -> dict[str, Any]:
        store = self._worker.store
        shared: dict[str, Any] = {}
        if host is not None and host == host_identity() and not isinstance(comm, InProc):
            shared = await self._lend(keys)
        wanted = [key for key in keys if key in store and key not in shared]
        if any(map(store.is_on_disk, wanted)):
            values = await asyncio.to_thread(self._present, wanted)
        else:
            values = self._present(wanted)
        known = self._worker.machine.state.data
        size = sum(known[key][0] for key in values if key in known)
        return {
            "data": await self._packer.pack(comm, values, size),
            "shared": shared,
            "missing": [key for key in keys if key not in values and key not in shared],
        }

    async def _lend(self, keys: list[str]) -> dict[str, Any]:
        """Return what refers to those values that are in shared memory, or worth to be put there.

        A copy that is dropped before its reader has opened it is asked for anew, as bytes.
        """
        references: dict[str, Any] = {}
        if self._share_from is None:
            return references
        known = self._worker.machine.state.data
        for key in keys:
            if key not in known or known[key][0] < self._share_from:
                continue
            blob = self._worker.store.shared(key)
            if blob is None:
                # A caller that stops waiting does not stop it for the others.
                blob = await asyncio.shield(self._sharing.get(key) or self._begin_sharing(key))
            if blob is not None:
                try:
                    references[key] = blob.reference()
                except ValueError:  # dropped already
                    pass
        return references

    def _begin_sharing(self, key: str) -> asyncio.Task[SharedBlob | None]:
        making = self._sharing[key] = asyncio.create_task(self._share(key))

        def made(_: asyncio.Task[SharedBlob | None]) -> None:
            del self._sharing[key]

        making.add_done_callback(made)
        return making

    async def _share(self, key: str) -> SharedBlob | None:
        """Put a value into shared memory, where that is possible and there is room."""
        worker = self._worker
        try:
            value = worker.store.shareable(key)
        except KeyError:
            return None
        nbytes = worker.store.nbytes(key)
        if not await self._find_room(nbytes):
            return None
        assert self._share_from is not None
        worker.store.make_room_for_copy(nbytes)
        blob = await self._packer.share(value, self._share_from, worker.store.pool)
        if blob is not None:
            worker.store.share(key, value, blob, own=True)
        return blob

    async def _find_room(self, nbytes: int) -> bool:
        """Return whether so much more memory can be taken without sending data to disk for it.

        Memory that lies ready for copies is given up for that.
        """
        spill = self._worker.machine.state.settings.memory_spill
        memory = self._worker.memory()
        if not memory["limit"] or spill is None:
            return True
        excess = int(memory["process"] + nbytes - spill * memory["limit"])
        pool = self._worker.store.pool
        return excess <= 0 or (
            excess <= pool.nbytes and await asyncio.to_thread(pool.shrink, excess) >= excess
        )

    def _present(self, keys: list[str]) -> dict[str, Any]:
        """Return the values that are here."""
        while True:
            try:
                return dict(zip(keys, self._worker.store.peek_many(keys), strict=True))
            except KeyError as error:
                keys = [key for key in keys if key not in error.args]

    async def take(
        self,
        data: dict[str, Any],
        shared: dict[str, Any] | None = None,
        life: int = 0,
        equal: bool = False,
    ) -> dict[str, Any]:
        """Store values that a client or the scheduler brings; return their sizes and types.

        Parameters
        ----------
        data : dict
            Values as they came over a connection.
        shared : dict, optional
            References to values in the sender's shared memory. References that cannot be opened are
            named in the answer, as ``"unreadable"``.
        life : int
            Of all these keys.
        equal : bool
            All data under these keys is equal, whenever it comes.
        """
        borrowed, failed = borrow(shared or {})
        data = {**data, **{key: blob.blob() for key, blob in borrowed.items()}}
        values = await unpack_values(data)
        for value in values.values():
            if type(value) is Unreadable:
                value.raise_error()
        described = {key: describe(value) for key, value in values.items()}
        keys = list(described)
        nbytes = [described[key][0] for key in keys]
        types = [described[key][1] for key in keys]
        if keys:
            self.scattered.append((time.time(), keys))
            self._worker.feed(
                core.DataAdded(keys, nbytes, types, [life] * len(keys), equal), values
            )
        self._keep(values, borrowed)
        return {
            "nbytes": dict(zip(keys, nbytes, strict=True)),
            "types": dict(zip(keys, types, strict=True)),
            "unreadable": failed,
        }
