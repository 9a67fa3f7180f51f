"""Workers that know when they end: they are sent nothing that could not end before."""

from __future__ import annotations

import pytest
from scheduler_harness import Cluster

from shoal.scheduler.core.explain import explain
from shoal.scheduler.core.policies.scaling import wanted_of_kind, wanted_workers
from shoal.wire import messages as m
from shoal.wire.messages import TaskOptions


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster(worker_ttl=None)
    cluster.client()
    return cluster


def teach(cluster: Cluster, seconds: float) -> None:
    """Have a task of the one prefix run for so long, on a worker that is gone afterwards."""
    cluster.worker("teacher")
    cluster.graph("c", {"x-0": []})
    cluster.done("teacher", *cluster.sent("teacher"), seconds=seconds)
    cluster.release("c", "x-0")
    cluster.lose_worker("teacher")
    cluster.ignore_all("what is told of the teacher's end")


def test_a_task_waits_for_a_worker_that_outlasts_it(cluster: Cluster) -> None:
    teach(cluster, 30.0)
    cluster.worker("a", lifetime=20.0)
    cluster.graph("c", {"x-1": []})
    assert not cluster.sent("a")
    assert cluster.state("x-1") == "no-worker"
    assert "ends before it could" in explain(cluster.s, "x-1")
    cluster.worker("b", lifetime=100.0)
    assert [task.key for task in cluster.sent("b")] == ["x-1"]


def test_what_lies_before_it_counts(cluster: Cluster) -> None:
    teach(cluster, 30.0)
    cluster.worker("a", lifetime=70.0)
    cluster.graph("c", {f"x-{i}": [] for i in range(1, 5)})
    assert [task.key for task in cluster.sent("a")] == ["x-1", "x-2"]
    cluster.worker("b")
    assert [task.key for task in cluster.sent("b")] == ["x-3", "x-4"]


def test_a_queue_is_passed_on_when_time_has_gone_by(cluster: Cluster) -> None:
    teach(cluster, 30.0)
    cluster.worker("a", lifetime=100.0)
    cluster.worker("b")
    cluster.graph("c", {f"x-{i}": [] for i in range(1, 9)})
    first = cluster.sent("a")
    assert first
    cluster.advance(80.0)
    cluster.done("a", first[0], seconds=30.0)
    assert not cluster.sent("a")[len(first) :]
    assert cluster.s.workers["a"].running
    cluster.ignore_all("only what the worker without much time is sent counts")


def test_short_tasks_run_to_the_end(cluster: Cluster) -> None:
    teach(cluster, 0.5)
    cluster.worker("a", lifetime=0.2)
    cluster.graph("c", {"x-1": []})
    assert [task.key for task in cluster.sent("a")] == ["x-1"]


def test_others_are_wanted_where_none_outlasts_the_work(cluster: Cluster) -> None:
    teach(cluster, 30.0)
    cluster.worker("a", lifetime=20.0)
    assert wanted_workers(cluster.s, 60.0) == 0
    cluster.graph("c", {"x-1": []})
    assert wanted_workers(cluster.s, 60.0) == 2


def test_kinds_of_workers_are_wanted_for_what_they_can_do(cluster: Cluster) -> None:
    gpu = TaskOptions(resources={"GPU": 1.0})
    cluster.graph("c", {f"x-{i}": [] for i in range(40)})
    cluster.graph("c", {f"g-{i}": [] for i in range(8)}, options=gpu)
    assert wanted_of_kind(cluster.s, 1.0, {}, 4) == 5  # 20 seconds of four threads
    assert wanted_of_kind(cluster.s, 1.0, {"GPU": 2.0}, 4) == 2  # 4 seconds, two at once
    assert wanted_of_kind(cluster.s, 1.0, {"TPU": 1.0}, 4) == 0
    cluster.worker("g", resources={"GPU": 2.0}, nthreads=4)
    assert wanted_of_kind(cluster.s, 1.0, {"GPU": 2.0}, 4) == 2
    cluster.ignore(m.Compute, why="only the numbers count")
