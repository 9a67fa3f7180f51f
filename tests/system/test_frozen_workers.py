"""A worker that hangs, as a stopped one does: its connections stay open, and nobody answers.

It is given up after `worker-ttl`. What waits for it must hear of that, and its nanny starts
another.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask
import pytest
from helpers import wait_until

from shoal import Client, LocalCluster, wait

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]


def big() -> bytes:
    return b"x" * 100_000


@pytest.fixture
def client() -> Iterator[Any]:
    with (
        dask.config.set({"distributed.scheduler.worker-ttl": "2 s"}),
        LocalCluster(n_workers=2, threads_per_worker=1, silence_logs="ERROR") as cluster,
        Client(cluster) as client,
    ):
        yield client


def _gather(client: Any, future: Any) -> Any:
    return client.gather(future, direct=True)


def _scatter(client: Any, future: Any) -> Any:
    (copied,) = client.scatter([big()], broadcast=True, direct=True)
    return client.gather(copied)


def _scatter_by_scheduler(client: Any, future: Any) -> Any:
    return client.gather(client.scatter(big(), broadcast=True, direct=False))


def _ask_all(client: Any, future: Any) -> Any:
    assert len(client.get_worker_logs()) == len(client.get_versions()["workers"])
    return big()


@pytest.mark.parametrize("verb", [_gather, _scatter, _scatter_by_scheduler, _ask_all])
def test_verbs_go_on_without_it(client: Any, verb: Callable[[Any, Any], Any]) -> None:
    victim, *_ = client.scheduler_info()["workers"]
    pid = client.run(os.getpid, workers=[victim])[victim]
    future = client.submit(big, workers=[victim], allow_other_workers=True)
    wait(future)
    os.kill(pid, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(verb, client, future).result(timeout=30) == big()
    wait_until(lambda: len(client.scheduler_info()["workers"]) == 2, timeout=30)
    assert victim not in client.scheduler_info()["workers"]  # its nanny started another
