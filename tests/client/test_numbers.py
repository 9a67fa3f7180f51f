"""Numbers of numpy, wherever users give numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from shoal import Client, LocalCluster, Queue, Semaphore, Variable, wait

TWO = np.int64(2)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=TWO, threads_per_worker=np.int8(1), processes=False) as cluster,
        Client(cluster) as client,
    ):
        yield client


def note(client: Client) -> Any:
    client.set_metadata("noted", {"loss": [np.float32(0.5), np.int64(1)]})
    return client.get_metadata("noted")


def log(client: Client) -> Any:
    client.log_event("losses", {"loss": np.float32(0.5)})
    return client.get_events("losses")[-1][1]


def kept(value: Any) -> Callable[[Client], Any]:
    def keep(client: Client) -> Any:
        variable = Variable("kept", client)
        variable.set(value)
        found = variable.get(timeout=5)
        assert type(found) in (int, float, bool)
        return found

    return keep


def queued(client: Client) -> Any:
    queue = Queue("numbers", client, maxsize=TWO)
    queue.put(np.float64(0.5))
    return queue.get(timeout=5, batch=np.int64(1))


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (lambda c: c.submit(abs, -1, retries=TWO, priority=TWO).result(timeout=5), 1),
        (lambda c: c.gather(c.map(abs, [-2, -3, -4], batch_size=TWO, retries=TWO)), [2, 3, 4]),
        (lambda c: c.submit(abs, -5, workers=[np.int64(0)]).result(timeout=5), 5),
        (lambda c: c.submit(abs, -5.5, workers=np.int64(0)).result(timeout=5), 5.5),
        (lambda c: c.submit(abs, -6, key=("x", np.int64(1))).key, ("x", 1)),
        (lambda c: c.submit(abs, -7, resources={"none": TWO}).status, "pending"),
        (lambda c: c.wait_for_workers(TWO, timeout=np.int64(5)), None),
        (lambda c: c.replicate(c.submit(abs, -8), n=TWO), None),
        (lambda c: c.gather(c.scatter(1, broadcast=TWO)), 1),
        (lambda c: wait(c.submit(abs, -9), timeout=np.float32(5)).not_done, set()),
        (lambda c: Semaphore(max_leases=TWO, name="s", client=c).acquire(timeout=5), True),
        (queued, [0.5]),
        (kept(TWO), 2),
        (kept(np.float64(0.5)), 0.5),
        (kept(np.float32(0.5)), 0.5),
        (kept(np.bool_(True)), True),
        (note, {"loss": [0.5, 1]}),
        (log, {"loss": 0.5}),
    ],
)
def test_numbers_of_numpy(client: Client, use: Callable[[Client], Any], expected: Any) -> None:
    assert use(client) == expected


def test_scaling_by_numbers_of_numpy(client: Client) -> None:
    client.cluster.scale(np.int64(3))
    client.cluster.wait_for_workers(np.int64(3), timeout=10)
    with pytest.raises(ValueError, match=r"n_workers= must be .* at least 1, got np.float64"):
        client.wait_for_workers(np.float64(2))
