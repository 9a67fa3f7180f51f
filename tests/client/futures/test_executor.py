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


def keywords(**kwargs: Any) -> list[str]:
    return sorted(kwargs)


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
        assert executor.submit(keywords, self=1, func=2, fn=3).result(10) == ["fn", "func", "self"]
        large = executor.submit(bytes, 100_000)
        assert len(large.result(10)) == 100_000


def test_equal_calls_all_run_where_they_are_not_pure(client: Client) -> None:
    with client.get_executor(pure=False) as executor:
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
        wait_until(first.running)
        assert first.cancel() and first.cancelled() and not first.running()
        with pytest.raises(cf.CancelledError):
            first.result(1)
        GATES[gate].set()


def test_running_is_what_runs_not_what_waits(client: Client, gate: str) -> None:
    workers = sorted(client.nthreads())
    with client.get_executor(workers=workers[:1]) as executor:
        assert executor.submit(inc, 1).result(10) == 2
        first = executor.submit(block, gate, pure=False)
        second = executor.submit(block, gate, pure=False)
        wait_until(first.running)
        assert not second.running() and not second.done()
        assert "running" in repr(first) and "pending" in repr(second)
        GATES[gate].set()
        assert cf.wait([first, second], timeout=10).not_done == set()
        assert not first.running() and not second.running()


async def wait_for(gate: str) -> str:
    await asyncio.to_thread(GATES[gate].wait, 30)
    return gate


def test_coroutines_are_seen_to_run(client: Client, gate: str) -> None:
    with client.get_executor() as executor:
        future = executor.submit(wait_for, gate)
        wait_until(future.running)
        (stacks,) = client.call_stack(keys=[future.key]).values()  # type: ignore[attr-defined]
        assert "in wait_for" in stacks[future.key][0]  # type: ignore[attr-defined]
        GATES[gate].set()
        assert future.result(10) == gate and not future.running()


def test_callbacks_are_called_in_the_order_they_were_added(client: Client, gate: str) -> None:
    order: list[int] = []
    with client.get_executor() as executor:
        future = executor.submit(block, gate)
        for i in range(5):
            future.add_done_callback(lambda f, i=i: order.append(i))  # type: ignore[misc]
        future.add_done_callback(lambda f: div(1, 0))  # logged, and no harm to the others
        future.add_done_callback(lambda f: order.append(5))
        GATES[gate].set()
        wait_until(lambda: len(order) == 6)
    assert order == list(range(6))


def test_a_call_that_runs_and_is_cancelled_by_the_client_ends(client: Client, gate: str) -> None:
    with client.get_executor() as executor:
        future = executor.submit(block, gate)
        wait_until(future.running)
        assert future.key is not None  # type: ignore[attr-defined]
        client.cancel([future._future])  # type: ignore[attr-defined]
        with pytest.raises(cf.CancelledError):
            future.result(10)
        assert future.done()
        GATES[gate].set()


def test_map_with_chunksize(client: Client) -> None:
    with client.get_executor() as executor:
        assert list(executor.map(inc, range(20), chunksize=7)) == list(range(1, 21))
        assert list(executor.map(inc, range(3), range(9), timeout=10)) == [0, 2, 4]


def test_shutdown_waits_or_cancels(client: Client, gate: str) -> None:
    executor = client.get_executor(pure=False)
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
    executor = client.get_executor(pure=False)
    waiting = [executor.submit(block, gate) for _ in range(5)]
    wait_until(lambda: sum(future.running() for future in waiting) == 2)
    executor.shutdown(wait=False, cancel_futures=True)
    assert [future.cancelled() for future in waiting].count(True) == 3
    assert not any(future.done() for future in waiting if not future.cancelled())
    GATES[gate].set()
    executor.shutdown()
    assert all(future.done() for future in waiting)


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
