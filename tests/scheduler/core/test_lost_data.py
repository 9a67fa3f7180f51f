"""Data that nobody holds and nobody can compute."""

from __future__ import annotations

from scheduler_harness import Cluster

from shoal.wire import messages as m


def test_a_client_hears_that_its_data_was_lost_before_it_told_of_it() -> None:
    cluster = Cluster()
    cluster.client()
    cluster.worker("w")
    cluster.hear("w", m.Acquired(["x"], [28], ["int"], True))
    cluster.lose_worker("w")
    cluster.say("c", m.Scattered(["x"], [28], ["int"], [["w"]]))
    (lost,) = cluster.told("c", m.KeysLost)
    assert lost.keys == ["x"]


def test_a_new_client_does_not_end_the_wait_for_those_that_come_back() -> None:
    """It cannot say which workers there were: what they hold must not be given up yet."""
    cluster = Cluster()
    cluster.worker("w1", reconnect=True)
    cluster.client("new")
    cluster.say("new", m.Want(["x"]))
    assert not cluster.told("new", m.KeysLost)
    held = {"held": ["x"], "held_nbytes": [28], "held_types": ["int"]}
    cluster.worker("w2", reconnect=True, **held)
    assert cluster.told("new", m.KeysInMemory)


def test_a_worker_that_did_not_serve_a_key_is_told_to_drop_it() -> None:
    """It may have come to hold it after it said no: nobody would ever free that copy."""
    cluster = Cluster()
    cluster.client()
    cluster.worker("w1")
    cluster.worker("w2")
    cluster.graph("c", {"x": []}, options=m.TaskOptions(workers=["w1"]))
    cluster.done("w1", *cluster.sent("w1"))
    cluster.graph("c", {"y": ["x"]}, options=m.TaskOptions(workers=["w2"]))
    (y,) = cluster.sent("w2")
    cluster.hear("w2", m.MissingDeps("y", y.run, ["x"], [["w1"]], [[]]))
    assert [free.keys for free in cluster.told("w1", m.Free)] == [["x"]]
    cluster.ignore(
        m.Compute, m.KeysPending, why="both tasks are sent again, and x is pending meanwhile"
    )


def test_news_of_a_copy_does_not_stop_the_run_that_replaces_it() -> None:
    """The only other holder died, and the worker with the new copy is to run the task."""
    cluster = Cluster()
    cluster.client()
    cluster.worker("w1")
    cluster.graph("c", {"x": []})
    cluster.done("w1", *cluster.sent("w1"))
    cluster.worker("w2")
    cluster.lose_worker("w1")
    (x,) = cluster.sent("w2")
    cluster.hear("w2", m.Acquired(["x"], [28], ["int"]))
    assert not cluster.told("w2", m.Free)
    cluster.done("w2", x)
    assert cluster.state("x") == "memory"
    cluster.ignore(m.KeysPending, why="x is pending while it is made again")


def test_a_client_that_was_told_of_a_loss_wants_the_key_no_more() -> None:
    """It forgets lost keys and will not release them, so data that comes back must not stay."""
    cluster = Cluster()
    cluster.client()
    cluster.worker("w")
    cluster.say("c", m.Scattered(["x"], [28], ["int"], [["w"]]))
    cluster.lose_worker("w", dead=True)
    assert cluster.told("c", m.KeysLost)
    held = {"held": ["x"], "held_nbytes": [28], "held_types": ["int"]}
    cluster.worker("w", reconnect=True, **held)
    cluster.advance(100.0)
    assert cluster.state("x") is None
    assert [message.keys for message in cluster.told("w", m.Free)] == [["x"]]
    cluster.ignore(m.KeysPending, why="the loss is waited for a while before it is told")


def test_a_key_may_be_wanted_before_it_is_defined_by_another_client() -> None:
    """What the two say comes on connections of their own, in any order."""
    cluster = Cluster()
    cluster.client("a")
    cluster.client("b")
    cluster.worker("w")
    cluster.say("b", m.Want(["x", "y"]))
    cluster.graph("b", {"z": ["x"]})
    assert not cluster.told("b", m.KeysLost) and not cluster.told("b", m.KeyErred)
    cluster.graph("a", {"x": []})
    cluster.advance(0.5)
    cluster.run_all()
    keys = [key for news in cluster.told("b", m.KeysInMemory) for key in news.keys]
    assert sorted(keys) == ["x", "z"]
    assert not cluster.told("b", m.KeysLost)
    cluster.advance(0.6)
    (lost,) = cluster.told("b", m.KeysLost)
    assert lost.keys == ["y"] and "nobody defined it" in lost.reason
