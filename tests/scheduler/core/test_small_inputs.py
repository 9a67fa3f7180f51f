"""Small results travel with the tasks that need them elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
from scheduler_harness import Cluster

from shoal.wire import messages as m


def _two_workers() -> Cluster:
    cluster = Cluster()
    cluster.client()
    cluster.worker("w1")
    cluster.worker("w2")
    return cluster


def _on(worker: str) -> m.TaskOptions:
    return m.TaskOptions(workers=[worker])


def _x_on_w1(cluster: Cluster, value: Any, needed_on: str) -> m.Compute:
    """Run x on w1, and return what the worker is sent where y is to run, which needs x."""
    cluster.graph("c", {"x": []}, options=_on("w1"))
    [x] = cluster.sent("w1")
    cluster.graph("c", {"y": ["x"]}, options=_on(needed_on))
    cluster.done("w1", x, value=value)
    [y] = cluster.sent(needed_on)
    return y


@pytest.mark.parametrize("value", [7, 0, False, 1.5, b"pickle"])
def test_a_small_input_comes_with_the_task(value: Any) -> None:
    y = _x_on_w1(_two_workers(), value, "w2")
    assert y.dep_values == (value,)
    assert y.dep_holders == (["w1"],)


@pytest.mark.parametrize("value", [None, b"a long pickle" * 10])
def test_others_are_fetched(value: Any) -> None:
    assert _x_on_w1(_two_workers(), value, "w2").dep_values == ()


def test_no_input_is_sent_to_where_it_is() -> None:
    assert _x_on_w1(_two_workers(), 7, "w1").dep_values == ()


def test_inputs_that_are_here_and_elsewhere() -> None:
    cluster = _two_workers()
    for key, worker in ("x1", "w1"), ("x2", "w2"):
        cluster.graph("c", {key: []}, options=_on(worker))
    [x1] = cluster.sent("w1")
    [x2] = cluster.sent("w2")
    cluster.graph("c", {"y": ["x1", "x2"]}, options=_on("w2"))
    cluster.done("w1", x1, value=1)
    cluster.done("w2", x2, value=2)
    [y] = cluster.sent("w2")
    assert (y.deps, y.dep_values) == (("x1", "x2"), (1, None))


def test_nothing_is_kept_that_nobody_waits_for_or_holds() -> None:
    cluster = _two_workers()
    cluster.graph("c", {"x": [], "y": ["x"]})
    [x] = [*cluster.sent("w1"), *cluster.sent("w2")]
    worker = cluster.s.tasks["x"].worker.address
    cluster.done(worker, x, value=7)
    assert cluster.s.tasks["x"].value == 7
    cluster.lose_worker(worker)
    assert cluster.s.tasks["x"].value is None
    cluster.run_all()
    cluster.graph("c", {"z": []})
    cluster.run_all()
    assert cluster.s.tasks["z"].value is None
    cluster.ignore(m.KeysPending, why="x is pending until it is made again")
