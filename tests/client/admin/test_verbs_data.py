"""Datasets, metadata, copies: from asynchronous and sync clients, and from inside tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from helpers import run, until

from shoal import Client, Scheduler, Worker, get_client


@asynccontextmanager
async def cluster(
    n: int = 2, **kwargs: Any
) -> AsyncIterator[tuple[Scheduler, list[Worker], Client]]:
    async with Scheduler(host="127.0.0.1", validate=True) as scheduler:
        workers = [
            await Worker(scheduler.address, name=str(i), nthreads=1, **kwargs) for i in range(n)
        ]
        try:
            async with Client(scheduler.address, asynchronous=True, set_as_default=False) as client:
                yield scheduler, workers, client
        finally:
            await asyncio.gather(*(worker.close() for worker in workers))


def inc(x: int) -> int:
    return x + 1


def test_datasets_outlive_their_client() -> None:
    async def main() -> None:
        async with cluster() as (s, _, c):
            async with Client(s.address, asynchronous=True, set_as_default=False) as other:
                future = other.submit(inc, 1, key="x")
                await other.publish_dataset(numbers=[future, 5])
                await other.publish_dataset({"a": future}, name=("tuple", 1))
                assert await other.list_datasets() == ("numbers", ("tuple", 1))
                with pytest.raises(KeyError, match="'numbers' already exists"):
                    await other.publish_dataset(numbers=1)
                del future
            assert "x" in s.tasks
            numbers = await c.get_dataset("numbers")
            assert await c.gather(numbers) == [2, 5]
            assert numbers[0].client is c
            found = await c.datasets[("tuple", 1)]
            assert await found["a"] == 2
            assert [name async for name in c.datasets] == ["numbers", ("tuple", 1)]
            del found
            await c.unpublish_dataset("numbers")
            await c.unpublish_dataset(("tuple", 1))
            assert await numbers[0] == 2  # this client wants it now
            del numbers
            await until(lambda: not s.tasks)
            with pytest.raises(KeyError, match="'numbers' not found"):
                await c.get_dataset("numbers")
            assert await c.get_dataset("numbers", default=None) is None
            await c.unpublish_dataset("numbers")  # again: no error
            await c.publish_dataset(1, name="n")
            await c.publish_dataset(2, name="n", override=True)
            assert await c.get_dataset("n") == 2
            with pytest.raises(ValueError, match="call signature"):
                await c.publish_dataset(1)
            with pytest.raises(TypeError, match=r"use `await client\.publish_dataset"):
                c.datasets["x"] = 1

    run(main())


def test_datasets_from_a_sync_client_and_a_task() -> None:
    def publish(x: int) -> list[str]:
        client = get_client()
        client.publish_dataset(mine=client.submit(inc, x))
        return list(client.list_datasets())

    with Client(processes=False, n_workers=1, dashboard_address=None) as client:
        assert client.submit(publish, 1).result() == ["mine"]
        assert client.get_dataset("mine").result() == 2
        client.datasets["y"] = {"plain": 1}
        assert dict(client.datasets.items())["y"] == {"plain": 1}
        assert "y" in client.datasets and len(client.datasets) == 2
        del client.datasets["y"]
        assert list(client.datasets) == ["mine"]


def test_a_collection_is_published_and_found() -> None:
    array = pytest.importorskip("dask.array")

    async def main() -> None:
        async with cluster() as (s, _, c):
            x = c.persist(array.arange(10, chunks=5))
            await c.publish_dataset(x=x)
            del x
            async with Client(s.address, asynchronous=True, set_as_default=False) as other:
                y = await other.get_dataset("x")
                assert int(await other.compute(y.sum())) == 45

    run(main())


def test_metadata() -> None:
    async def main() -> None:
        async with cluster(1) as (s, _, c):
            await c.set_metadata("x", 123)
            assert await c.get_metadata("x") == 123
            await c.set_metadata(["x", "y"], 123)  # in place of the number
            assert await c.get_metadata("x") == {"y": 123}
            await c.set_metadata(["x", "w", "z"], 456)
            assert await c.get_metadata("x") == {"y": 123, "w": {"z": 456}}
            assert await c.get_metadata(["x", "w"]) == {"z": 456}
            with pytest.raises(KeyError, match="nothing"):
                await c.get_metadata(["x", "nothing"])
            assert await c.get_metadata(["x", "nothing"], default=None) is None
            with pytest.raises(TypeError, match="only plain data"):
                await c.set_metadata("x", object())
            future = c.submit(inc, 1, key="task")
            await future
            await c.set_metadata(["task", "note"], "mine")
            await c.set_metadata([future, "more"], 1)
            assert await c.get_metadata("task") == {"note": "mine", "more": 1}
            del future
            await until(lambda: "task" not in s.tasks)
            assert await c.get_metadata("task", default=0) == 0

    run(main())


def test_replicate_up_and_down() -> None:
    async def main() -> None:
        async with cluster(5) as (_, workers, c):
            (x,) = await c.scatter([bytes(1000)], workers=[workers[0].address])
            y = c.submit(inc, 1, key="y")
            await c.replicate([x, y])
            who = await c.who_has([x, y])
            assert [len(who[f.key]) for f in (x, y)] == [5, 5]
            assert all(x.key in w.data for w in workers)
            await c.replicate([x], n=2)
            assert len((await c.who_has([x]))[x.key]) == 2
            await until(lambda: sum(x.key in w.data for w in workers) == 2)
            await c.replicate([y], n=1)
            await c.replicate([y], n=2, workers=["1", "2", "3"])
            holders = (await c.who_has([y]))["y"]
            assert sum(w.address in holders for w in workers[1:4]) == 2
            await c.replicate([y], n=100, branching_factor=1)
            assert len((await c.who_has([y]))["y"]) == 5
            for bad in ({"n": 0}, {"branching_factor": 0}):
                with pytest.raises(ValueError, match="="):
                    await c.replicate([x], **bad)
            with pytest.raises(ValueError, match="there is no worker 'nobody'"):
                await c.replicate([x], workers=["nobody"])
            with pytest.raises(ZeroDivisionError):
                await c.replicate(c.submit(lambda: 1 / 0))

    run(main())


def test_no_data_of_a_replication_passes_through_the_client_or_grows_one_holder() -> None:
    """The tree: with a factor of 1 the number of holders doubles in each generation."""

    async def main() -> None:
        async with cluster(8) as (s, workers, c):
            (x,) = await c.scatter([bytes(1000)], workers=[workers[0].address])
            generations: list[int] = []
            copy = s.copying.copy

            async def watched(plan: Any) -> None:
                generations.append(len(plan))
                await copy(plan)

            s.copying.copy = watched  # type: ignore[method-assign]
            await c.replicate([x], branching_factor=1)
            assert generations == [1, 2, 4]

    run(main())


def test_rebalance() -> None:
    async def main() -> None:
        async with cluster(2, memory_limit=0) as (s, [a, b], c):
            data = await c.scatter(
                [bytes(50_000) for _ in range(12)], workers=[a.address], hash=False
            )
            await c.rebalance()
            assert abs(s.workers[a.address].nbytes - s.workers[b.address].nbytes) < 150_000
            assert len(b.data) >= 4
            assert all(len(h) == 1 for h in (await c.who_has(data)).values())
            assert await c.gather(data) == [bytes(50_000)] * 12
            await until(lambda: len(a.data) + len(b.data) == 12)

    run(main())
