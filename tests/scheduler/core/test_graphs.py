"""Graphs that follow upon each other in one batch."""

from __future__ import annotations

from scheduler_harness import FUNCTION, Cluster

from shoal.wire import messages as m


def graph(args: bytes, **more: object) -> m.Graph:
    return m.Graph(keys=["x"], functions=[FUNCTION], args=[args], groups=["g"], **more)  # type: ignore[arg-type]


def test_a_key_that_was_released_just_before_means_the_new_task() -> None:
    cluster = Cluster()
    worker, client = cluster.worker("w1"), cluster.client()
    cluster.say(client, graph(b"old"))
    cluster.done(worker, *cluster.sent(worker))
    cluster.say(client, m.Release(["x"]), graph(b"new"))
    (compute,) = cluster.sent(worker)
    assert bytes(compute.args) == b"new"
    assert cluster.told(worker, m.Free)


def test_inputs_in_one_message_of_tasks_in_the_next_stay() -> None:
    cluster = Cluster()
    worker, client = cluster.worker("w1"), cluster.client()
    user = m.Graph(
        keys=["y"], functions=[FUNCTION], args=[b"y"], groups=["g"], deps=[["x"]], priority=2.0
    )
    cluster.say(client, graph(b"x", wanted=[]), user)
    (compute,) = cluster.sent(worker)
    assert compute.key == "x"
    cluster.done(worker, compute)
    assert [c.key for c in cluster.sent(worker)] == ["y"]
