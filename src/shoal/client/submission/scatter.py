"""`scatter`: local data to workers, directly or through the scheduler. On the loop."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from shoal import config
from shoal._base.containers import PLAIN_CONTAINERS, is_namedtuple, rebuilt
from shoal._base.keys import encode_key, set_aside_key
from shoal._base.numbers import whole_number
from shoal._base.system import memory_available
from shoal.client.core.events import PutAgain
from shoal.client.core.state import FINISHED, Extras, Record
from shoal.client.futures.future import Future, make_future
from shoal.client.submission.keys import blob_digest, unique
from shoal.client.submission.submit import as_workers
from shoal.shared_memory import Lender, Pool, host_identity, lending, make_pool, tend
from shoal.wire.blob import Blob
from shoal.wire.pickling import dumps
from shoal.wire.serialize.chosen import by_families

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext
    from shoal.client.session.session import Session

__all__ = ["ScatterBatch", "drop_spare_memory", "scatter_data"]

logger = logging.getLogger("shoal.client")

# Memory that scattered values have left, for the next ones of the same client.
_pools: WeakKeyDictionary[ClientContext, Pool] = WeakKeyDictionary()


class ScatterBatch:
    """Data on its way: pickled and named on the user's thread, before the loop hears of it.

    Raises
    ------
    TypeError
        When a value cannot be pickled.
    """

    def __init__(self, data: Any, hash: bool = True, serializers: list[str] | None = None) -> None:
        self._serializers = serializers
        self.data: dict[str, Blob] = {}
        self.types: dict[str, str] = {}
        self.nbytes: dict[str, int] = {}
        self.life = 0  # of all these keys
        self.named = type(data) is dict  # by the user, so that equal keys may be other data
        self._aliases: dict[str, str] = {}
        self._shape: Any
        kind = type(data)
        if kind is dict:
            self._shape = {name: self._add(value, hash, name) for name, value in data.items()}
        elif kind is range:
            self._shape = [self._add(item, hash) for item in data]
        elif kind in PLAIN_CONTAINERS or is_namedtuple(kind):
            self._shape = rebuilt(kind, [self._add(item, hash) for item in data])
        else:
            self._shape = self._add(data, hash)

    def _add(self, value: Any, hash: bool, name: Any = None) -> str:
        if isinstance(value, Future):
            raise TypeError(f"{value!r} is on the cluster already; use it as it is")
        kind = type(value).__name__
        try:
            if self._serializers is not None:
                value = by_families(value, self._serializers)
            blob = dumps(value)
        except Exception as error:
            raise TypeError(f"a {kind} cannot be scattered: {error}") from error
        if name is not None:
            key = encode_key(name)
        else:
            # Equal values have equal pickles, nearly always; where not, one is there twice.
            # `dask.tokenize` knows better, and takes ten times as long for a data frame.
            key = f"{kind}-{blob_digest(blob).hex() if hash else unique()}"
        self.data.setdefault(key, blob)
        return key

    def begin(self, session: Session) -> None:
        """Draw the number of the lives that begin here. On the loop.

        Names that still stand for something else do so until nobody needs that any more: what they
        stand for from now on goes by other names on the wire.
        """
        session.outbox.drain()
        with session.speaking:
            self.life = session.machine.draw_life()
        if not self.named:
            return
        used = session.machine.state.records.keys() | session.records.keys()
        for key in used & self.data.keys():
            alias = self._aliases[key] = set_aside_key(key, self.life)
            self.data[alias] = self.data.pop(key)

    def measured(self, reply: Mapping[str, Any]) -> None:
        """Take in what the workers say of the data."""
        self.nbytes.update(reply["nbytes"])
        self.types.update(reply["types"])

    def futures(self, client: ClientContext, holders: Mapping[str, list[str]]) -> Any:
        """Return futures in the shape of the data."""
        session = client._session

        def future(key: str) -> Future:
            key = self._aliases.get(key, key)
            extras = Extras(
                nbytes=self.nbytes[key], holders=list(holders[key]), equal=not self.named
            )
            record = Record(
                key,
                type=self.types[key],
                holder=extras.holders[0],
                extras=extras,
                status=FINISHED,
                life=self.life,
            )
            shared = session.share(record)
            if shared is not record:  # equal data is there, and these are copies of it
                session.post(PutAgain(record))
            return make_future(session, shared)

        shape = self._shape
        if isinstance(shape, str):
            return future(shape)
        if isinstance(shape, dict):
            return {name: future(key) for name, key in shape.items()}
        return rebuilt(type(shape), [future(key) for key in shape])


async def scatter_data(
    client: ClientContext,
    batch: ScatterBatch,
    workers: Any,
    broadcast: bool | int,
    direct: bool | None,
    timeout: float,
) -> dict[str, list[str]]:
    """Put data on workers; return which workers hold each key.

    Raises
    ------
    TimeoutError
        When no worker came in time.
    """
    if type(broadcast) is not bool:
        broadcast = whole_number("broadcast=, where it is not True or False,", broadcast, 1)
    if not batch.data:
        return {}
    batch.begin(client._session)
    wanted = None if workers is None else as_workers(workers)
    if direct is None:
        direct = client.direct_to_workers
    if direct is not False:
        try:
            return await _to_workers(client, batch, wanted, broadcast, timeout)
        except OSError as error:
            if direct is True or isinstance(error, TimeoutError):
                raise
            logger.info("cannot reach the workers, scattering through the scheduler: %s", error)
    reply = await client.scheduler.scatter(
        data=batch.data,
        workers=wanted,
        client=client.id,
        broadcast=broadcast,
        timeout=timeout,
        life=batch.life,
        equal=not batch.named,
    )
    batch.measured(reply)
    return {key: list(addresses) for key, addresses in reply["who_has"].items()}


async def _to_workers(
    client: ClientContext,
    batch: ScatterBatch,
    wanted: list[str] | None,
    broadcast: bool | int,
    timeout: float,
) -> dict[str, list[str]]:
    holders: dict[str, list[str]] = {key: [] for key in batch.data}
    gone: dict[str, OSError] = {}
    deadline = asyncio.get_running_loop().time() + timeout
    async with lending(batch.data, _pool(client)) as lender:
        while left := [key for key in batch.data if not holders[key]]:
            time_left = max(deadline - asyncio.get_running_loop().time(), 0)
            nthreads = await _find_workers(client, wanted, time_left)
            if gone:
                nthreads = {w: n for w, n in nthreads.items() if w not in gone}
                if not nthreads:
                    raise next(iter(gone.values()))
            plan = _plan(nthreads, {key: batch.data[key] for key in left}, broadcast)
            answers = await asyncio.gather(
                *(_to_worker(client, lender, worker, data, batch) for worker, data in plan.items()),
                return_exceptions=True,
            )
            for (worker, data), answer in zip(plan.items(), answers, strict=True):
                if isinstance(answer, OSError):
                    gone[worker] = answer
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    for reply in answer:
                        batch.measured(reply)
                    for key in data:
                        holders[key].append(worker)
    for worker, error in gone.items():
        logger.warning("scatter goes on without the worker %s: %s", worker, error)
    return holders


def _plan(
    nthreads: dict[str, int], data: dict[str, Blob], broadcast: bool | int
) -> dict[str, dict[str, Blob]]:
    """Share data out to workers, each as often as it has threads, a round at a time."""
    copies = 1
    if broadcast:
        copies = len(nthreads) if broadcast is True else min(broadcast, len(nthreads))
    rounds = max(1, *nthreads.values())
    turns = [w for i in range(rounds) for w in nthreads if max(1, nthreads[w]) > i]
    turn = itertools.cycle(turns)
    by_worker: dict[str, dict[str, Blob]] = {}
    for key, blob in data.items():
        chosen: dict[str, None] = {}
        while len(chosen) < copies:
            chosen[next(turn)] = None
        for worker in chosen:
            by_worker.setdefault(worker, {})[key] = blob
    return by_worker


def _pool(client: ClientContext) -> Pool:
    pool = _pools.get(client)
    if pool is None:
        part = config.get_fraction("shoal.shared-memory.keep") or 0.0
        pool = _pools[client] = make_pool(int(part * memory_available()))
        loop = asyncio.get_running_loop()
        tend(pool, loop, loop.create_task)
    return pool


def drop_spare_memory(client: ClientContext) -> None:
    """The client is closed: what it kept for the next values goes."""
    pool = _pools.pop(client, None)
    if pool is not None:
        pool.close()


async def _to_worker(
    client: ClientContext, lender: Lender, worker: str, data: dict[str, Blob], batch: ScatterBatch
) -> list[dict[str, Any]]:
    """Give data to one worker: in shared memory what it can open there, the rest as it is."""
    shared: dict[str, Any] = {}
    if lender.worth(data) and await _same_host(client, worker):
        shared = await lender.lend(data)
    rest = {key: blob for key, blob in data.items() if key not in shared}
    life, equal = batch.life, not batch.named
    reply = await client.rpc(worker).update_data(data=rest, shared=shared, life=life, equal=equal)
    replies = [reply]
    if reply["unreadable"]:
        rest = {key: data[key] for key in reply["unreadable"]}
        again = await client.rpc(worker).update_data(data=rest, life=life, equal=equal)
        replies.append(again)
    return replies


async def _same_host(client: ClientContext, worker: str) -> bool:
    mine = host_identity()
    if mine is None or worker.startswith("inproc:"):  # this very process: nothing is copied at all
        return False
    return bool(await client.rpc(worker).host_identity() == mine)


async def _find_workers(
    client: ClientContext, wanted: list[str] | None, timeout: float
) -> dict[str, int]:
    deadline = client.loop.time() + timeout
    while True:
        problem = "there are none"
        try:
            nthreads: dict[str, int] = await client.scheduler.nthreads(workers=wanted)
        except ValueError as error:  # one of those wanted is not there
            nthreads, problem = {}, str(error)
        if nthreads:
            return nthreads
        left = deadline - client.loop.time()
        if left <= 0 or not await client._workers_changed(left):
            raise TimeoutError(f"no workers to put data on within {timeout:g} s: {problem}")
