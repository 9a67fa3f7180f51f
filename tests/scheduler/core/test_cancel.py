"""Who hears that tasks were cancelled."""

from __future__ import annotations

import pytest
from scheduler_harness import Cluster

from shoal.scheduler.core import CancelTasks
from shoal.wire import messages as m


@pytest.mark.parametrize("force", [False, True])
def test_a_client_hears_of_dependents_that_it_did_not_know_to_be_some(force: bool) -> None:
    """It wants a key of another client, who alone knows that it depends on what is cancelled."""
    cluster = Cluster()
    cluster.client("a")
    cluster.client("b")
    cluster.worker("w")
    cluster.graph("a", {"x": [], "y": ["x"]}, wanted=["y"])
    cluster.say("b", m.Want(["x", "y"]))
    cluster.say("b", m.Cancel(["x"], force=force))
    (cancelled,) = cluster.told("b", m.KeysCancelled)
    assert cancelled.keys == ["y"]
    assert len(cluster.told("a", m.KeysCancelled)) == force
    cluster.ignore(
        m.Compute,
        m.Free,
        *([m.Interrupt] if force else []),
        why="what ran is taken back, and stopped where force is used",
    )


def test_what_an_operator_cancels_all_clients_hear_of() -> None:
    cluster = Cluster()
    cluster.client("a")
    cluster.client("b")
    cluster.worker("w")
    cluster.graph("a", {"x": [], "y": ["x"]}, wanted=["y"])
    cluster.say("b", m.Want(["x"]))
    cluster.handle(CancelTasks(["x", "unknown"], "by the operator"))
    assert {tuple(each.keys) for each in cluster.told("a", m.KeysCancelled)} == {("y",)}
    (told,) = cluster.told("b", m.KeysCancelled)
    assert (told.keys, told.reason) == (["x"], "by the operator")
    assert not cluster.s.tasks
    cluster.ignore(m.Compute, m.Free, m.Interrupt, why="what ran is taken back and stopped")
