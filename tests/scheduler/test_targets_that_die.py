"""Verbs whose targets die meanwhile go on with those that are there, and say so."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import dask
import pytest
from helpers import run

from shoal.client.client import Client
from shoal.scheduler.scheduler import Scheduler
from shoal.worker.worker import Worker


@pytest.fixture(autouse=True)
def _impatient() -> Iterator[None]:
    with dask.config.set({"distributed.comm.timeouts.connect": "300ms"}):
        yield


@asynccontextmanager
async def cluster() -> AsyncIterator[tuple[Scheduler, list[Worker], Client]]:
    async with (
        Scheduler(host="127.0.0.1", validate=True) as scheduler,
        Worker(scheduler.address, name="a", nthreads=1) as a,
        Worker(scheduler.address, name="b", nthreads=1) as b,
        Worker(scheduler.address, name="c", nthreads=1) as c,
        Client(scheduler.address, asynchronous=True) as client,
    ):
        yield scheduler, [a, b, c], client


def cut_off(worker: Worker) -> None:
    """Nobody reaches it any more, though the scheduler has not heard of that yet."""
    for listener in worker.listeners:
        listener.stop()


@pytest.mark.parametrize("direct", [False, None])
def test_scatter(caplog: pytest.LogCaptureFixture, direct: bool | None) -> None:
    async def main() -> None:
        async with cluster() as (_, workers, client):
            cut_off(workers[1])
            data = [[i] for i in range(12)]
            futures = await client.scatter(data, direct=direct)
            assert await client.gather(futures) == data
            held: dict[Any, Any] = await client.has_what()
            assert not held[workers[1].address]
            named = await client.scatter({"x": 1}, broadcast=True, direct=direct)
            assert len((await client.who_has([named["x"]]))["x"]) == 2

    with caplog.at_level(logging.WARNING, "shoal"):
        run(main())
    assert "scatter goes on without the worker" in caplog.text


def test_scatter_to_nobody_else_ends_in_time() -> None:
    async def main() -> None:
        async with cluster() as (_, workers, client):
            cut_off(workers[1])
            with pytest.raises(TimeoutError, match="could not be reached"):
                await client.scatter([1], workers=["b"], direct=False, timeout=0.5)

    run(main())


@pytest.mark.parametrize("n", [None, 3])
def test_replicate(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, n: int | None
) -> None:
    async def main() -> None:
        async with cluster() as (scheduler, workers, client):
            future = client.submit(list, range(3), workers=["a"])
            await future
            copy = scheduler.copying.copy

            async def copy_while_one_dies(plan: Any) -> None:
                await workers[2].close()
                await copy(plan)

            monkeypatch.setattr(scheduler.copying, "copy", copy_while_one_dies)
            await client.replicate([future], n=n)
            holders = (await client.who_has([future]))[future.key]
            assert set(holders) == {workers[0].address, workers[1].address}

    with caplog.at_level(logging.WARNING, "shoal.scheduler"):
        run(main())
    assert "2 of 3 workers are left to hold copies" in caplog.text
