"""What clients, futures and executors offer besides submit and gather, as dask documents it."""

from __future__ import annotations

import asyncio
import logging
import pickle
import random
import threading
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import dask
import pytest
from dask import delayed
from helpers import run, wait_until

from shoal import (
    ActorLostError,
    CancelledError,
    Client,
    DumpArtefact,
    Future,
    LocalCluster,
    Scheduler,
    Worker,
    as_completed,
    get_worker,
)
from shoal.compat.waiting import ensure_default_client, temp_default_client
from shoal.errors import ClosedClientError, FutureCancelledError, FuturesCancelledError


def inc(x: int) -> int:
    return x + 1


def div(x: int, y: int) -> float:
    return x / y


hold = threading.Event()


def held() -> None:
    hold.wait(10)


@asynccontextmanager
async def cluster(n: int = 2) -> AsyncIterator[tuple[Client, Scheduler, list[Worker]]]:
    async with Scheduler(host="127.0.0.1", dashboard_address=None, validate=True) as scheduler:
        workers = [Worker(scheduler.address, nthreads=1, name=str(i)) for i in range(n)]
        await asyncio.gather(*workers)
        try:
            async with Client(scheduler.address, asynchronous=True) as client:
                yield client, scheduler, workers
        finally:
            await asyncio.gather(*(worker.close() for worker in workers))


@pytest.fixture(scope="module")
def local():
    with LocalCluster(
        processes=False, n_workers=2, threads_per_worker=2, dashboard_address=None
    ) as made:
        yield made


@pytest.fixture
def client(local: LocalCluster):
    with Client(local) as made:
        yield made


# ------------------------------------------------------------------ executors


def test_an_executor_cancels_what_runs(client: Client) -> None:
    hold.clear()
    with client.get_executor(pure=False) as executor:
        call = executor.submit(held)
        wait_until(call.running)
        assert call.cancel() and call.cancelled() and not call.running()
        with pytest.raises(CancelledError):
            call.result(1)
        hold.set()
        assert executor.submit(inc, 1, pure=False, priority=5).result(5) == 2
        done = executor.submit(inc, 5)
        assert done.result(5) == 6 and not done.cancel()


def test_equal_calls_of_an_executor_are_one_task(client: Client) -> None:
    with client.get_executor() as executor:
        calls = [executor.submit(random.random) for _ in range(5)]
        assert len({call.result(5) for call in calls}) == 1
        assert len(set(executor.map(random_of, range(5), pure=False, timeout=5))) == 5
        assert list(executor.map(inc, range(3), chunksize=2)) == [1, 2, 3]
        assert list(executor.map(div, [4, 9], y=2)) == [2, 4.5]


def random_of(x: int) -> float:
    return random.random()


# ------------------------------------------------------------------ actors


class Counter:
    def __init__(self) -> None:
        self.n = 0

    def increment(self) -> int:
        self.n += 1
        return self.n


def test_what_an_actor_has() -> None:
    async def main() -> None:
        async with cluster() as (c, _, workers):
            actor = await c.submit(Counter, actor=True, workers=[workers[0].address])
            assert hasattr(actor, "n") and hasattr(actor, "increment")
            assert not hasattr(actor, "fish")
            assert await actor.increment(separate_thread=False) == 1
            assert await actor.n == 1
            copy = pickle.loads(pickle.dumps(actor))
            assert hasattr(copy, "n") and not hasattr(copy, "fish")
            await workers[0].close()
            with pytest.raises(RuntimeError, match="lost"):
                await actor.increment()
            assert issubclass(ActorLostError, RuntimeError)

    run(main())


def test_what_an_actor_has_for_blocking_code(client: Client) -> None:
    actor = client.submit(Counter, actor=True).result(5)
    assert actor.n == 0 and not hasattr(actor, "fish")


def test_actors_of_collections(client: Client) -> None:
    made = delayed(Counter)()
    future = client.compute(made, actors=made)
    assert future.result(5).increment().result(5) == 1
    other = delayed(Counter)()
    assert client.compute(other, actors=[other]).result(5).increment().result(5) == 1
    third = delayed(Counter)()
    assert client.compute(third, actors={third: True}).result(5).increment().result(5) == 1


# ------------------------------------------------------------------ datasets


def test_datasets_in_all_forms() -> None:
    async def main() -> None:
        async with cluster(1) as (c, _, _workers):
            await c.publish_dataset({("a", 1): 1, "b": 2, 3: "three"})
            assert await c.get_dataset(("a", 1)) == 1
            assert await c.get_dataset(3) == "three"
            await c.publish_dataset(1, [2], name="two")
            assert await c.get_dataset("two") == (1, [2])
            await c.publish_dataset({"x": 1}, name="a dict")
            assert await c.get_dataset("a dict") == {"x": 1}
            assert set(await c.list_datasets()) == {("a", 1), "b", 3, "two", "a dict"}
            await c.unpublish_dataset("not there")
            await c.unpublish_dataset("b")
            with pytest.raises(KeyError):
                await c.get_dataset("b")
            for wrong in ({"args": (1,)}, {"args": (), "name": "x"}):
                with pytest.raises(ValueError, match="call signature"):
                    await c.publish_dataset(*wrong.pop("args"), **wrong)

    run(main())


def test_the_mapping_of_datasets_has_what_it_has(client: Client) -> None:
    client.datasets["mine"] = 1
    del client.datasets["mine"]
    with pytest.raises(KeyError):
        del client.datasets["mine"]


# ------------------------------------------------------------------ futures


def test_futures_of_nobody() -> None:
    data = pickle.dumps(Future("x"))
    for future in (Future("x"), pickle.loads(data)):
        assert future.key == "x" and future.status == "pending" and "x" in repr(future)
        assert str(future) == repr(future)
        with pytest.raises(RuntimeError, match="no client"):
            future.result()
        with pytest.raises(RuntimeError, match="bind_client"):
            _ = future.client


def test_a_future_that_is_bound_later(local: LocalCluster) -> None:
    with Client(local, set_as_default=False) as c:
        done = c.submit(inc, 1, key="bound-later")
        assert done.result(5) == 2
        future = pickle.loads(pickle.dumps(done))
        future.bind_client(c)
        assert future.result(5) == 2 and future.client is future.executor is c
        future.bind_client(c)
        del done
        assert future.status == "finished"


def test_the_next_of_those_that_complete(client: Client) -> None:
    futures = client.map(inc, range(3))
    coming = as_completed(futures)
    assert {coming.next(), coming.next(), coming.next()} == set(futures)
    with pytest.raises(StopIteration):
        coming.next()
    assert coming.thread_condition is coming.lock


def test_errors_of_several_futures() -> None:
    error = FuturesCancelledError([FutureCancelledError("x", "a"), FutureCancelledError("y", "b")])
    assert isinstance(error, CancelledError) and "x cancelled" in str(error)
    assert [each.key for each in pickle.loads(pickle.dumps(error)).errors] == ["x", "y"]


# ------------------------------------------------------------------ which client is meant


def test_the_client_of_a_with_block_is_that_of_the_context(local: LocalCluster) -> None:
    with Client(local) as one:
        assert Client.current(allow_global=False) is one
        with Client(local) as two, Client(local, set_as_default=False):
            assert Client.current(allow_global=False) is Client.current() is two
        assert Client.current(allow_global=False) is one
        one.close()
        with pytest.raises(ValueError, match="as_current"):
            Client.current(allow_global=False)
    with pytest.raises(ClosedClientError, match="cannot be used"):
        one.submit(inc, 1)


def test_the_client_of_an_asynchronous_block() -> None:
    async def main() -> None:
        async with cluster(1) as (c, s, _):
            assert Client.current(allow_global=False) is c
            async with Client(s.address, asynchronous=True) as other:
                assert Client.current(allow_global=False) is other
            with temp_default_client(c):
                assert Client.current() is c
            assert c.scheduler_info()["workers"]
        with pytest.raises(ValueError, match="no clients"):
            Client.current()

    run(main())


def test_a_client_is_made_the_default(local: LocalCluster) -> None:
    with Client(local) as one, Client(local, set_as_default=False) as two:
        two_is_it = []

        def look() -> None:  # the block's own context is that of the first
            ensure_default_client(two)
            two_is_it.append(Client.current() is two)

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert two_is_it == [True] and Client.current() is one


# ------------------------------------------------------------------ preloads, information


def test_preloads_of_clients() -> None:
    preload = (
        "def dask_setup(client):\n    client.noted = [client.status]\n"
        "def dask_teardown(client):\n    client.noted.append('torn down')\n"
    )

    async def main() -> None:
        async with cluster(1) as (_, s, _workers):
            with dask.config.set({"distributed.client.preload": [preload]}):
                async with Client(s.address, asynchronous=True, extensions={"x": 1}) as c:
                    noted: list[str] = vars(c)["noted"]
                    assert len(noted) == 1
                    assert c.extensions == {"x": 1} and c.scheduler_file is None
            assert noted[1:] == ["torn down"]

    run(main())


def test_what_is_known_after_waiting_for_workers() -> None:
    async def main() -> None:
        async with (
            Scheduler(host="127.0.0.1", dashboard_address=None) as s,
            Client(s.address, asynchronous=True) as c,
            Worker(s.address),
        ):
            await c.wait_for_workers(1)
            assert len(c.scheduler_info()["workers"]) == 1
            future = c.submit(inc, 1)
            assert c.refcount == {future.key: 1}
            assert await c.get({"x": (inc, 1)}, "x") == 2
            x, y = c.get({"x": (inc, 1), "y": (inc, "x")}, ["x", "y"], sync=False)
            assert isinstance(x, Future) and await y == 3

    run(main())


def test_large_plain_arguments_are_warned_of(client: Client) -> None:
    with pytest.warns(UserWarning, match="Sending large graph of size 19"):
        client.submit(len, b"0" * 20_000_000).result(10)
    with pytest.warns(UserWarning, match="Sending large graph"):
        client.gather(client.map(len, [b"0" * 20_000_000, b""]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client.submit(len, b"0" * 20_000).result(5)
    # Futures among the arguments are no data.
    client._session.large, large = 1000, client._session.large
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert client.submit(sum, client.map(inc, range(200))).result(5) == 20100
    finally:
        client._session.large = large


def test_dumps_to_addresses(client: Client, tmp_path: Any) -> None:
    url = f"file://{tmp_path}/dump"
    assert client.dump_cluster_state(url) == url + ".msgpack.gz"
    assert (tmp_path / "dump.msgpack.gz").exists()
    assert len(DumpArtefact.from_url(url + ".msgpack.gz")["workers"]) == 2
    other = str(tmp_path / "other")
    written = client.dump_cluster_state(other, write_from_scheduler=True, format="yaml")
    assert len(DumpArtefact.from_url(written)["workers"]) == 2
    with pytest.raises(TypeError, match="storage options"):
        client.dump_cluster_state(other, anon=True)


# ------------------------------------------------------------------ for those who look for bugs


def test_a_task_is_made_again_here(client: Client) -> None:
    def where(x: int, y: int = 0) -> tuple[int, bool]:
        return x + y, threading.current_thread() is threading.main_thread()

    one = client.submit(inc, 1)
    future = client.submit(where, one, y=one, pure=False)
    assert future.result(5) == (4, False)
    del one
    assert client.recreate_task_locally(future) == (4, True)
    assert client.recreate_task_locally(client.submit(inc, 5)) == 6
    assert client.recreate_task_locally(client.submit(sum, [client.submit(inc, 5), 1])) == 7
    with pytest.raises(ValueError, match="No errored futures"):
        client.recreate_error_locally(future)
    with pytest.raises(ValueError, match="does not know how"):
        client.recreate_task_locally(client.scatter(1))


def test_an_error_is_made_again_here(client: Client) -> None:
    bad = client.submit(div, client.submit(inc, 0), client.submit(int))
    late = client.submit(inc, client.submit(inc, bad))
    with pytest.raises(ZeroDivisionError) as caught:
        client.recreate_error_locally(late)
    assert caught.traceback[-1].name == "div"
    assert caught.traceback[-1].frame.f_locals["x"] == 1
    with pytest.raises(ZeroDivisionError):
        client.recreate_error_locally(client.persist(delayed(div)(1, 0)))
    with pytest.raises(ZeroDivisionError):
        client.recreate_task_locally(bad)


def test_a_task_is_made_again_in_coroutines() -> None:
    async def main() -> None:
        async with cluster(1) as (c, _, _workers):
            assert await c.recreate_task_locally(c.submit(inc, 1)) == 2
            with pytest.raises(ZeroDivisionError):
                await c.recreate_error_locally(c.submit(div, 1, 0))

    run(main())


def say(text: str, level: int) -> None:
    log = logging.getLogger("fish.below")
    log.setLevel(logging.DEBUG)
    try:
        log.log(level, "%s of %s", text, get_worker().name, extra={"more": 5})
    finally:
        log.setLevel(logging.NOTSET)


def test_logs_of_workers_are_handled_here(client: Client, caplog: Any) -> None:
    caplog.set_level(logging.INFO, "fish")
    client.forward_logging("fish", level=logging.WARNING)
    client.submit(say, "heard", logging.ERROR, pure=False).result(5)
    client.submit(say, "too low", logging.INFO, pure=False).result(5)

    def told() -> list[logging.LogRecord]:
        return [r for r in caplog.records if getattr(r, "shoal_forwarded", False)]

    wait_until(told)
    client.unforward_logging("fish")
    client.submit(say, "not any more", logging.ERROR, pure=False).result(5)
    (record,) = told()
    assert record.getMessage().startswith("heard of ") and record.name == "fish.below"
    assert record.levelno == logging.ERROR and vars(record)["more"] == 5


def test_the_hardware_of_workers(client: Client, monkeypatch: Any) -> None:
    monkeypatch.setattr("shoal.client.observe.hardware._DURATION", 0.005)
    found = client.benchmark_hardware()
    assert set(found) == {"disk", "memory", "network"}
    for name, by_size in found.items():
        assert len(by_size) >= 5 and all(value > 0 for value in by_size.values()), name


def test_keywords_of_questions(client: Client) -> None:
    async def ask() -> Any:
        return await client.nthreads(asynchronous=True)

    assert list(client.sync(ask).values()) == [2, 2]
    assert client.story("nothing", on_error="ignore") == []
