"""Data that nobody holds and nobody can compute."""

from __future__ import annotations

from scheduler_harness import Cluster

from shoal.wire import messages as m


def test_a_client_that_was_told_of_a_loss_wants_the_key_no_more() -> None:
    """It forgets lost keys and will not release them, so data that comes back must not stay."""
    cluster = Cluster()
    cluster.client()
    cluster.worker("w")
    cluster.say("c", m.Scattered(["x"], [28], ["int"], [["w"]]))
    cluster.lose_worker("w")
    assert cluster.told("c", m.KeysLost)
    held = {"held": ["x"], "held_nbytes": [28], "held_types": ["int"]}
    cluster.worker("w", reconnect=True, **held)
    cluster.advance(100.0)
    assert cluster.state("x") is None
    assert [message.keys for message in cluster.told("w", m.Free)] == [["x"]]
