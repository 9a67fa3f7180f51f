"""How many workers the work needs, and which have nothing to do."""

from __future__ import annotations

import pytest
from scheduler_harness import Cluster

from shoal.scheduler.core.policies.scaling import spare_workers, wanted_workers
from shoal.wire import messages as m
from shoal.wire.messages import TaskOptions


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster()
    cluster.client()
    return cluster


def spare(cluster: Cluster) -> list[str]:
    return [ws.address for ws in spare_workers(cluster.s)]


def graph(cluster: Cluster, n: int, name: str = "x", **more: object) -> None:
    cluster.graph("c", {f"{name}-{i}": [] for i in range(n)}, **more)


def test_nothing_to_do_needs_nobody(cluster: Cluster) -> None:
    assert wanted_workers(cluster.s, 5) == 0
    assert spare(cluster) == []
    cluster.worker("a")
    assert wanted_workers(cluster.s, 5) == 0
    assert spare(cluster) == ["a"]


def test_work_without_workers(cluster: Cluster) -> None:
    """A task of unknown duration counts half a second."""
    graph(cluster, 100)
    assert wanted_workers(cluster.s, 5) == 10
    assert wanted_workers(cluster.s, 1000) == 1
    # Never more threads than tasks.
    assert wanted_workers(cluster.s, 0.001) == 100


def test_workers_with_several_threads(cluster: Cluster) -> None:
    cluster.worker("a", nthreads=4)
    graph(cluster, 100)
    assert wanted_workers(cluster.s, 5) == 3
    assert spare(cluster) == []
    cluster.ignore(m.ComputeMany, why="only the number of tasks counts")


def test_the_durations_that_were_learnt(cluster: Cluster) -> None:
    cluster.worker("a")
    graph(cluster, 40)
    cluster.done("a", cluster.sent("a")[0], seconds=10)
    assert wanted_workers(cluster.s, 100) == 4
    assert wanted_workers(cluster.s, 1) == 39
    cluster.ignore(m.ComputeMany, why="only the number of tasks counts")


def test_data_needs_room(cluster: Cluster) -> None:
    for name in "abc":
        cluster.worker(name, memory_limit=1000)
    graph(cluster, 3)
    for name, nbytes in zip("abc", (300, 600, 200), strict=True):
        cluster.done(name, *cluster.sent(name), nbytes=nbytes)
    # 1100 bytes at 60% of 1000 each.
    assert wanted_workers(cluster.s, 5) == 2
    assert spare(cluster) == ["c"]


def test_without_limits_one_is_left_for_the_data(cluster: Cluster) -> None:
    for name in "ab":
        cluster.worker(name, memory_limit=0)
    graph(cluster, 2)
    for name in "ab":
        cluster.done(name, *cluster.sent(name), nbytes=10**12)
    assert wanted_workers(cluster.s, 5) == 1
    assert len(spare(cluster)) == 1


def test_actors_and_busy_workers_stay(cluster: Cluster) -> None:
    cluster.worker("a")
    graph(cluster, 1, "actor", options=TaskOptions(actor=True))
    cluster.done("a", *cluster.sent("a"))
    cluster.worker("b")
    graph(cluster, 1, "y", options=TaskOptions(workers=["b"]))
    cluster.worker("c")
    assert spare(cluster) == ["c"]
    cluster.ignore(m.Compute, why="the task that keeps b busy")
