"""Processes are killed, results arrive. Real clusters, real signals."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from helpers import wait_until

from shoal import Client, KilledWorker, LocalCluster

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]


def inc(x: int) -> int:
    return x + 1


def add(x: int, y: int) -> int:
    return x + y


def sleep_and_note(folder: str, i: int) -> int:
    """Leave a mark per run, so that the test can count them."""
    time.sleep(0.01)
    with open(os.path.join(folder, str(i)), "a") as file:
        file.write("x")
    return 3 * i


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def client() -> Iterator[Any]:
    with (
        LocalCluster(n_workers=3, threads_per_worker=1) as cluster,
        Client(cluster) as client,
    ):
        yield client


def test_a_worker_killed_among_ten_thousand_tasks_with_dependencies(client: Any) -> None:
    client.wait_for_workers(3)
    victims = list(client.run(os.getpid).values())
    numbers = client.map(inc, range(4000), pure=False)
    pairs = client.map(add, numbers[:-1], numbers[1:], pure=False)
    more = client.map(add, pairs[::2], pairs[1::2], pure=False)
    total = client.submit(sum, more)
    wait_until(lambda: sum(future.done() for future in numbers) > 500)
    os.kill(victims[0], signal.SIGKILL)
    expected = [x + 1 for x in range(4000)]
    expected = [x + y for x, y in pairwise(expected)]
    assert client.gather(pairs) == expected
    assert total.result() == sum(x + y for x, y in zip(expected[::2], expected[1::2]))
    # The nanny has started another one in its place.
    client.wait_for_workers(3)
    assert victims[0] not in client.run(os.getpid).values()


def test_a_scheduler_killed_among_two_thousand_tasks(tmp_path: Path) -> None:
    with (
        LocalCluster(n_workers=2, threads_per_worker=2, silence_logs="ERROR") as cluster,
        Client(cluster) as client,
    ):
        address = cluster.scheduler_address
        first = client.run_on_scheduler(os.getpid)
        futures = client.map(sleep_and_note, [str(tmp_path)] * 2000, range(2000))
        wait_until(lambda: sum(future.done() for future in futures) > 400, timeout=30)
        os.kill(first, signal.SIGKILL)
        assert client.gather(futures) == [3 * i for i in range(2000)]
        runs = [len((tmp_path / str(i)).read_text()) for i in range(2000)]
        assert set(runs) == {1}
        second = client.run_on_scheduler(os.getpid)
        assert second != first and cluster.scheduler_address == address


def test_a_task_that_kills_its_worker_is_given_up_with_the_reasons(client: Any) -> None:
    future = client.submit(die)
    with pytest.raises(KilledWorker, match=r"killed by signal 9 \(SIGKILL\)") as caught:
        future.result(timeout=60)
    assert len(caught.value.deaths) == 4  # allowed-failures is 3
    assert client.submit(inc, 1).result() == 2


def test_a_worker_that_is_stopped_and_goes_on_harms_nothing(client: Any) -> None:
    """SIGSTOP is what a suspended laptop, a debugger or a swapping host looks like."""
    victim = next(iter(client.run(os.getpid).values()))
    futures = client.map(inc, range(500), pure=False)
    os.kill(victim, signal.SIGSTOP)
    more = client.map(inc, range(500), pure=False)
    os.kill(victim, signal.SIGCONT)
    assert client.gather(futures + more) == [*range(1, 501)] * 2
