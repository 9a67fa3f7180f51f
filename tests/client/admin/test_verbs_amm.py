"""The active memory manager: what it drops, what it leaves, starting and stopping it."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import dask
import pytest
from helpers import run, until

from shoal import Client, Scheduler, Worker
from shoal.scheduler.core.policies.memory import RetireWorker, Suggestion

GO, STARTED = threading.Event(), threading.Event()


def inc(x: int) -> int:
    return x + 1


def row(n: int) -> list[int]:
    """Return something that does not travel with the tasks that need it."""
    return list(range(n))


def block(*args: Any) -> None:
    STARTED.set()
    GO.wait(20)


@asynccontextmanager
async def cluster(
    n: int = 3,
) -> AsyncIterator[tuple[Scheduler, list[Worker], Client]]:
    with dask.config.set({"distributed.scheduler.active-memory-manager.start": False}):
        scheduler = await Scheduler(host="127.0.0.1", validate=True)
    async with scheduler:
        workers = [await Worker(scheduler.address, nthreads=2) for _ in range(n)]
        try:
            async with Client(scheduler.address, asynchronous=True, set_as_default=False) as client:
                yield scheduler, workers, client
        finally:
            await asyncio.gather(*(worker.close() for worker in workers))


async def holders(client: Client, future: Any) -> int:
    return len((await client.who_has([future]))[future.key])


async def spread(client: Client, workers: list[Worker], x: Any) -> None:
    """Make a result an input on all workers, which leaves copies behind."""
    await client.gather(
        [client.submit(lambda x, i: i, x, i, workers=[w.address]) for i, w in enumerate(workers)]
    )
    await until(lambda: _all_have(workers, x))


def _all_have(workers: list[Worker], x: Any) -> bool:
    return all(x.key in w.data for w in workers)


def test_copies_that_nobody_needs_are_dropped_when_asked() -> None:
    async def main() -> None:
        async with cluster() as (_, workers, c):
            assert await c.amm.running() is False
            x = c.submit(row, 1000, key="x")
            await spread(c, workers, x)
            assert await holders(c, x) == 3
            await c.amm.run_once()
            assert await holders(c, x) == 1
            await until(lambda: sum("x" in w.data for w in workers) == 1)
            assert await x == row(1000)

    run(main())


def test_it_acts_by_itself_until_it_is_stopped() -> None:
    async def main() -> None:
        async with cluster() as (s, workers, c):
            s.memory_manager._interval = 0.02
            await c.amm.start()
            assert await c.amm.running() is True
            x = c.submit(row, 1000, key="x")
            await spread_or_less(c, workers, x)

            async def one() -> bool:
                return await holders(c, x) == 1

            await until(one)
            await c.amm.stop()
            assert await c.amm.running() is False
            await spread(c, workers, x)
            assert await holders(c, x) == 3
            with pytest.raises(ValueError, match="cannot 'fly'"):
                await c.scheduler.memory_manager(method="fly")

    run(main())


async def spread_or_less(client: Client, workers: list[Worker], x: Any) -> None:
    await client.gather(
        [client.submit(lambda x, i: i, x, i, workers=[w.address]) for i, w in enumerate(workers)]
    )


def test_what_users_asked_for_and_what_tasks_need_stays() -> None:
    async def main() -> None:
        GO.clear()
        STARTED.clear()
        async with cluster() as (_, workers, c):
            x, y, z = (c.submit(inc, i, key=k) for i, k in enumerate("xyz"))
            await c.replicate([x], n=2)
            (data,) = await c.scatter([5], broadcast=True)
            await c.amm.run_once()
            assert await holders(c, x) == 2
            assert await holders(c, data) == 3
            await c.replicate([x], n=1)
            await c.amm.run_once()
            assert await holders(c, x) == 1
            await spread(c, workers, y)
            blocked = [
                c.submit(block, y, i, workers=[w.address]) for i, w in enumerate(workers[:2])
            ]
            await until(STARTED.is_set)
            await c.amm.run_once()
            assert await holders(c, y) == 2
            GO.set()
            await c.gather(blocked)
            await c.amm.run_once()
            assert await holders(c, y) == 1
            assert await z == 3

    run(main())


def test_another_policy_and_one_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    class Bad:
        done = False

        def suggest(self, s: Any) -> Iterator[Suggestion]:
            raise ValueError("no idea")

    async def main() -> None:
        async with cluster(2) as (s, [a, b], c):
            x = c.submit(inc, 1, key="x", workers=[a.address])
            await x
            with pytest.raises(TypeError, match="a policy has a method suggest"):
                s.memory_manager.add_policy(3)  # type: ignore[arg-type]
            s.memory_manager.add_policy(Bad())
            s.memory_manager.add_policy(RetireWorker(a.address))
            await c.amm.run_once()
            await until(lambda: "x" in b.data)
            s.memory_manager.policies = s.memory_manager.policies[2:]  # else the copy goes again
            await c.amm.run_once()
            assert s.memory_manager.policies == []

    with caplog.at_level(logging.ERROR, "shoal"):
        run(main())
    assert "no idea" in caplog.text
