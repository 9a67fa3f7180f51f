"""Primitives inside tasks, on several workers; holders that die; a scheduler that begins anew."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from helpers import run, until, wait_until

from shoal import (
    Client,
    Event,
    Lock,
    MultiLock,
    Pub,
    Queue,
    Scheduler,
    Semaphore,
    Sub,
    Variable,
    Worker,
    get_worker,
    wait,
)
from shoal.worker.executor import places


@contextmanager
def by_reference(function: Any) -> Iterator[None]:
    """Have a function pickled by its name: tasks in this process run this very one."""
    module = types.ModuleType("functions_of_tests")
    name = function.__name__
    function.__module__, function.__qualname__ = module.__name__, name
    setattr(module, name, function)
    sys.modules[module.__name__] = module
    try:
        yield
    finally:
        del sys.modules[module.__name__]


def test_tasks_and_clients_share_primitives(client: Client, name: str) -> None:
    def work(queue: Queue, done: Queue) -> int:
        total = 0
        while (item := queue.get()) is not None:
            total += item
            done.put((item, get_worker().address))
        return total

    queue, done = Queue(name, maxsize=3), Queue()
    futures = client.map(work, [queue] * 4, [done] * 4, pure=False)
    for i in range(20):
        queue.put(i)
    for _ in futures:
        queue.put(None)
    assert sum(client.gather(futures)) == sum(range(20))
    assert sorted(item for item, _ in done.get(batch=20)) == list(range(20))


def test_coroutine_tasks(client: Client, name: str) -> None:
    async def work(i: int, name: str) -> int:
        async with Lock(name):
            await Queue(name).put(i)
        assert await Event(name).wait(timeout=10)
        sub, pub = await Sub(name), await Pub(name)
        pub.put(i)
        sub.close()
        return i

    futures = client.map(work, range(4), name=name)
    assert sorted(Queue(name).get(batch=4, timeout=10)) == list(range(4))
    Event(name).set()
    assert client.gather(futures) == list(range(4))


def test_a_future_of_a_task_outlives_it(client: Client, name: str) -> None:
    def work(name: str) -> None:
        from shoal import get_client

        Variable(name).set(get_client().submit(lambda x: x + 1, 1))

    client.submit(work, name).result()
    assert Variable(name).get().result() == 2


def test_semaphore_in_tasks(client: Client, name: str) -> None:
    running: list[int] = []
    most: list[int] = []

    def slow_work(i: int, semaphore: Semaphore) -> int:
        with semaphore:
            running.append(i)
            most.append(len(running))
            time.sleep(0.001)
            running.remove(i)
        return i

    # The threads of the workers see these lists.
    with by_reference(slow_work):
        semaphore = Semaphore(2, name)
        futures = client.map(slow_work, range(20), semaphore=semaphore)
        assert client.gather(futures) == list(range(20))
    assert max(most) == 2
    assert semaphore.get_value() == 0


def test_tasks_with_a_lock_of_their_process_beside_that_of_the_cluster(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As xarray has them when it writes files; whoever comes in between stops at the former."""
    # A thread that waits for a place, which it should not, would be here for an hour.
    monkeypatch.setattr(places, "_TIMEOUT", 3600.0)
    here = threading.Lock()

    def work(i: int) -> int:
        with here, Lock(name):
            return i

    # The threads of the worker see this lock.
    with by_reference(work), Client(processes=False, n_workers=1, threads_per_worker=1) as client:
        mine = Lock(name)
        mine.acquire()
        futures = client.map(work, range(10))
        # The first waits for the lock, the next has come in its place, and waits for the first.
        (worker,) = client.cluster.workers.values()
        wait_until(lambda: worker.pool.executing == 2)
        mine.release()
        wait(futures, timeout=20)
        assert client.gather(futures) == list(range(10))


def test_a_free_lock_keeps_the_thread(name: str) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(i: int) -> int:
        inside.append(i)
        most.append(len(inside))
        with Lock(name), Semaphore(1, name), MultiLock([name + "a", name + "b"]):
            pass
        inside.remove(i)
        return i

    # The thread of the worker sees these lists.
    with by_reference(work), Client(processes=False, n_workers=1, threads_per_worker=1) as client:
        assert client.gather(client.map(work, range(50))) == list(range(50))
    assert max(most) == 1


def test_pubsub_between_workers(client: Client, name: str) -> None:
    addresses = list(client.scheduler_info()["workers"])

    def listen(name: str, n: int) -> list[Any]:
        sub = Sub(name)
        Queue(name).put(get_worker().address)
        return [sub.get(timeout=10) for _ in range(n)]

    def speak(name: str, n: int) -> list[str]:
        pub = Pub(name)
        for i in range(n):
            pub.put((i, get_worker().address))
        return sorted(pub.subscribers)

    listeners = [client.submit(listen, name, 50, workers=[a], pure=False) for a in addresses]
    here = Sub(name)
    Queue(name).get(batch=2, timeout=10)
    speaker = client.submit(speak, name, 50, workers=[addresses[0]])
    assert speaker.result() == sorted(addresses)
    expected = [(i, addresses[0]) for i in range(50)]
    assert client.gather(listeners) == [expected, expected]
    assert [here.get(timeout=10) for _ in range(50)] == expected


def test_publishing_to_a_worker_that_is_named(client: Client, name: str) -> None:
    async def main() -> None:
        async with (
            Scheduler(host="127.0.0.1") as scheduler,
            Worker(scheduler.address, nthreads=1) as a,
            Worker(scheduler.address, nthreads=1) as b,
        ):
            sub = await Sub(name, worker=b)
            pub = await Pub(name, worker=a)
            assert pub.subscribers == {b.address: {}}
            pub.put(bytes(100_000))
            assert await sub.get(timeout=5) == bytes(100_000)
            with pytest.raises(ValueError, match="a worker or a client, not both"):
                Pub(name, worker=a, client=client)
            late = await Sub(name, worker=a)
            await until(lambda: len(pub.subscribers) == 2)
            pub.put(1)
            assert await late.get(timeout=5) == 1 and await sub.get(timeout=5) == 1
            sub.close()
            await until(lambda: pub.subscribers == {a.address: {}})
            pub.put(2)
            assert await late.get(timeout=5) == 2

    run(main())


@pytest.mark.process
def test_a_worker_that_dies_frees_what_it_held() -> None:
    def hold(name: str) -> None:
        if Event(name + "-again").is_set():
            return
        Event(name + "-again").set()
        Lock(name).acquire()
        Semaphore(1, name).acquire()
        Sub(name)
        Event(name).set()
        os._exit(1)

    with Client(n_workers=1, threads_per_worker=1) as client:
        future = client.submit(hold, "x")
        assert Event("x").wait(timeout=30)
        assert Lock("x").acquire(timeout=20)
        assert Semaphore(1, "x").acquire(timeout=20)
        assert future.result() is None
        wait_until(lambda: not Pub("x").subscribers)


def test_a_scheduler_that_begins_anew() -> None:
    """Pending asks are asked again, what is held is claimed; values in the scheduler are gone."""

    async def main() -> None:
        scheduler = await Scheduler(host="127.0.0.1")
        address = scheduler.address
        async with (
            Client(address, asynchronous=True) as one,
            Client(address, asynchronous=True, set_as_default=False) as two,
        ):
            lock, semaphore = Lock("l", client=one), await Semaphore(1, "s", client=one)
            await lock.acquire()
            await semaphore.acquire()
            sub = await Sub("t", client=one)
            pub = await Pub("t", client=two)
            await Queue("q", client=one).put("gone")
            get = asyncio.ensure_future(Queue("empty", client=two).get())
            acquire = asyncio.ensure_future(Lock("l", client=two).acquire())
            await until(
                lambda: sum(map(len, scheduler.core.state.coordination.waiting.values())) == 2
            )
            again = await Scheduler(host="127.0.0.1", validate=True)
            for client in (one, two):  # as if it were at the same address
                assert client._connection is not None
                client._connection.address = again.address
            for client_id in list(scheduler.client_streams):
                scheduler.client_streams.drop(client_id)
            try:
                await until(lambda: len(again.clients) == 2)
                assert await Queue("q", client=two).qsize() == 0
                await Queue("empty", client=one).put("asked again")
                assert await get == "asked again"
                await until(lambda: again.core.state.coordination.claims_until is None)
                assert not acquire.done() and await lock.locked()
                assert await Semaphore(1, "s", client=two).acquire(timeout=0) is False
                await lock.release()
                assert await acquire is True
                assert await semaphore.release() is True
                pub.put("still")
                assert await sub.get(timeout=5) == "still"
            finally:
                await one.close()
                await two.close()
                await again.close()
        await scheduler.close()

    run(main())
