"""Futures of one client used with another client of the same scheduler."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from dask import delayed
from helpers import run, wait_until

from shoal import (
    CancelledError,
    Client,
    Future,
    LocalCluster,
    Scheduler,
    Worker,
    as_completed,
    futures_of,
    wait,
)

gate, never = threading.Event(), threading.Event()


def inc(x: int) -> int:
    return x + 1


def five_when_told() -> int:
    gate.wait(10)
    return 5


def long() -> None:
    never.wait(10)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(
        processes=False, n_workers=2, threads_per_worker=2, dashboard_address=None
    ) as cluster:
        yield cluster


@pytest.fixture
def both(cluster: LocalCluster) -> Iterator[tuple[Client, Client]]:
    with Client(cluster) as one, Client(cluster, set_as_default=False) as two:
        yield one, two


def test_as_arguments_done_or_not(both: tuple[Client, Client]) -> None:
    one, two = both
    done = one.submit(inc, 1)
    done.result()
    pending = one.submit(five_when_told)
    first = two.submit(inc, done)
    later = two.submit(sum, [done, pending])
    many = two.map(inc, [done, pending])
    shared = two.map(lambda x, y: x + y, range(2), y=done)
    assert first.result(5) == 3
    del done  # kept for the other client's tasks
    gate.set()
    assert later.result(5) == 7
    assert two.gather(many) == [3, 6]
    assert two.gather(shared) == [2, 3]
    keys = [pending.key, later.key]
    del pending, later, first, many, shared
    tasks = one.cluster.scheduler.core.state.tasks
    wait_until(lambda: not any(key in tasks for key in keys))


def test_a_task_that_the_scheduler_does_not_know_yet(both: tuple[Client, Client]) -> None:
    one, two = both
    for i in range(20):
        assert two.submit(inc, one.submit(inc, i, pure=False)).result(5) == i + 2


def test_in_graphs_gather_wait_and_as_completed(both: tuple[Client, Client]) -> None:
    one, two = both
    mine, theirs = two.submit(inc, 10), one.submit(inc, 1)
    lazy = delayed(sum)([mine, theirs])
    assert two.compute(lazy).result(5) == 13
    persisted = one.persist(delayed(inc)(5))
    assert two.compute(delayed(inc)(persisted), sync=True) == 7
    assert two.gather({"a": theirs, "b": [mine]}) == {"a": 2, "b": [11]}
    assert wait([mine, theirs]) == ({mine, theirs}, set())
    slow = one.submit(long)
    done, not_done = wait([slow, mine], return_when="FIRST_COMPLETED")
    assert (done, not_done) == ({mine}, {slow})
    with pytest.raises(TimeoutError):
        wait([slow, mine], timeout=0.05)
    never.set()
    assert {f.result() for f in as_completed([mine, theirs])} == {2, 11}
    assert futures_of([mine, theirs], client=one) == [theirs]


def test_what_cannot_be_claimed(both: tuple[Client, Client]) -> None:
    one, two = both
    gone = one.submit(inc, 1, key="gone")
    gone.cancel()
    wait_until(gone.cancelled)
    with pytest.raises(CancelledError, match="gone"):
        two.submit(inc, gone)
    failed = one.submit(inc, "x")
    with pytest.raises(TypeError, match="concatenate"):
        two.submit(inc, failed).result(5)
    with (
        Client(processes=False, n_workers=1, dashboard_address=None, set_as_default=False) as far,
        pytest.raises(ValueError, match="of another scheduler"),
    ):
        two.submit(inc, far.submit(inc, 1))
    with Client(one.cluster, set_as_default=False) as third:
        left = third.submit(inc, 1, pure=False)
        left.result()
    with pytest.raises(CancelledError, match="closed"):
        two.submit(inc, left)


def test_in_coroutines() -> None:
    async def main() -> None:
        async with (
            Scheduler(host="127.0.0.1", dashboard_address=None, validate=True) as scheduler,
            Worker(scheduler.address),
            Client(scheduler.address, asynchronous=True) as one,
            Client(scheduler.address, asynchronous=True, set_as_default=False) as two,
        ):
            f = one.submit(inc, 1)
            assert await two.submit(inc, f) == 3
            g: Future = two.submit(inc, 10)
            assert len((await wait([f, g])).done) == 2
            assert await two.gather([f, g]) == [2, 11]
            assert (await wait([f, g], return_when="FIRST_COMPLETED")).done

    run(main())
