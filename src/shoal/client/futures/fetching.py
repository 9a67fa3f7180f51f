"""Results from where they are: the workers directly, else through the scheduler. On the loop."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from dask.utils import format_bytes

from shoal._base.system import memory_free
from shoal.client.core.state import DONE, FINISHED, Record
from shoal.client.futures.outcome import AsItIs, Value, received, value_at_hand
from shoal.errors import DataLostError, NoMemoryError
from shoal.shared_memory import borrow, host_identity
from shoal.wire.blob import Blob

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["fetch"]

logger = logging.getLogger("shoal.client")

_KEYS_A_REQUEST = 1000
_LARGE = 100_000_000  # bytes of results together that may be too many
_ATTEMPTS = 30
_DIRECT_TIMEOUT = 2.0  # a firewall may swallow what is sent to a worker


async def fetch(
    client: ClientContext, records: list[Record], direct: bool | None
) -> dict[str, Value]:
    """Return the pickled results of records, each waited for; failed ones are left out.

    A result that is nowhere to be found is computed again, and waited for again.
    """
    session = client._session
    values: dict[str, Value] = {}
    todo = records
    attempt = 0
    while True:
        if any(record.status not in DONE for record in todo):
            await session.until(todo)
        remote: list[Record] = []
        for record in todo:
            value = value_at_hand(session, record)
            if record.status != FINISHED:
                continue
            if value is not None:
                values[record.key] = value
            else:
                remote.append(record)
        if remote:
            try:
                values.update(await _from_cluster(client, remote, direct))
            except OSError:
                # The scheduler died in the midst of the answer: another may be there soon.
                if session.ended is not None or attempt >= _ATTEMPTS:
                    raise
                if session.stream is None:
                    attempt = 0  # it is looked for, as long as it may take
        todo = [r for r in todo if r.key not in values and not _has_failed(r)]
        if not todo:
            return values
        attempt += 1
        if attempt > _ATTEMPTS:
            key = todo[0].key
            raise DataLostError(key, f"it was not found in {attempt} attempts to get it")
        # The scheduler was told; what it decides about the key comes on the stream.
        await asyncio.sleep(min(0.01 * 2**attempt, 0.5))


def _has_failed(record: Record) -> bool:
    return record.status in DONE and record.status != FINISHED


async def _from_cluster(
    client: ClientContext, records: list[Record], direct: bool | None
) -> dict[str, Blob | AsItIs]:
    if len(records) > 1:
        await _check_room(client, records)
    if direct is None:
        direct = client.direct_to_workers
    values: dict[str, Blob | AsItIs] = {}
    if direct is not False:
        values = await _from_workers(client, records, patient=direct is True)
    missing = [record.key for record in records if record.key not in values]
    for i in range(0, len(missing), _KEYS_A_REQUEST):
        keys = missing[i : i + _KEYS_A_REQUEST]
        reply = await client.scheduler.gather(keys=keys)
        values.update(received(reply["data"]))
    return values


async def _check_room(client: ClientContext, records: list[Record]) -> None:
    """Refuse to bring what this process has no memory for, before it begins.

    One result alone is not asked about: the way there and back would take as long as to get it.
    """
    sizes: dict[str, int] = await client.scheduler.nbytes(keys=[record.key for record in records])
    total = sum(sizes.values())
    if total > _LARGE and total > (free := memory_free()):
        raise NoMemoryError(
            f"these {len(records)} results are {format_bytes(total)} together, and this process "
            f"can have {format_bytes(free)} more: gather them in parts, reduce them on the "
            "workers, or write them to files there"
        )


async def _from_workers(
    client: ClientContext, records: list[Record], patient: bool
) -> dict[str, Blob | AsItIs]:
    # A worker that has gone is not worth a try: what it had is being computed again.
    session = client._session
    workers = session.machine.state.workers
    by_worker: dict[str, list[str]] = {}
    values: dict[str, Blob | AsItIs] = {}
    for record in records:
        holder = record.holder
        if not holder and record.extras is not None and record.extras.holders:
            holder = record.extras.holders[0]
        local = session.stores.at(holder)
        if local is not None and (here := local.in_memory([record.key])):
            values[record.key] = AsItIs(here[record.key])
            continue
        reachable = holder in workers and holder not in client._unreachable
        if holder and (patient or reachable):
            by_worker.setdefault(holder, []).append(record.key)
    replies = await asyncio.gather(
        *(
            _from_worker(client, address, keys[i : i + _KEYS_A_REQUEST], patient)
            for address, keys in by_worker.items()
            for i in range(0, len(keys), _KEYS_A_REQUEST)
        )
    )
    for reply in replies:
        values.update(reply)
    return values


async def _from_worker(
    client: ClientContext, address: str, keys: list[str], patient: bool
) -> dict[str, Blob | AsItIs]:
    try:
        comm_timeout = None if patient else _DIRECT_TIMEOUT
        comm = await client.rpc.connect(address, timeout=comm_timeout, retry=patient)
    except OSError as error:
        # It may have died, or be in a network of its own: the scheduler knows.
        if address in client._session.machine.state.workers:
            client._unreachable.add(address)
            logger.info("cannot reach %s, asking the scheduler instead: %s", address, error)
        return {}
    client.rpc.reuse(address, comm)
    try:
        return await _ask(client, address, keys)
    except OSError as error:
        logger.info("%s did not send %d results: %s", address, len(keys), error)
        return {}


async def _ask(client: ClientContext, address: str, keys: list[str]) -> dict[str, Blob | AsItIs]:
    """Return the results that a worker has; large ones are mapped where it is on this host."""
    reply: dict[str, Any] = await client.rpc(address).get_data(keys=keys, host=host_identity())
    values = received(reply["data"])
    borrowed, failed = borrow(reply["shared"])
    for key, shared in borrowed.items():
        values[key] = shared.blob()
        shared.close()  # mapped memory stays
    if failed:
        reply = await client.rpc(address).get_data(keys=failed)
        values.update(received(reply["data"]))
    return values
