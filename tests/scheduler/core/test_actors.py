"""Actors in the scheduler: they are where they were made, and fail when that is gone."""

from __future__ import annotations

import pytest
from scheduler_harness import Cluster

from shoal.errors import ActorLostError
from shoal.wire import messages as m
from shoal.wire.pickling import loads

PROXY = "shoal.actors.actor.Actor"


@pytest.fixture
def cluster():
    """The actor "x" lives on the worker "a", and "b" has a proxy of it."""
    cluster = Cluster()
    client = cluster.client()
    for address in ("a", "b"):
        cluster.worker(address)
    cluster.graph(client, {"x": []}, options=m.TaskOptions(actor=True, workers=["a"]))
    (task,) = cluster.sent("a")
    cluster.done("a", task, value=None)
    cluster.hear("b", m.Acquired(["x"], [100], [PROXY]))
    assert cluster.state("x") == "memory"
    return cluster


def test_it_fails_with_its_worker_though_there_are_proxies(cluster):
    cluster.lose_worker("a", reason="it was killed")
    assert cluster.state("x") == "erred"
    (message,) = cluster.told("c", m.KeyErred)
    error = loads(message.exception)
    assert isinstance(error, ActorLostError)
    assert (error.key, error.worker, error.reason) == ("x", "a", "it was killed")
    assert [message.keys for message in cluster.told("b", m.Free)] == [["x"]]
    cluster.ignore(m.KeysPending, why="that it was pending is said before that it failed")


def test_it_stays_when_only_a_proxy_is_lost(cluster):
    cluster.lose_worker("b", reason="it was killed")
    assert cluster.state("x") == "memory"


def test_tasks_that_wait_for_it_fail_too(cluster):
    cluster.graph("c", {"y": ["x"]}, options=m.TaskOptions(workers=["nobody"]))
    assert cluster.state("y") == "no-worker"
    cluster.lose_worker("a", reason="it was killed")
    assert cluster.state("y") == "erred"
    cluster.ignore(
        m.Free,
        m.KeyErred,
        m.KeysPending,
        why="both keys fail; the test before looks at what is said of an actor",
    )


def test_results_made_of_it_are_not_made_of_another(cluster):
    cluster.graph("c", {"y": ["x"]}, options=m.TaskOptions(workers=["a"]))
    cluster.done("a", *cluster.sent("a"), value=None)
    assert cluster.state("y") == "memory"
    cluster.lose_worker("a", reason="it was killed")
    assert cluster.states() == {"x": "erred", "y": "erred"}
    cluster.ignore(
        m.Free,
        m.KeyErred,
        m.KeysPending,
        why="both keys fail; the first test looks at what is said of an actor",
    )


def test_where_it_lives_comes_first_also_when_that_comes_back_last(cluster):
    cluster.lose_worker("a", reason="the connection broke")
    cluster.lose_worker("b", reason="the connection broke")
    for address, kind in (("b", PROXY), ("a", "mymodule.Counter")):
        held = {"held": ["x"], "held_nbytes": [9], "held_types": [kind]}
        cluster.worker(address, reconnect=True, **held)
    assert cluster.state("x") == "memory"
    assert [ws.address for ws in cluster.s.tasks["x"].who_has] == ["a", "b"]
    cluster.ignore(
        m.KeyErred,
        m.KeysPending,
        why="it failed with its home and is back with it; here it is about the order",
    )


def test_it_is_not_lost_because_somebody_cannot_reach_it(cluster):
    cluster.graph("c", {"y": ["x"]}, options=m.TaskOptions(workers=["b"]))
    (task,) = cluster.sent("b")
    cluster.hear("b", m.MissingDeps("y", task.run, ["x"], [[]], [["a"]]))
    assert (cluster.state("x"), cluster.state("y")) == ("memory", "waiting")
    cluster.advance(60)
    assert cluster.state("y") == "processing"
    cluster.ignore(m.Compute, why="the task is sent again, after a while")


def test_where_it_lives_comes_first_for_a_scheduler_that_heard_of_a_proxy_first():
    """Nor its client nor its home is back when a proxy is adopted."""
    cluster = Cluster()
    held = {"reconnect": True, "held": ["x"], "held_nbytes": [28]}
    cluster.worker("b", held_types=[PROXY], **held)
    cluster.worker("a", held_types=["user.Counter"], **held)
    client = cluster.client(reconnect=True, known_workers=["a", "b"])
    cluster.graph(client, {"x": []}, options=m.TaskOptions(actor=True))
    assert [ws.address for ws in cluster.s.tasks["x"].who_has] == ["a", "b"]
    cluster.lose_worker("a", reason="it was killed", dead=True)
    assert cluster.state("x") == "erred"
    cluster.ignore(
        m.Free, m.KeyErred, m.KeysPending, why="it fails with its home, as in the first test"
    )
