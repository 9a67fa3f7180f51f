"""Tasks that yield: parts in order, no more than are taken, each once whatever happens."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import wait_until

from shoal import Client, StreamFuture, TaskTimeout, wait
from shoal.coordination.sending import Sender

YIELDED: list[int] = []
ATTEMPTS: list[int] = []


@pytest.fixture(autouse=True)
def forget() -> None:
    YIELDED.clear()
    ATTEMPTS.clear()


def count(n: int) -> Iterator[int]:
    for i in range(n):
        YIELDED.append(i)
        yield i


async def count_later(n: int) -> AsyncIterator[int]:
    for i in range(n):
        await asyncio.sleep(0)
        yield i


def large(n: int) -> Iterator[Any]:
    for i in range(n):
        yield np.full(100_000, i)


def fail_at_first(n: int, at: int, times: int, start: int = 0) -> Iterator[int]:
    ATTEMPTS.append(start)
    for i in range(start, n):
        if i == at and len(ATTEMPTS) <= times:
            raise ValueError(f"attempt {len(ATTEMPTS)}")
        yield i


def spin(n: int) -> Iterator[int]:
    yield from range(n)
    while True:
        pass


@pytest.mark.parametrize("function", [count, count_later])
def test_parts_come_in_order(client: Client, function: Any) -> None:
    future = client.stream(function, 100)
    assert isinstance(future, StreamFuture) and future.key.startswith("count")
    assert list(future) == list(range(100))
    assert future.result() == 100


def test_a_task_whose_parts_are_all_taken_is_not_stopped(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it has not ended when the last of them comes."""
    all_came = Sender.all_came
    release = threading.Event()

    def ends_later(sender: Sender) -> bool:
        return all_came(sender) and release.wait(20)

    monkeypatch.setattr(Sender, "all_came", ends_later)
    future = client.stream(count, 3)
    assert list(future) == [0, 1, 2] and not future.done()
    release.set()
    assert future.result(timeout=20) == 3


def test_large_parts_come_from_their_worker(client: Client) -> None:
    assert [int(part.sum()) for part in client.stream(large, 4)] == [0, 100_000, 200_000, 300_000]


def test_it_waits_while_nobody_takes_parts(client: Client) -> None:
    future = client.stream(count, 100, buffer=3)
    parts = iter(future)
    assert next(parts) == 0
    wait_until(lambda: len(YIELDED) >= 4)
    # Those that were taken, those that wait, and one that the task has in its hands.
    assert len(YIELDED) <= 3 + 3 + 1 and not future.done()
    assert list(parts) == list(range(1, 100))


def test_a_part_costs_no_round_trip(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task puts some while the first are on their way, and they are taken together."""
    flying = []
    put = Sender._put

    def note(sender: Sender, asking: Any) -> None:
        flying.append(sender._flying)
        put(sender, asking)

    monkeypatch.setattr(Sender, "_put", note)
    assert list(client.stream(count, 400, buffer=32)) == list(range(400))
    assert max(flying) > 8


def test_other_tasks_run_while_it_waits(client: Client) -> None:
    futures = [client.stream(count, 100, buffer=1) for _ in range(20)]
    assert client.submit(int, "5").result(timeout=20) == 5
    assert [list(future) for future in futures] == [list(range(100))] * 20


def test_what_was_yielded_comes_before_the_error(client: Client) -> None:
    found = []
    with pytest.raises(ValueError, match="attempt 1"):
        for part in client.stream(fail_at_first, 5, 3, 1):
            found.append(part)
    assert found == [0, 1, 2]


def test_a_retry_from_the_start_gives_each_part_once(client: Client) -> None:
    future = client.stream(fail_at_first, 6, 3, 2, retries=3)
    assert list(future) == list(range(6))
    assert ATTEMPTS == [0, 0, 0]


def test_a_retry_from_the_last_part_that_came(client: Client) -> None:
    future = client.stream(fail_at_first, 6, 3, 2, retries=3, resume="start")
    assert list(future) == list(range(6))
    assert ATTEMPTS == [0, 3, 3]


def test_a_timeout(client: Client) -> None:
    found = []
    with pytest.raises(TaskTimeout):
        for part in client.stream(spin, 3, timeout="300ms"):
            found.append(part)
    assert found == [0, 1, 2]


@pytest.mark.parametrize("how", ["close", "drop"])
def test_it_is_stopped_when_nobody_wants_more(client: Client, how: str) -> None:
    future = client.stream(spin, 3)
    assert next(iter(future)) == 0
    executing: Any = lambda dask_worker: dask_worker.pool.executing  # noqa: E731
    if how == "close":
        future.close()
    else:
        del future
        gc.collect()
    wait_until(lambda: not any(client.run(executing).values()))
    names: Any = lambda dask_scheduler: list(  # noqa: E731
        dask_scheduler.state.coordination.places if dask_scheduler.state.coordination else ()
    )
    wait_until(lambda: not [name for name in client.run_on_scheduler(names) if name[0] == "queue"])


def test_in_coroutines(client: Client) -> None:
    async def main() -> list[Any]:
        async with Client(client.scheduler.address, asynchronous=True) as other:
            found: list[Any] = [part async for part in other.stream(count, 20)]
            async for part in other.stream(large, 2):
                found.append(int(part.sum()))
            with pytest.raises(ValueError, match="attempt 1"):
                async for part in other.stream(fail_at_first, 5, 1, 1):
                    found.append(part)
            return found

    assert asyncio.run(main()) == [*range(20), 0, 100_000, 0]


def test_a_stream_is_a_future_like_others(client: Client) -> None:
    future = client.stream(count, 3)
    wait([future])
    assert client.submit(lambda n: n + 1, future).result() == 4
    assert list(future) == [0, 1, 2]


def test_what_does_not_yield_is_refused(client: Client) -> None:
    with pytest.raises(TypeError, match="generator function"):
        client.stream(int, "5")
    with pytest.raises(TypeError, match="no parameter of that name"):
        client.stream(count, 5, resume="begin")
    with pytest.raises(ValueError, match="buffer="):
        client.stream(count, 5, buffer=0)


def die_once(n: int, flag: str, start: int = 0) -> Iterator[Any]:
    for i in range(start, n):
        if i == n // 2 and not os.path.exists(flag):
            Path(flag).touch()
            threading.Event().wait(0.3)
            os._exit(3)
        yield np.full(100_000, i) if start == 0 else i


@pytest.mark.process
def test_a_worker_that_dies_loses_no_part(tmp_path: Path) -> None:
    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        began = time.monotonic()
        future = client.stream(die_once, 8, str(tmp_path / "flag"), buffer=2)
        assert [int(np.max(part)) for part in future] == list(range(8))
        again = client.stream(die_once, 8, str(tmp_path / "other"), buffer=2, resume="start")
        assert [int(np.max(part)) for part in again] == list(range(8))
        assert time.monotonic() - began < 60
