"""Tasks that use the cluster: clients inside, threads given up and taken back, nothing stuck."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import dask
import pytest
from helpers import wait_until

from shoal import (
    Client,
    Event,
    Lock,
    Pub,
    Sub,
    as_completed,
    fire_and_forget,
    get_client,
    get_worker,
    local_client,
    rejoin,
    secede,
    wait,
    worker_client,
)
from shoal.task_context import current_task

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    """One thread: whoever keeps it while it waits, waits for ever."""
    with Client(processes=False, n_workers=1, threads_per_worker=1) as client:
        yield client


# Functions of modules are pickled as their names, so these are the same in tasks and in tests.
NOTED: list[int] = []
RUNNING: list[int] = []
LOCK = threading.Lock()


@pytest.fixture(autouse=True)
def _nothing_noted() -> None:
    NOTED.clear()


def inc(x):
    return x + 1


def pool_of(client):
    (worker,) = client.cluster.workers.values()
    return worker.pool


def child(i, j):
    return 1000 * i + j


def parent(i):
    here = get_client()
    children = here.map(child, [i] * 100, range(100))
    NOTED.append(threading.active_count())
    return sum(here.gather(children))


def test_a_hundred_tasks_that_each_wait_for_a_hundred(client):
    before = threading.active_count()
    futures = client.map(parent, range(100))
    assert client.gather(futures) == [sum(1000 * i + j for j in range(100)) for i in range(100)]
    # What they wait for goes first, so only few of them wait at a time.
    assert len(NOTED) == 100 and max(NOTED) - before < 50


@pytest.mark.parametrize("how", ["result", "gather", "wait", "as_completed", "map", "exception"])
def test_every_way_to_wait_gives_up_the_thread(client, how):
    def task(how):
        here = get_client()
        future = here.submit(inc, 1, pure=False)
        if how == "wait":
            wait([future])
        elif how == "as_completed":
            return [f.result() for f in as_completed([future])]
        elif how == "map":
            return sum(here.gather(here.map(inc, range(3), pure=False)))
        elif how == "exception":
            assert future.exception() is None
        return here.gather([future]) if how == "gather" else future.result()

    expected = {"gather": [2], "as_completed": [2], "map": 6}.get(how, 2)
    assert client.submit(task, how, pure=False).result(timeout=20) == expected


def fib(n):
    if n < 2:
        return n
    here = get_client()
    a = here.submit(fib, n - 1)
    b = here.submit(fib, n - 2)
    return a.result() + b.result()


def test_recursion(client):
    assert client.submit(fib, 10).result() == 55


def busy():
    """Note how many tasks run at the same time between two waits."""
    with LOCK:
        RUNNING.append(1)
        NOTED.append(len(RUNNING))
    sum(range(20_000))
    with LOCK:
        RUNNING.pop()


def busy_and_waiting(i):
    here = get_client()
    for _ in range(3):
        busy()
        here.submit(inc, i, pure=False).result()
    busy()


def test_only_as_many_run_as_there_are_threads(client):
    client.gather(client.map(busy_and_waiting, range(30), pure=False))
    assert len(NOTED) == 120 and max(NOTED) == 1
    wait_until(lambda: pool_of(client)._members == 1)


def test_coroutine_tasks_await(client):
    async def task(x):
        here = get_client()
        assert here.asynchronous
        a, b = await here.gather([here.submit(inc, x), here.submit(inc, x + 1)])
        async for future in as_completed(here.map(inc, [a, b])):
            b += await future
        return b

    assert client.submit(task, 1).result() == 3 + 3 + 4


async def coroutine_parent(i):
    here = get_client()
    return sum(await here.gather(here.map(child, [i] * 100, range(100))))


def test_coroutines_that_wait_leave_their_thread_to_others(client):
    parents = client.map(coroutine_parent, range(100))
    wait(parents, timeout=40)
    assert client.gather(parents) == [100_000 * i + 4950 for i in range(100)]


@pytest.mark.parametrize("how", ["await", "wait", "as_completed", "event", "topic", "actor"])
def test_every_wait_of_a_coroutine_lets_others_run(client, how):
    name = f"coroutine-{how}"

    class Waiting:
        async def until_told(self):
            return await Event(name, client=get_client()).wait()

    if how == "actor":
        actor = client.submit(Waiting, actor=True).result()

    async def parent():
        here = get_client()
        told = here.submit(Event(name, client=here).wait, pure=False)
        if how == "await":
            return await told
        if how == "wait":
            return bool((await wait([told])).done)
        if how == "as_completed":
            return [await future async for future in as_completed([told])] == [True]
        if how == "event":
            return await Event(name, client=here).wait()
        if how == "topic":
            sub = await Sub(name, client=here)
            await Event(f"{name}-listens", client=here).set()
            return await sub.get()
        return await actor.until_told()

    waits = client.submit(parent, pure=False)
    if how == "topic":
        assert Event(f"{name}-listens").wait(timeout=10)
        publish = client.submit(lambda: Pub(name).put(True), pure=False)
        publish.result(timeout=20)
    else:
        client.submit(lambda: Event(name).set(), pure=False).result(timeout=20)
    assert waits.result(timeout=20) is True


def test_dask_compute_inside(client):
    def task(n):
        total = dask.delayed(sum)([dask.delayed(inc)(i) for i in range(n)])
        return total.compute()

    assert client.gather(client.map(task, range(5))) == [0, 1, 3, 6, 10]


def test_errors_inside_reach_the_task(client):
    def task():
        try:
            get_client().submit(int, "x").result()
        except ValueError as error:
            return str(error)

    assert "'x'" in client.submit(task).result()


def test_worker_client_gives_its_thread_away_for_the_block(client):
    def task():
        with worker_client() as here:
            assert current_task().seceded
            # It waits for the other without asking the cluster.
            done = threading.Event()
            future = here.submit(inc, 1, pure=False)
            future.add_done_callback(lambda future: done.set())
            assert done.wait(20)
            value = future.result()
        assert not current_task().seceded
        with worker_client(separate_thread=False) as same:
            assert same is here and not current_task().seceded
        with local_client(timeout="5s") as same:
            assert same is here
        return value

    assert client.submit(task, pure=False).result(timeout=30) == 2


def test_worker_client_is_for_tasks(client):
    with pytest.raises(ValueError, match="No worker found"), worker_client():
        pass


def test_secede_and_rejoin_as_in_the_reference(client):
    def f(n):
        here = get_client()
        secede()  # secede while we wait for results to come back
        futures = here.map(inc, range(n))
        results = here.gather(futures)
        rejoin()  # block until a slot is open in the thread pool
        return sum(results)

    assert client.submit(f, 10).result() == 55

    def mytask(x):
        here = get_client()
        futures = here.map(inc, range(x))
        secede()
        return here.gather(futures)

    assert client.submit(mytask, 3).result() == [1, 2, 3]


def test_a_lock_of_the_cluster_held_while_waiting_stops_nobody(client):
    def task(i):
        with Lock("held-in-tasks"):
            return get_client().submit(inc, i, pure=False).result()

    assert client.gather(client.map(task, range(20))) == list(range(1, 21))


def note(i):
    NOTED.append(i)


def monitor():
    here = get_client()
    for i in range(5):
        fire_and_forget(here.submit(note, i))
    return here.submit(inc, 1).result()


def test_a_monitor_submits_and_forgets(client):
    assert client.submit(monitor).result() == 2
    wait_until(lambda: sorted(NOTED) == list(range(5)))


def test_get_client_and_get_worker_in_functions_that_are_run(client):
    def where(dask_worker):
        return get_worker() is dask_worker

    assert set(client.run(where).values()) == {True}

    async def compute():
        return await get_client().submit(inc, 1)

    assert set(client.run(compute).values()) == {2}


def test_each_worker_has_one_client_for_its_tasks(client):
    def task(i):
        return get_client().id

    assert len(set(client.gather(client.map(task, range(10))))) == 1


def test_asynchronous_clients_have_such_tasks_too():
    async def main():
        async with Client(
            processes=False, n_workers=1, threads_per_worker=1, asynchronous=True
        ) as client:
            return await client.gather(client.map(fib, range(6)))

    assert asyncio.run(main()) == [0, 1, 1, 2, 3, 5]
