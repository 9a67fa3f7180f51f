"""Data through the scheduler, for clients that cannot reach the workers themselves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from shoal._base.keys import encode_key
from shoal._base.within import within
from shoal.scheduler.core import FromClient, HoldersFailed
from shoal.scheduler.core.state import WorkerState
from shoal.scheduler.operations.information import find_workers
from shoal.wire import messages as m
from shoal.wire.blob import Blob
from shoal.wire.messages.several_edges import Life
from shoal.wire.pickling import dumps

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext

__all__ = ["gather", "scatter", "scatter_values"]

logger = logging.getLogger("shoal.scheduler")

_DEFAULT_TIMEOUT = 30.0


async def gather(scheduler: SchedulerContext, keys: list[str]) -> dict[str, Any]:
    """Fetch results from workers: ``{"data": {key: Blob}, "missing": [keys]}``."""
    data: dict[str, Any] = {}
    left = list(dict.fromkeys(keys))
    tried: set[tuple[str, str]] = set()
    while left:
        asked: dict[str, list[str]] = {}
        for key in left:
            ts = scheduler.state.tasks.get(key)
            for ws in () if ts is None else ts.who_has:
                if (key, ws.address) not in tried:
                    tried.add((key, ws.address))
                    asked.setdefault(ws.address, []).append(key)
                    break
        if not asked:
            break
        answers = await asyncio.gather(
            *(scheduler.rpc(address).get_data(keys=some) for address, some in asked.items()),
            return_exceptions=True,
        )
        for (address, some), answer in zip(asked.items(), answers, strict=True):
            found = {} if isinstance(answer, BaseException) else answer["data"]
            data.update(found)
            for key in some:
                if key not in found:
                    reached = not isinstance(answer, BaseException)
                    _holder_failed(scheduler, key, address, reached)
        left = [key for key in left if key not in data]
    return {"data": data, "missing": left}


def _holder_failed(scheduler: SchedulerContext, key: str, address: str, reached: bool) -> None:
    """Believe that a worker has lost a result, unless that may be one bad connection's fault."""
    ts = scheduler.state.tasks.get(key)
    if ts is not None and (reached or ts.function is not None):
        scheduler.feed(HoldersFailed(key, [address]))


async def scatter(
    scheduler: SchedulerContext,
    data: dict[str, Any],
    client: str,
    workers: list[Any] | None = None,
    broadcast: bool | int = False,
    timeout: float | None = None,
    life: Life = 0,
    equal: bool = True,
) -> dict[str, Any]:
    """Put data on workers, for a client that wants it: ``{key: [addresses]}``.

    Where a worker dies meanwhile, others get what it was to have.
    """
    deadline = asyncio.get_running_loop().time() + (
        _DEFAULT_TIMEOUT if timeout is None else timeout
    )
    nbytes: dict[str, int] = {}
    types: dict[str, str] = {}
    holders: dict[str, list[str]] = {key: [] for key in data}
    gone: set[str] = set()
    left = list(data)
    while left:
        chosen = await _wait_for_workers(scheduler, workers, deadline, gone)
        pending = list(_plan(chosen, left, broadcast).items())
        answers = await asyncio.gather(
            *(
                scheduler.rpc(address).update_data(
                    data={key: data[key] for key in keys}, life=life, equal=equal
                )
                for address, keys in pending
            ),
            return_exceptions=True,
        )
        for (address, keys), answer in zip(pending, answers, strict=True):
            if isinstance(answer, OSError):
                gone.add(address)
                logger.warning("scatter goes on without the worker %s: %s", address, answer)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                nbytes.update(answer["nbytes"])
                types.update(answer["types"])
                for key in keys:
                    holders[key].append(address)
        left = [key for key in left if not holders[key]]
    keys = list(data)
    if client in scheduler.state.clients:
        scheduler.feed(
            FromClient(
                client,
                [
                    m.Scattered(
                        keys,
                        [nbytes[key] for key in keys],
                        [types[key] for key in keys],
                        [holders[key] for key in keys],
                        lives=[life] * len(keys),
                        equal=[equal] * len(keys),
                    )
                ],
            )
        )
    return {"who_has": holders, "nbytes": nbytes, "types": types}


async def scatter_values(
    scheduler: SchedulerContext,
    data: Mapping[Any, Any],
    workers: list[Any] | None,
    client: str,
    broadcast: bool | int = False,
    timeout: float | None = None,
) -> list[Any]:
    """Put values of this process on workers; return their keys."""
    pickled = {
        encode_key(key): value if isinstance(value, Blob) else dumps(value)
        for key, value in data.items()
    }
    await scatter(scheduler, pickled, client, workers, broadcast, timeout)
    return list(data)


async def _wait_for_workers(
    scheduler: SchedulerContext, names: list[Any] | None, deadline: float, gone: set[str]
) -> list[WorkerState]:
    """Wait until there are running workers of these names, other than those that have gone."""
    began = asyncio.get_running_loop().time()
    while True:
        problem = f"{len(gone)} could not be reached" if gone else "no worker came"
        try:
            found = [
                ws for ws in find_workers(scheduler, names) if ws.running and ws.address not in gone
            ]
            if found:
                return found
        except ValueError as error:
            problem = str(error)
        left = deadline - asyncio.get_running_loop().time()
        try:
            await within(scheduler.workers_changed(), left)
        except TimeoutError:
            waited = round(deadline - began, 3)
            raise TimeoutError(f"no worker to scatter to within {waited:g} s: {problem}") from None


def _plan(
    workers: list[WorkerState], keys: list[str], broadcast: bool | int
) -> dict[str, list[str]]:
    """Share keys out to workers by their threads; a broadcast gives each key to several."""
    if broadcast is True:
        return {ws.address: list(keys) for ws in workers}
    copies = min(int(broadcast) or 1, len(workers))
    plan: dict[str, list[str]] = {}
    workers = sorted(workers, key=lambda ws: ws.nbytes)
    slots = cycle([ws for ws in workers for _ in range(ws.nthreads)])
    for number, key in enumerate(keys):
        if copies == 1:
            plan.setdefault(next(slots).address, []).append(key)
        else:
            for ws in islice(cycle(workers), number, number + copies):
                plan.setdefault(ws.address, []).append(key)
    return plan
