"""More data than memory in real processes: nothing is killed, and what cannot be fails in words."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
import numpy as np
import pytest
from helpers import wait_until

from shoal import Client
from shoal.client.futures import fetching
from shoal.errors import NoMemoryError

pytestmark = pytest.mark.process

PART = 30_000_000  # bytes


@contextmanager
def limited(limit: str, threads: int = 1, **settings: Any) -> Iterator[Client]:
    with (
        dask.config.set({key.replace("__", "."): value for key, value in settings.items()}),
        Client(
            n_workers=1, threads_per_worker=threads, memory_limit=limit, dashboard_address=None
        ) as client,
    ):
        yield client


def part(i: int) -> np.ndarray:
    return np.full(PART // 8, float(i))


def both(a: np.ndarray, b: np.ndarray) -> float:
    return float((a + b).sum())


def worker_of(client: Client) -> Any:
    [worker] = client.scheduler_info()["workers"].values()
    return worker


def process(client: Client) -> str:
    [found] = client.run(lambda dask_worker: dask_worker.id).values()
    return found


def test_twice_as_much_data_as_memory() -> None:
    with limited("300 MB") as client:
        before = process(client)
        parts = client.map(part, range(20))
        sums = client.map(both, parts, parts[10:] + parts[:10])
        count = PART // 8
        assert client.gather(sums) == [count * (i + (i + 10) % 20) for i in range(20)]
        assert process(client) == before  # nothing was ended
        wait_until(lambda: {"part", "both"} <= client.memory_by_prefix().keys())
        taken = client.memory_by_prefix()
        assert taken["part"]["runs"] > 0
        assert 0.8 * PART < taken["part"]["peak"] < 6 * PART


def test_a_full_disk_fails_the_task_that_does_not_fit_and_no_other() -> None:
    with limited("300 MB", distributed__worker__memory__max_spill="1 MB") as client:
        before = process(client)
        held = client.map(part, range(20))
        wait_until(lambda: any(f.status == "error" for f in held), timeout=60)
        failed = next(f for f in held if f.status == "error")
        with pytest.raises(NoMemoryError, match="not more than 1000000 bytes are spilled"):
            failed.result()
        assert client.submit(sum, [1, 2]).result(timeout=30) == 3
        kept = [f for f in held if f.status == "finished"]
        assert float(client.submit(np.max, kept[-1]).result(timeout=30)) >= 0
        assert process(client) == before


def wait_and_count(seconds: float) -> float:
    threading.Event().wait(seconds)
    return time.time()


def test_memory_that_tasks_ask_for_is_theirs() -> None:
    with limited("1 GB", threads=4) as client:
        ask = {"memory": "400 MB"}
        start = time.time()
        futures = client.map(wait_and_count, [0.5] * 4, pure=False, resources=ask)
        ends = sorted(client.gather(futures))
        assert ends[3] - start > 0.9  # not more than two at a time
        with pytest.raises(ValueError, match="give one such as '4 GB'"):
            client.submit(part, 1, resources={"memory": "lots"})
        too_large = client.submit(part, 1, resources={"memory": "4 GB"})
        wait_until(lambda: "needs the resources" in client.explain(too_large))


def test_why_a_task_waits_for_memory() -> None:
    with limited("400 MB", threads=2) as client:
        one = client.submit(wait_and_count, 4, resources={"memory": "300 MB"})
        two = client.submit(wait_and_count, 0, resources={"memory": "90 MB"}, key="two")
        wait_until(lambda: "waits for memory" in client.explain("two"), timeout=10)
        assert "of the limit of 400,000,000" in client.explain("two")
        client.gather([one, two])


def test_a_client_with_less_memory_than_the_results_says_so(monkeypatch: Any) -> None:
    with limited("1 GB") as client:
        parts = client.map(part, range(4))
        with monkeypatch.context() as patch:
            patch.setattr(fetching, "memory_free", lambda: 50_000_000)
            with pytest.raises(NoMemoryError, match=r"114.44 MiB together.*47.68 MiB"):
                client.gather(parts)
        assert [float(x[0]) for x in client.gather(parts)] == [0, 1, 2, 3]
