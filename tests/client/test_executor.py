"""`get_executor`: what the documentation of `concurrent.futures` promises of an executor."""

from __future__ import annotations

import asyncio
import concurrent.futures as cf
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import run, wait_until

from shoal import Client, Scheduler, Worker, get_worker


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(
        processes=False, n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as client:
        yield client


def inc(x: int, by: int = 1) -> int:
    return x + by


def div(x: int, y: int) -> float:
    return x / y


def slow(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def block(gate: str) -> str:
    assert GATES[gate].wait(20)
    return gate


def options(workers: int, key: int = 0) -> tuple[int, int]:
    return workers, key


GATES: dict[str, threading.Event] = {}


@pytest.fixture
def gate() -> Iterator[str]:
    name = f"gate-{len(GATES)}"
    GATES[name] = threading.Event()
    yield name
    GATES[name].set()


def test_submit(client: Client) -> None:
    with client.get_executor() as executor:
        future = executor.submit(inc, 1, by=10)
        assert isinstance(future, cf.Future) and isinstance(executor, cf.Executor)
        assert future.result(10) == 11 and future.done() and not future.running()
        assert future.exception() is None and not future.cancelled() and not future.cancel()
        failed = executor.submit(div, 1, 0)
        with pytest.raises(ZeroDivisionError):
            failed.result(10)
        assert isinstance(failed.exception(), ZeroDivisionError)
        assert executor.submit(options, workers=3, key=4).result(10) == (3, 4)
        large = executor.submit(bytes, 100_000)
        assert len(large.result(10)) == 100_000


def test_equal_calls_all_run(client: Client) -> None:
    with client.get_executor() as executor:
        a, b = executor.submit(time.perf_counter), executor.submit(time.perf_counter)
        assert a.result(10) != b.result(10)


def test_wait_and_as_completed(client: Client, gate: str) -> None:
    with client.get_executor() as executor:
        blocked = executor.submit(block, gate)
        quick = executor.submit(inc, 1)
        done, not_done = cf.wait([blocked, quick], return_when=cf.FIRST_COMPLETED, timeout=10)
        assert (done, not_done) == ({quick}, {blocked})
        assert cf.wait([blocked], timeout=0.01).not_done == {blocked}
        with pytest.raises(TimeoutError):
            blocked.result(0.01)
        GATES[gate].set()
        assert set(cf.as_completed([blocked, quick], timeout=10)) == {blocked, quick}


def test_map_is_lazy_in_order_and_has_a_timeout(client: Client, gate: str) -> None:
    with client.get_executor() as executor:
        assert list(executor.map(inc, range(50), range(50))) == [2 * i for i in range(50)]
        results = executor.map(div, [4, 1, 3], [2, 0, 1])
        assert next(results) == 2
        with pytest.raises(ZeroDivisionError):
            next(results)
        assert list(results) == []
        assert list(executor.map(inc, [], timeout=1)) == []
        late = executor.map(block, [gate], timeout=0.05)
        with pytest.raises(TimeoutError):
            next(late)
        GATES[gate].set()


def test_callbacks_run_where_they_may_wait_for_the_cluster(client: Client) -> None:
    got: list[Any] = []
    with client.get_executor() as executor:
        future = executor.submit(inc, 1)
        future.add_done_callback(lambda f: got.append(client.submit(inc, f.result()).result()))
        wait_until(lambda: got)
        future.add_done_callback(lambda f: got.append("at once"))
    assert got == [3, "at once"]


def test_cancel(client: Client, gate: str) -> None:
    workers = sorted(client.nthreads())
    with client.get_executor(workers=workers[:1]) as executor:
        first = executor.submit(block, gate)
        queued = executor.submit(inc, 1)
        assert queued.cancel() and queued.cancelled() and queued.cancel() and queued.done()
        with pytest.raises(cf.CancelledError):
            queued.result(1)
        assert cf.wait([queued], timeout=1).done == {queued}
        GATES[gate].set()
        assert first.result(10) == gate and not first.cancel()


def test_shutdown_waits_or_cancels(client: Client, gate: str) -> None:
    executor = client.get_executor()
    futures = [executor.submit(slow, 0.05) for _ in range(4)]
    executor.shutdown()
    assert all(future.done() for future in futures)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.submit(inc, 1)
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        executor.map(inc, [1])
    executor.shutdown()  # again does no harm

    executor = client.get_executor()
    blocked = executor.submit(block, gate)
    executor.shutdown(wait=False)
    assert not blocked.done()
    GATES[gate].set()
    assert blocked.result(10) == gate

    GATES[gate].clear()
    executor = client.get_executor()
    waiting = [executor.submit(block, gate) for _ in range(5)]
    executor.shutdown(wait=True, cancel_futures=True)
    assert all(future.cancelled() for future in waiting)


def test_calls_go_on_when_nobody_keeps_future_or_executor(client: Client, gate: str) -> None:
    GATES[gate].set()
    marks: list[str] = []
    client.get_executor().submit(block, gate).add_done_callback(lambda f: marks.append(f.result()))
    wait_until(lambda: marks)
    assert marks == [gate]


def test_options(client: Client) -> None:
    address = sorted(client.nthreads())[1]
    with client.get_executor(workers=[address], retries=1, priority=2) as executor:
        found = list(executor.map(lambda _: get_worker().address, range(4)))
        assert found == [address] * 4
    with pytest.raises(TypeError, match="got colour, size"):
        client.get_executor(size=1, colour=2)


def test_with_an_asynchronous_client() -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc") as s,
            Worker(s.address, nthreads=1),
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            executor = c.get_executor()
            loop = asyncio.get_running_loop()
            assert await loop.run_in_executor(executor, inc, 1) == 2
            future = executor.submit(inc, 2)
            with pytest.raises(RuntimeError, match="would block the loop"):
                executor.shutdown()
            assert await asyncio.wrap_future(future) == 3

    run(main())


def test_a_client_that_closes_cancels() -> None:
    with Client(processes=False, n_workers=1, dashboard_address=None) as client:
        executor = client.get_executor()
        GATES["closing"] = threading.Event()
        future = executor.submit(block, "closing")
    with pytest.raises((cf.CancelledError, RuntimeError)):
        future.result(10)
    GATES["closing"].set()
    executor.shutdown()
