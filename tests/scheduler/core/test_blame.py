"""Who is blamed for the death of a worker: exactly what ran, and nothing for what another did."""

from __future__ import annotations

from typing import Any

import pytest
from scheduler_harness import Cluster

from shoal.errors import KilledWorker
from shoal.scheduler.core.explain import explain
from shoal.wire import messages as m
from shoal.wire.pickling import loads


def cluster_of(**settings: Any) -> Cluster:
    cluster = Cluster(**settings)
    cluster.client("c")
    return cluster


def is_alone(task: m.Compute) -> bool:
    return task.options is not None and task.options.alone


def killed(cluster: Cluster) -> dict[str, KilledWorker]:
    return {e.key: loads(e.exception) for e in cluster.told("c", m.KeyErred)}


def test_only_what_ran_is_suspected() -> None:
    cluster = cluster_of(allowed_failures=0)
    cluster.worker("a")
    cluster.graph("c", {"x": [], "y": []})
    _, y = cluster.sent("a")
    cluster.lose_worker("a", reason="signal 9", running=(y.run,))
    assert list(killed(cluster)) == ["y"]
    assert cluster.state("x") == "no-worker"


def test_a_worker_that_ran_nothing_died_of_something_else() -> None:
    cluster = cluster_of(allowed_failures=0)
    cluster.worker("a")
    cluster.graph("c", {"x": []})
    cluster.sent("a")
    cluster.lose_worker("a", running=())
    assert killed(cluster) == {}


def test_suspects_that_cannot_be_told_apart_run_alone() -> None:
    cluster = cluster_of(allowed_failures=0)
    cluster.worker("a", nthreads=2)
    cluster.graph("c", {"good": [], "bad": []})
    cluster.lose_worker("a", running=tuple(t.run for t in cluster.sent("a")))
    assert killed(cluster) == {}, "one of two is innocent"
    assert "alone" in explain(cluster.s, "bad")
    cluster.worker("b", nthreads=2)
    again = cluster.sent("b")
    assert [(t.key, is_alone(t)) for t in again] == [("good", True), ("bad", True)]
    good, bad = again
    cluster.done("b", good)
    cluster.lose_worker("b", reason="signal 11", running=(bad.run,))
    [(key, error)] = killed(cluster).items()
    assert key == "bad" and [how for _, how in error.deaths][-1] == "signal 11"
    assert cluster.state("good") != "erred"
    cluster.ignore(m.KeysPending, why="each death makes what ran pending again")


def test_what_was_innocent_is_free_again() -> None:
    cluster = cluster_of(allowed_failures=3)
    cluster.worker("a", nthreads=2)
    cluster.graph("c", {"x": [], "y": []})
    cluster.lose_worker("a", running=tuple(t.run for t in cluster.sent("a")))
    cluster.worker("b")
    for task in cluster.sent("b"):
        cluster.done("b", task)
    cluster.lose_worker("b", running=())
    cluster.worker("c")
    assert [is_alone(t) for t in cluster.sent("c")] == [False, False]
    cluster.ignore(m.KeysPending, why="each death makes what ran pending again")


def test_a_seceded_task_is_not_blamed_for_the_one_it_waits_for() -> None:
    cluster = cluster_of(allowed_failures=0)
    cluster.worker("a", nthreads=2)
    cluster.graph("c", {"parent": [], "child": []})
    cluster.lose_worker("a", running=tuple(t.run for t in cluster.sent("a")))
    cluster.worker("b")
    parent, child = cluster.sent("b")
    cluster.hear("b", m.LongRunning(parent.key, parent.run, 0.1))
    cluster.lose_worker("b", running=(parent.run, child.run))
    assert list(killed(cluster)) == ["child"]


@pytest.mark.parametrize("let_go", [m.Release, m.Cancel])
def test_nothing_is_blamed_for_a_run_that_was_let_go_of(let_go: Any) -> None:
    cluster = cluster_of(allowed_failures=0)
    cluster.worker("a", nthreads=2)
    cluster.graph("c", {"bad": [], "good": []})
    tasks = cluster.sent("a")
    cluster.say("c", let_go(["bad"]))
    assert cluster.state("bad") is None, "it runs on, and the scheduler has forgotten it"
    cluster.lose_worker("a", running=tuple(t.run for t in tasks))
    assert killed(cluster) == {}, "the other one may be the cause"
    cluster.worker("b")
    [good] = cluster.sent("b")
    assert good.key == "good" and is_alone(good)
    cluster.lose_worker("b", running=(good.run,))
    assert list(killed(cluster)) == ["good"], "now it was alone"


@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_as_many_deaths_as_are_allowed_and_one(allowed: int) -> None:
    cluster = cluster_of(allowed_failures=allowed)
    cluster.graph("c", {"x": []})
    for i in range(allowed + 1):
        assert killed(cluster) == {}
        cluster.worker(f"w{i}")
        [x] = cluster.sent(f"w{i}")
        assert not is_alone(x), "it is the only one, so it need not be alone"
        cluster.lose_worker(f"w{i}", running=(x.run,))
    assert list(killed(cluster)) == ["x"]
