"""What waits on paused workers goes to others."""

from __future__ import annotations

import pytest
from scheduler_harness import Cluster

from shoal.wire import messages as m


@pytest.fixture
def cluster() -> Cluster:
    found = Cluster()
    found.client("c")
    return found


def asked_back(cluster: Cluster, address: str) -> list[str]:
    return [key for steal in cluster.told(address, m.Steal) for key in steal.keys]


def test_others_run_what_a_paused_worker_did_not_start(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.worker("b")
    cluster.graph("c", {f"x-{i}": [] for i in range(4)})
    [first, second] = cluster.sent("a")
    cluster.done("b", *cluster.sent("b"))
    cluster.hear("a", m.WorkerStatus("paused"))
    assert set(asked_back(cluster, "a")) == {first.key, second.key}
    cluster.hear("a", m.StealReply([second.key], [second.run], [first.key]))
    assert [task.key for task in cluster.sent("b")] == [second.key]
    # What had started is not asked for again.
    cluster.hear("b", m.WorkerStatus("paused"), m.WorkerStatus("running"))
    assert asked_back(cluster, "a") == []


def test_what_was_queued_for_a_paused_worker_is_placed_anew(cluster: Cluster) -> None:
    cluster.worker("a", nthreads=4)
    cluster.graph("c", {"x": []})
    [x] = cluster.sent("a")
    cluster.done("a", x, seconds=10.0, nbytes=10**12)
    cluster.worker("b", nthreads=4)
    # They wait for the worker that has their large input.
    cluster.graph("c", {f"y-{i}": ["x"] for i in range(12)})
    assert len(cluster.sent("a")) == 5 and not cluster.sent("b")
    assert list(cluster.states().values()).count("queued") == 7
    cluster.hear("a", m.WorkerStatus("paused"))
    assert len(cluster.sent("b")) == 5
    cluster.ignore(m.Steal, why="a paused worker is asked for what it did not begin")


def test_nobody_is_asked_while_all_are_paused(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.graph("c", {"x": [], "y": []})
    cluster.hear("a", m.WorkerStatus("paused"))
    assert asked_back(cluster, "a") == []
    cluster.worker("b")
    assert len(asked_back(cluster, "a")) == 2
    cluster.ignore(m.ComputeMany, why="what the first worker was sent")
