"""Clients with a real scheduler and real workers, all in this process."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, OrderedDict, defaultdict, namedtuple
from collections.abc import Awaitable, Callable
from operator import add
from typing import Any

import numpy as np
import pytest
from helpers import run, until

from shoal import (
    CancelledError,
    DataLostError,
    Scheduler,
    Worker,
    as_completed,
    futures_of,
    get_client,
    wait,
)
from shoal.client.client import Client
from shoal.client.futures.future import Future


def inc(x):
    return x + 1


def div(x, y):
    return x / y


started, go = threading.Event(), threading.Event()


def block_until_told():
    started.set()
    go.wait(10)


def on_cluster(
    test: Callable[..., Awaitable[None]],
    n_workers: int = 2,
    protocol: str = "inproc",
    **kwargs: Any,
) -> None:
    async def main() -> None:
        async with Scheduler(port=0, protocol=protocol) as scheduler:
            workers = [Worker(scheduler.address, nthreads=1, **kwargs) for _ in range(n_workers)]
            await asyncio.gather(*workers)
            try:
                async with Client(
                    scheduler.address, asynchronous=True, set_as_default=False
                ) as client:
                    await test(client, scheduler, *workers)
            finally:
                await asyncio.gather(*(worker.close() for worker in workers))

    run(main())


@pytest.mark.parametrize("protocol", ["inproc", "tcp"])
def test_tasks_and_data(protocol: str) -> None:
    async def test(c: Client, s: Scheduler, a: Worker, b: Worker) -> None:
        futures = c.map(inc, range(200))
        assert await c.gather(futures) == list(range(1, 201))
        while len(futures) > 1:
            pairs = [futures[i : i + 2] for i in range(0, len(futures), 2)]
            futures = [c.submit(sum, pair) for pair in pairs]
        assert await futures[0] == sum(range(1, 201))
        arrays = c.map(np.full, [50_000] * 4, [1.0, 2.0, 3.0, 4.0])
        assert [x.sum() for x in await c.gather(arrays)] == [5e4, 1e5, 1.5e5, 2e5]
        again = await c.gather(arrays, direct=False)
        assert [x.sum() for x in again] == [5e4, 1e5, 1.5e5, 2e5]
        bad = c.submit(div, 1, 0)
        with pytest.raises(ZeroDivisionError):
            await c.submit(inc, bad)

    on_cluster(test, protocol=protocol)


@pytest.mark.parametrize("direct", [True, False])
def test_scatter(direct: bool) -> None:
    async def test(c: Client, s: Scheduler, a: Worker, b: Worker) -> None:
        x, y = await c.scatter([1, 2], direct=direct)
        holders = await c.who_has([x, y])
        assert {holders[x.key][0], holders[y.key][0]} == {a.address, b.address}
        everywhere = await c.scatter(np.arange(10), broadcast=True, direct=direct)
        holders = await c.who_has([everywhere])
        assert set(holders[everywhere.key]) == {a.address, b.address}
        only = await c.scatter({"k": 5}, workers=[b.address], direct=direct)
        assert await c.who_has(only["k"]) == {"k": [b.address]}
        assert await c.submit(add, only["k"], x) == 6
        assert sorted(await c.gather([x, y])) == [1, 2]
        with pytest.raises(TimeoutError, match="nobody"):
            await c.scatter(1, workers="nobody", timeout="50ms", direct=direct)
        del x, y, everywhere, only
        await until(lambda: not s.tasks)

    on_cluster(test)


class Bunch(dict):
    """As in scikit-learn: a dict of one kind of values, which is one value."""


class MyList(list):
    pass


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize("broadcast", [False, True])
def test_shapes_of_what_is_scattered(broadcast: bool) -> None:
    async def test(c: Client, s: Scheduler, *workers: Worker) -> None:
        for data in ([1, 2], (1, 2), {1, 2}, {"a": 1, ("b", 1): 2}, [], (), {}, Point(1, [2])):
            futures = await c.scatter(data, broadcast=broadcast)
            assert type(futures) is type(data) and len(futures) == len(data)
            items = futures.values() if isinstance(futures, dict) else futures
            assert all(isinstance(each, Future) for each in items)
            assert await c.gather(futures) == data
        futures = await c.scatter(range(3), broadcast=broadcast)
        assert await c.gather(futures) == [0, 1, 2]
        for value in (
            Bunch(a=1),
            MyList([1]),
            OrderedDict(a=1),
            Counter("aab"),
            defaultdict(list, a=[1]),
        ):
            future = await c.scatter(value, broadcast=broadcast)
            assert isinstance(future, Future)
            back = await future
            assert back == value and type(back) is type(value)
        point = await c.scatter(Point(1, 2), broadcast=broadcast)
        assert type(point) is Point and await c.submit(lambda p: p.x - p.y, point) == -1

    on_cluster(test)


def test_futures_in_a_namedtuple() -> None:
    async def test(c: Client, s: Scheduler, *workers: Worker) -> None:
        f = c.submit(inc, 1)
        assert await c.submit(lambda p: p.y, Point(0, f)) == 2
        assert await c.submit(lambda p: [p[0].y], [Point(0, f)]) == [2]
        nested = await c.gather({"p": Point(f, [f])})
        assert nested == {"p": Point(2, [2])} and type(nested["p"]) is Point
        assert [each.key for each in futures_of(Point(0, f))] == [f.key]
        bad = c.submit(div, 1, 0)
        assert await c.gather([Point(f, bad)], errors="skip") == [Point(2, None)]

    on_cluster(test)


def test_scattered_data_that_is_lost() -> None:
    async def test(c: Client, s: Scheduler, a: Worker, b: Worker) -> None:
        future = await c.scatter(1, workers=[a.address])
        late = c.submit(inc, 1, key="late", workers=[b.address])
        await late
        await a.close()
        with pytest.raises(DataLostError):
            await future
        # As where the client has not heard of it yet: the task fails, not the call that makes it.
        with pytest.raises(DataLostError):
            await c.submit(inc, future)
        assert await late == 2

    on_cluster(test)


def test_results_of_a_lost_worker_are_computed_again() -> None:
    async def test(c: Client, s: Scheduler, a: Worker, b: Worker) -> None:
        futures = c.map(np.full, [50_000] * 6, range(6))
        await wait(futures)
        await a.close()
        assert [int(x[0]) for x in await c.gather(futures)] == list(range(6))

    on_cluster(test)


def test_cancel_and_release() -> None:
    started.clear()
    go.clear()

    async def test(c: Client, s: Scheduler, a: Worker) -> None:
        first = c.submit(block_until_told)
        await until(started.is_set)
        futures = c.map(inc, range(5))
        await c.cancel(futures)
        with pytest.raises(CancelledError, match="by the user"):
            await futures[0]
        go.set()
        await first
        del first, futures
        await until(lambda: not s.tasks)

    on_cluster(test, n_workers=1)


def test_tasks_submit_tasks() -> None:
    def blocking(n: int) -> int:
        client = get_client()
        assert get_client() is client and not client.asynchronous
        futures = client.map(inc, range(n), workers=client.nthreads().keys())
        return len(futures)

    async def awaiting(n: int) -> int:
        client = get_client()
        assert client.asynchronous
        return sum(await client.gather(client.map(inc, range(n))))

    def returning() -> Future:
        return get_client().submit(inc, 41)

    async def test(c: Client, s: Scheduler, a: Worker, b: Worker) -> None:
        assert await c.submit(blocking, 5) == 5
        assert await c.submit(awaiting, 5) == 15
        assert await c.submit(awaiting, 4) == 10
        inner = await c.submit(returning)
        assert inner.client is c and await inner == 42
        assert len(s.clients) <= 3  # ours, and one for each worker

    on_cluster(test, protocol="tcp")


def test_tasks_of_both_kinds_ask_for_a_client_at_once() -> None:
    def blocking(i: int) -> str:
        return get_client().id

    async def awaiting(i: int) -> str:
        return (await get_client()).id

    async def test(c: Client, s: Scheduler, a: Worker) -> None:
        futures = [c.submit(f, i) for i in range(20) for f in (blocking, awaiting)]
        assert len(set(await c.gather(futures))) == 1

    on_cluster(test, n_workers=1, protocol="tcp")


def test_futures_inside_of_objects_are_futures_in_the_task() -> None:
    class Box:
        def __init__(self, future: Future) -> None:
            self.future = future

    def open_box(box: Box) -> str:
        return f"{type(box.future).__name__} {box.future.key}"

    async def test(c: Client, s: Scheduler, a: Worker) -> None:
        future = c.submit(inc, 1, key="inner")
        assert await c.submit(open_box, Box(future)) == "Future inner"

    on_cluster(test, n_workers=1, protocol="tcp")


def test_as_completed() -> None:
    async def test(c: Client, s: Scheduler, a: Worker, b: Worker) -> None:
        futures = c.map(np.full, [20_000] * 5, range(5))
        seen = [int(x[0]) async for _, x in as_completed(futures, with_results=True)]
        assert sorted(seen) == list(range(5))

    on_cluster(test)


def test_questions() -> None:
    async def test(c: Client, s: Scheduler, a: Worker, b: Worker) -> None:
        future = c.submit(inc, 1, key=("x", 0))
        await future
        assert await c.nthreads() == {a.address: 1, b.address: 1}
        assert await c.ncores([a.address]) == {a.address: 1}
        holder = (await c.who_has(future))["x", 0][0]
        assert ("x", 0) in (await c.has_what())[holder]
        assert await c.processing() == {a.address: [], b.address: []}
        assert (await c.nbytes(summary=False))["x", 0] > 0
        assert "x" in await c.nbytes()
        assert "is done" in await c.explain(future)
        assert (await c.explain([future, future.key, "nobody's"])).count("\n") == 1
        assert (await c.story(future))[0][0] == ("x", 0)
        await c.log_event(["one", "two"], {"n": 1})
        (event,) = await c.get_events("one")
        assert event[1] == {"n": 1}
        versions = await c.get_versions(check=True, packages=["pytest"])
        assert versions["workers"][a.address]["packages"]["pytest"]
        assert set(await c.get_worker_logs()) == {a.address, b.address}
        assert isinstance(await c.get_scheduler_logs(1), (list, tuple))
        await until(lambda: len(c.scheduler_info()["workers"]) == 2)
        assert "processes=2 threads=2" in repr(c)

    on_cluster(test)


def test_users_functions() -> None:
    def where(dask_worker: Worker) -> str:
        return dask_worker.address

    async def where_async(dask_worker: Worker) -> str:
        return dask_worker.address

    def scheduler_id(dask_scheduler: Scheduler) -> str:
        return dask_scheduler.id

    async def test(c: Client, s: Scheduler, a: Worker, b: Worker) -> None:
        everyone = {w.address: w.address for w in (a, b)}
        assert await c.run(where) == everyone
        assert await c.run_coroutine(where_async) == everyone
        assert await c.run(where, workers=[a.address]) == {a.address: a.address}
        assert await c.run(where_async, wait=False) is None
        assert await c.run_on_scheduler(scheduler_id) == s.id
        with pytest.raises(ZeroDivisionError):
            await c.run(div, 1, 0)

    on_cluster(test)


def test_workers_come_and_go() -> None:
    async def test(c: Client, s: Scheduler, a: Worker) -> None:
        data = await c.scatter(5)
        waiting = asyncio.ensure_future(c.wait_for_workers(2, timeout=10))
        async with Worker(s.address, nthreads=1) as b:
            await waiting
            retired = await c.retire_workers([a.address])
            assert list(retired) == [a.address]
            assert await c.who_has(data) == {data.key: [b.address]}
            assert await data == 5

    on_cluster(test, n_workers=1)


def test_shutdown_closes_everything() -> None:
    async def test(c: Client, s: Scheduler, a: Worker) -> None:
        await c.shutdown()
        assert c.status == "closed"
        await asyncio.wait_for(s.finished(), 10)
        await asyncio.wait_for(a.finished(), 10)

    on_cluster(test, n_workers=1)


def test_what_other_projects_put_on_our_objects() -> None:
    async def test(client: Client, scheduler: Scheduler, *workers: Worker) -> None:
        scheduler.extensions["mine"] = 1  # optuna
        assert scheduler.extensions["mine"] == 1
        assert client.dashboard_link == ""
        future = client.submit(inc, 1)
        future.task_run_id = 7  # type: ignore[attr-defined]  # prefect-dask
        assert await future == 2
        assert future.task_run_id == 7  # type: ignore[attr-defined]
        # dask-ml awaits what compute() makes of a dict, whatever is in it.
        assert await client.compute({"classes": [0, 1]}) == {"classes": [0, 1]}

    on_cluster(test)
