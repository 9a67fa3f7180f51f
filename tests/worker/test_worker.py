"""The worker's shell: life, tasks of all kinds, data, memory, with a real scheduler and client."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from helpers import run, until

from shoal import Reschedule, get_worker, rejoin, secede
from shoal.client.client import Client
from shoal.core import rpc
from shoal.scheduler.scheduler import Scheduler
from shoal.worker.worker import Worker


def inc(x: int) -> int:
    return x + 1


@asynccontextmanager
async def cluster(
    *workers: dict[str, Any],
) -> AsyncIterator[tuple[Scheduler, list[Worker], Client]]:
    """A scheduler, workers with these arguments, and a client, all in this loop."""
    async with Scheduler(host="127.0.0.1", validate=True) as scheduler:
        made = [
            await Worker(scheduler.address, validate=True, **{"nthreads": 1, **kwargs})
            for kwargs in workers
        ]
        try:
            async with Client(scheduler.address, asynchronous=True) as client:
                yield scheduler, made, client
        finally:
            await asyncio.gather(*(worker.close() for worker in made))


def test_identity_and_operations() -> None:
    async def main() -> None:
        async with cluster({"name": "a", "resources": {"GPU": 1}}) as (scheduler, [a], client):
            assert scheduler.workers[a.address].resources == {"GPU": 1}
            future = client.submit(inc, 1, key="x")
            assert await future == 2
            async with rpc(a.address) as remote:
                assert (await remote.identity())["name"] == "a"
                assert await remote.keys() == ["x"]
                assert (await remote.memory())["managed_in_memory"] == 28
                assert (await remote.versions())["packages"]["shoal"]
                assert await remote.terminate(reason="enough") == "OK"
            await asyncio.wait_for(a.finished(), 10)
            assert not os.path.exists(a.local_directory)
            await until(lambda: not scheduler.workers)

    run(main())


@pytest.mark.parametrize(
    ("kwargs", "error", "match"),
    [
        ({"nthreads": 0}, ValueError, "nthreads must be a whole number"),
        ({"memory_limit": "lots"}, ValueError, "lots"),
        ({"death_timeout": "soon"}, ValueError, "death_timeout='soon' is not a duration"),
        ({"executor": "mine"}, ValueError, r"executor is .*'mine'"),
        ({"port": "http"}, ValueError, "'http' is neither a port"),
        ({"interface": "nope0"}, ValueError, "'nope0' is not a network interface"),
        ({"security": 5}, TypeError, "security is a Security"),
    ],
)
def test_bad_arguments_are_named(kwargs: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        Worker("tcp://127.0.0.1:8786", **kwargs)


def test_a_worker_without_a_scheduler_says_so() -> None:
    with pytest.raises(ValueError, match="no scheduler to connect to"):
        Worker()

    async def main() -> None:
        worker = Worker("tcp://127.0.0.1:1", nthreads=1, death_timeout="200ms")
        with pytest.raises(OSError, match=r"no scheduler at tcp://127\.0\.0\.1:1"):
            await worker
        assert worker.status == "failed"

    run(main())


def test_kinds_of_tasks() -> None:
    async def coroutine(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    def here() -> Any:
        return get_worker().name

    def busy() -> int:
        secede()
        rejoin()
        return threading.get_ident()

    def moody() -> int:
        attempts = vars(get_worker()).setdefault("moody", [])  # its own it would have anew
        attempts.append(1)
        if len(attempts) < 3:
            raise Reschedule
        return len(attempts)

    async def main() -> None:
        async with cluster({"name": "a"}) as (_, _, client):
            assert await client.submit(coroutine, 1) == 2
            assert await client.submit(here) == "a"
            assert await client.submit(busy) > 0
            assert await client.submit(moody) == 3
            futures = client.map(inc, range(50))
            assert await client.submit(sum, futures) == sum(range(51))

    run(main())


def test_named_executors() -> None:
    def where() -> str:
        return threading.current_thread().name

    async def main() -> None:
        with ThreadPoolExecutor(1, thread_name_prefix="gpu") as gpu:
            async with cluster({"executors": {"gpu": gpu}}) as (_, _, client):
                with dask.annotate(executor="gpu"):
                    future = client.submit(where)
                assert (await future).startswith("gpu")
                with dask.annotate(executor="nope"):
                    future = client.submit(where, pure=False)
                with pytest.raises(ValueError, match="nope"):
                    await future

    run(main())


RUNNING: list[int] = []
MOST: list[int] = []


def sleep_crowded(x: int) -> int:
    RUNNING.append(x)
    MOST.append(len(RUNNING))
    time.sleep(0.005)
    RUNNING.remove(x)
    return x


def test_resources_limit_what_runs_at_a_time() -> None:
    async def main() -> None:
        async with cluster({"nthreads": 4, "resources": {"GPU": 2}}) as (_, _, client):
            futures = client.map(sleep_crowded, range(20), resources={"GPU": 1})
            assert await client.gather(futures) == list(range(20))
        assert max(MOST) == 2

    run(main())


def test_inputs_come_from_peers() -> None:
    async def main() -> None:
        async with cluster({"name": "a"}, {"name": "b"}) as (scheduler, _, client):
            x = client.submit(np.arange, 1_000_000, workers=["a"])
            y = client.submit(np.arange, 1_000_000, workers=["b"], pure=False)
            total = client.submit(lambda u, v: int((u + v).sum()), x, y)
            assert await total == 2 * sum(range(1_000_000))
            await until(
                lambda: (
                    len(scheduler.tasks[x.key].who_has) == 2
                    or len(scheduler.tasks[y.key].who_has) == 2
                )
            )

    run(main())


def test_what_cannot_be_unpickled_on_a_worker_fails_the_tasks_that_need_it() -> None:
    class Odd:
        """Opens only where it was made: twice is once too often."""

        def __reduce__(self) -> Any:
            return _open_odd, (os.getpid(),)

    async def main() -> None:
        async with cluster({"name": "a"}, {"name": "b"}) as (_, _, client):
            odd = client.submit(Odd, workers=["a"])
            with pytest.raises(RuntimeError, match=r"cannot be unpickled on this worker.*not here"):
                await client.submit(str, odd, workers=["b"])

    run(main())


def _open_odd(pid: int) -> Any:
    raise LookupError("not here")


def test_errors_keep_type_text_and_frames() -> None:
    def divide(x: int) -> float:
        return x / 0

    async def main() -> None:
        async with cluster({}) as (_, _, client):
            with pytest.raises(ZeroDivisionError, match="division by zero") as caught:
                await client.submit(divide, 1)
            assert "divide" in [entry.name for entry in caught.traceback]
            assert not [e for e in caught.traceback if "executor" in str(e.path)]

    run(main())


def test_retries_and_system_exit() -> None:
    def flaky() -> int:
        attempts = vars(get_worker()).setdefault("flaky", [])  # its own it would have anew
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError("again")
        return len(attempts)

    def leave() -> None:
        raise SystemExit("out")

    async def main() -> None:
        async with cluster({}) as (_, _, client):
            assert await client.submit(flaky, retries=5) == 3
            with pytest.raises(SystemExit, match="out"):
                await client.submit(leave)
            assert await client.submit(inc, 1) == 2

    run(main())


def test_memory_spills_and_comes_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with cluster(
            {
                "memory_limit": "1 GB",
                "memory_target_fraction": 0.001,  # 1 MB
                "memory_spill_fraction": False,
                "memory_pause_fraction": False,
                "local_directory": str(tmp_path),
            }
        ) as (_, [a], client):
            futures = client.map(np.full, [200_000] * 10, range(10))
            await until(lambda: a.store.disk_bytes > 8e6 and a.store.memory_bytes < 3.5e6)
            totals = await client.gather(client.map(np.sum, futures))
            assert totals == [200_000 * i for i in range(10)]
            assert (await client.gather(futures[0]))[0] == 0
            del futures
            await until(lambda: a.store.disk_bytes == 0)
        assert list((tmp_path / "dask-scratch-space").iterdir()) == []

    run(main())


def test_a_paused_worker_starts_nothing_new_and_says_so(caplog: Any) -> None:
    async def main() -> None:
        async with cluster({"name": "a", "memory_limit": "33 MiB"}, {"name": "b"}) as (
            scheduler,
            [a, b],
            client,
        ):
            # Any process uses more than 80 % of 33 MiB.
            await until(lambda: a.status == "paused")
            await until(lambda: scheduler.workers[a.address].status == "paused")
            futures = client.map(inc, range(20))
            assert await client.gather(futures) == list(range(1, 21))
            held = await client.has_what()
            assert not held[a.address] and len(held[b.address]) == 20

    run(main())


GATE = threading.Event()
STARTED: list[int] = []


def gated(i: int) -> int:
    STARTED.append(i)
    assert GATE.wait(20)
    return i


@pytest.fixture
def gate() -> threading.Event:
    GATE.clear()
    STARTED.clear()
    return GATE


def test_a_lost_scheduler_is_found_again(gate: threading.Event) -> None:
    """The scheduler dies without a word; another one at its address gets all that was there."""

    async def main() -> None:
        first = await Scheduler(host="127.0.0.1", validate=True)
        port, address = first.port, first.address
        async with (
            Worker(address, nthreads=1, name="a", validate=True) as a,
            Client(address, asynchronous=True) as client,
        ):
            done = client.submit(inc, 1, key="done")
            assert await done == 2
            big = client.submit(np.arange, 100_000, key="big")
            await big
            waiting = client.submit(gated, 7)
            await until(lambda: a.pool.executing)
            await _kill(first)
            second = await Scheduler(host="127.0.0.1", port=port, validate=True)
            await until(lambda: second.workers and second.clients)
            gate.set()
            assert await waiting == 7 and STARTED == [7]
            assert (await client.gather(big)).shape == (100_000,)
            assert await client.submit(inc, done, key="more") == 3
            assert a.pool.executing == 0
            await second.close()

    run(main())


async def _kill(scheduler: Scheduler) -> None:
    """As near as a loop comes to kill -9: all connections break, nobody is told."""
    scheduler._preloads = type(scheduler._preloads)(scheduler)
    scheduler.worker_streams._on_closed = lambda *args: None  # type: ignore[method-assign]
    scheduler.client_streams._on_closed = lambda *args: None  # type: ignore[method-assign]
    scheduler._alarm.off()
    for streams in (scheduler.worker_streams, scheduler.client_streams):
        for name in streams:
            streams.drop(name)
    scheduler._end()


def test_a_worker_that_may_not_reconnect_closes() -> None:
    async def main() -> None:
        scheduler = await Scheduler(host="127.0.0.1")
        worker = await Worker(scheduler.address, nthreads=1, reconnect=False)
        await _kill(scheduler)
        await asyncio.wait_for(worker.finished(), 10)
        assert "connection to the scheduler was lost" in worker.close_reason

    run(main())


def test_closing_the_scheduler_closes_its_workers() -> None:
    async def main() -> None:
        scheduler = await Scheduler(host="127.0.0.1")
        worker = await Worker(scheduler.address, nthreads=1)
        await scheduler.close(reason="the end")
        await asyncio.wait_for(worker.finished(), 10)
        assert worker.close_reason == "the end"

    run(main())


def test_a_worker_retires_at_the_end_of_its_lifetime() -> None:
    async def main() -> None:
        async with cluster({"name": "old", "lifetime": "300ms"}, {"name": "young"}) as (
            scheduler,
            [old, young],
            client,
        ):
            data = await client.scatter([1, 2, 3], workers=["old"])
            await asyncio.wait_for(old.finished(), 20)
            assert await client.gather(data) == [1, 2, 3]
            assert list(scheduler.workers) == [young.address]

    run(main())


def test_graceful_closing_moves_the_data() -> None:
    async def main() -> None:
        async with cluster({"name": "a"}, {"name": "b"}) as (scheduler, [a, b], client):
            data = await client.scatter([1, 2, 3], workers=["a"])
            await a.close_gracefully()
            assert list(scheduler.workers) == [b.address]
            assert await client.gather(data) == [1, 2, 3]

    run(main())


def test_preloads_see_the_worker(tmp_path: Path) -> None:
    preload = tmp_path / "worker_preload.py"
    preload.write_text("def dask_setup(worker):\n    worker.seen = True\n")

    async def main() -> None:
        async with cluster({"preload": [str(preload)]}) as (_, [a], _):
            assert a.seen  # type: ignore[attr-defined]

    run(main())


def test_cancelled_work_is_dropped(gate: threading.Event) -> None:
    async def main() -> None:
        async with cluster({}) as (scheduler, [a], client):
            futures = client.map(gated, range(10))
            await until(lambda: STARTED)
            await client.cancel(futures)
            await until(lambda: not scheduler.tasks and not a.pool.ready)
            gate.set()
            await until(lambda: not a.pool.executing)
            assert len(STARTED) == 1 and len(a.data) == 0

    run(main())


def test_what_people_look_at(caplog: Any) -> None:
    async def main() -> None:
        caplog.set_level(logging.INFO, "shoal.worker")
        async with cluster({}) as (scheduler, [a], client):
            # dask-jobqueue waits for these words in the logs of its jobs.
            assert f"Registered to: {scheduler.address}" in caplog.text
            assert a.loop == scheduler.loop == client.loop == asyncio.get_running_loop()
            await client.scatter({("x", 0): np.ones(3)})
            assert list(a.data) == [("x", 0)]
            assert a.data["x", 0].sum() == 3

    run(main())
