"""What workers tell of memory: who may run what asks for some, why tasks wait, what tasks took."""

from __future__ import annotations

import pytest
from scheduler_harness import Cluster

from shoal.scheduler.core.explain import explain
from shoal.wire import messages as m
from shoal.wire.messages import TaskOptions


@pytest.fixture
def cluster() -> Cluster:
    found = Cluster()
    found.client("c")
    return found


def beat(cluster: Cluster, **metrics: object) -> None:
    cluster.hear("a", m.WorkerHeartbeat(dict(metrics), {}))


def test_a_task_that_asks_for_memory_goes_where_there_is_so_much(cluster: Cluster) -> None:
    cluster.worker("a", memory_limit=100)
    cluster.worker("b", memory_limit=1000)
    cluster.worker("mine", memory_limit=1000, resources={"memory": 3})
    for name, amount in (("x", 500.0), ("y", 2000.0)):
        options = TaskOptions(resources={"memory": amount})
        cluster.graph("c", {name: []}, options=options)
    assert [task.key for task in cluster.sent("b")] == ["x"]
    assert not cluster.sent("a") and not cluster.sent("mine")
    assert "needs the resources" in explain(cluster.machine.state, "y")


def test_why_a_task_waits_for_memory(cluster: Cluster) -> None:
    cluster.worker("a", memory_limit=1000)
    cluster.graph("c", {"x": []})
    assert [task.key for task in cluster.sent("a")] == ["x"]
    beat(cluster, held={"x": "waits for memory: it takes about 9 bytes"})
    assert "and waits for memory: it takes about 9 bytes." in explain(cluster.machine.state, "x")


def test_what_fills_a_worker_that_is_paused(cluster: Cluster) -> None:
    cluster.worker("a", memory_limit=1000)
    cluster.graph("c", {"x": [], "y": [], "z": []})
    assert len(cluster.sent("a")) == 2
    beat(cluster, memory=900, managed_bytes=300, spilled_bytes=70)
    cluster.hear("a", m.WorkerStatus("paused"))
    words = "takes 900 bytes of its limit of 1,000, 300 of them results and 600 something else"
    texts = [explain(cluster.machine.state, key) for key in "xyz"]
    assert all(words in text for text in texts)
    assert any("Release results that you hold" in text for text in texts)


def test_what_tasks_took_is_kept_by_prefix_when_workers_go(cluster: Cluster) -> None:
    cluster.worker("a", memory_limit=1000)
    beat(cluster, task_memory={"read": [2, 50], "sum": [1, 5]})
    beat(cluster, task_memory={"read": [3, 40]})
    cluster.lose_worker("a")
    assert cluster.machine.state.task_memory == {"read": (5, 50), "sum": (1, 5)}
