"""Copies of results: made, dropped and moved by the scheduler, and no data passes here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal._base.numbers import whole_number
from shoal.client.admin.requests import keys_in
from shoal.client.futures.future import Future, find_futures
from shoal.client.futures.outcome import error_of
from shoal.client.submission.submit import as_workers

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["rebalance", "replicate"]


def _futures(items: Any) -> list[Future]:
    if isinstance(items, Future):
        return [items]
    found: dict[str, Future] = {}
    for item in items if isinstance(items, (list, tuple, set)) else [items]:
        inside = [item] if isinstance(item, Future) else find_futures(item)
        found.update((future._record.key, future) for future in inside)
    return list(found.values())


async def _until_done(client: ClientContext, items: Any) -> list[str]:
    """Wait until results are there, and return their keys; raise what a task raised."""
    await client
    session = client._session
    session.outbox.drain()
    records = [future._record for future in _futures(items)]
    await session.until(records)
    for record in records:
        error = error_of(client, record)
        if error is not None:
            raise error
    return [record.key for record in records]


async def replicate(
    client: ClientContext, futures: Any, n: int | None, workers: Any, branching_factor: int
) -> None:
    """Have so many copies of each result."""
    if n is not None:
        n = whole_number("n=", n, 1)
    branching_factor = whole_number("branching_factor=", branching_factor, 1)
    keys = await _until_done(client, futures)
    await client.scheduler.replicate(
        keys=keys,
        n=n,
        workers=None if workers is None else as_workers(workers),
        branching_factor=branching_factor,
    )


async def rebalance(client: ClientContext, futures: Any, workers: Any) -> None:
    """Even out the memory of workers."""
    if futures is not None:
        await _until_done(client, futures)
    await client
    await client.scheduler.rebalance(
        keys=keys_in(futures), workers=None if workers is None else as_workers(workers)
    )
