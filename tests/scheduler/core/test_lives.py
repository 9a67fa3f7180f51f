"""A name used again before its last life has ended: which life do words mean?"""

from __future__ import annotations

from typing import Any

import pytest
from scheduler_harness import FUNCTION, Cluster

from shoal._base.keys import set_aside_key
from shoal.scheduler.core import ClientLost, FromClient
from shoal.wire import messages as m
from shoal.wire.pickling import loads


def graph(key: str, told: int, args: bytes = b"args", **more: Any) -> m.Graph:
    return m.Graph(keys=[key], functions=[FUNCTION], args=[args], groups=["x"], told=told, **more)


def put(told: int, *holders: str, equal: bool = True, key: str = "d") -> m.Scattered:
    return m.Scattered([key], [28], ["int"], [list(holders)], told, [told], [equal])


def acquired(life: int, key: str = "d", **more: Any) -> m.Acquired:
    return m.Acquired([key], [28], ["int"], lives=[life], **more)


def freed(cluster: Cluster, worker: str) -> list[tuple[str, int]]:
    return [
        pair
        for free in cluster.told(worker, m.Free)
        for pair in zip(free.keys, free.lives, strict=True)
    ]


def two_workers() -> Cluster:
    cluster = Cluster(free_delay=0.0)
    cluster.client()
    cluster.worker("w1")
    cluster.worker("w2")
    return cluster


def finish_all(cluster: Cluster) -> list[m.Compute]:
    """Let the workers run what they are sent; return it."""
    seen: list[m.Compute] = []
    while True:
        before = len(seen)
        for worker in ("w1", "w2"):
            tasks = cluster.sent(worker) if worker in cluster.s.workers else []
            seen += tasks
            if tasks:
                cluster.done(worker, *tasks)
        if len(seen) == before:
            return seen


# ------------------------------------------------------------------------------ tasks


def test_each_assignment_and_each_free_says_the_life() -> None:
    cluster = two_workers()
    cluster.say("c", graph("x", 7))
    (worker,) = (w for w in ("w1", "w2") if cluster.s.workers[w].processing)
    (x,) = cluster.sent(worker)
    assert x.life == 7
    cluster.done(worker, x)
    cluster.say("c", graph("y", 8, deps=[["x"]]))
    (y,) = cluster.sent(worker)
    assert (y.life, y.dep_lives) == (8, (7,))
    cluster.done(worker, y)
    cluster.say("c", m.Release(["y"]), m.Release(["x"]))
    assert sorted(freed(cluster, worker)) == [("x", 7), ("y", 8)]


def test_a_copy_of_an_older_life_is_not_taken_for_the_result() -> None:
    """It was fetched for a task of the first life, and the word of it comes late."""
    cluster = two_workers()
    cluster.say("c", graph("x", 1, options=[m.TaskOptions(workers=["w1"])]))
    cluster.done("w1", *cluster.sent("w1"))
    cluster.say("c", m.Release(["x"]))
    cluster.say("c", graph("x", 2, options=[m.TaskOptions(workers=["w1"])]))
    cluster.done("w1", *cluster.sent("w1"))
    cluster.hear("w2", acquired(1, "x"))
    assert [ws.address for ws in cluster.s.tasks["x"].who_has] == ["w1"]
    assert freed(cluster, "w2") == [("x", 1)]
    cluster.ignore(m.Free, why="the first life is dropped when it is released")


def test_data_lost_in_an_older_life_is_not_lost_in_this_one() -> None:
    cluster = two_workers()
    cluster.say("c", put(1, "w1"))
    cluster.say("c", m.Release(["d"]))
    cluster.say("c", put(2, "w1"))
    cluster.hear("w1", m.Dropped(["d"], "its file cannot be read", [1]))
    cluster.say("c", graph("y", 3, deps=[["d"]]))
    (y,) = cluster.sent("w1")
    cluster.hear("w1", m.MissingDeps("y", y.run, ["d"], [["w1"]], [[]], [1]))
    assert cluster.state("d") == "memory"
    assert not cluster.told("c", m.KeysLost)
    cluster.ignore(
        m.Compute,
        m.Free,
        why="the first life is dropped; the task is sent again as its input is there",
    )


def test_words_say_how_far_the_client_was_heard() -> None:
    """What is said of the first life, in the event that ends it, is not said of the second."""
    cluster = two_workers()
    cluster.say("c", graph("x", 1, options=[m.TaskOptions(workers=["w1"])]))
    cluster.done("w1", *cluster.sent("w1"))
    cluster.client("c2")
    cluster.told("c2", m.KeysInMemory)
    cluster.handle(
        FromClient("c2", [m.Want(["x"], 50), m.Release(["x"]), graph("y", 51, deps=[["x"]])])
    )
    (memory,) = cluster.told("c2", m.KeysInMemory)
    assert (memory.keys, memory.heard) == (["x"], 50)
    cluster.ignore(m.Compute, why="the task of the second life")


def test_a_new_definition_runs_though_a_result_was_made_of_the_old_one() -> None:
    cluster = two_workers()
    cluster.say("c", graph("x", 1), graph("y", 2, deps=[["x"]]))
    finish_all(cluster)
    cluster.say("c", m.Release(["x"]))
    assert cluster.state("x") == "released"
    cluster.say("c", graph("x", 3, b"other"))
    assert not cluster.told("c", m.KeysShared)
    (x,) = (msg for w in ("w1", "w2") for msg in cluster.sent(w))
    assert (x.key, x.life, x.args) == ("x", 3, b"other")
    # What `y` was made of can be made again, under a name of its own.
    (old,) = cluster.s.tasks["y"].deps
    assert (old.key, old.state, old.args) == (set_aside_key("x", 1), "released", b"args")
    cluster.ignore(m.Free, why="the first result is dropped when it is released")


def test_what_waits_for_the_old_definition_gets_what_it_makes() -> None:
    cluster = two_workers()
    cluster.say("c", graph("x", 1), graph("y", 2, deps=[["x"]]))
    (worker,) = (w for w in ("w1", "w2") if cluster.s.workers[w].processing)
    cluster.sent(worker)
    cluster.say("c", m.Release(["x"]), graph("x", 3, b"other"))
    assert ("x", 1) in freed(cluster, worker)
    seen = finish_all(cluster)
    assert {(msg.key, msg.args, msg.deps) for msg in seen} == {
        ("x", b"other", ()),
        (set_aside_key("x", 1), b"args", ()),
        ("y", b"args", (set_aside_key("x", 1),)),
    }
    assert cluster.state("x") == cluster.state("y") == "memory"
    cluster.ignore(m.Free, why="what the old definition made is dropped once it was used")


def test_the_old_definition_makes_way_though_its_client_told_of_it_again() -> None:
    """It was cut off, and set the old life aside itself meanwhile."""
    cluster = two_workers()
    cluster.say("c", graph("x", 1), graph("y", 2, deps=[["x"]]))
    finish_all(cluster)
    cluster.lose_client("c")
    cluster.client("c", reconnect=True)
    old = set_aside_key("x", 1)
    cluster.say("c", graph(old, 9, lives=[1]), graph("y", 9, deps=[[old]], lives=[2]))
    cluster.say("c", graph("x", 9, b"other", lives=[3]))
    assert not cluster.told("c", m.KeysShared)
    assert cluster.s.tasks["x"].life == 3
    finish_all(cluster)
    cluster.say("c", m.Release(["x", "y", old]))
    cluster.advance(20.0)
    assert not cluster.states()
    cluster.ignore(m.Free, why="three results are dropped at the end")


def test_an_input_that_nobody_wants_is_the_one_that_its_client_means() -> None:
    """It was defined anew, used and dropped while its client was cut off."""
    cluster = two_workers()
    cluster.say("c", graph("x", 1), graph("y", 2, deps=[["x"]]))
    finish_all(cluster)
    cluster.say("c", m.Release(["x"]))
    keys = {"keys": ["x", "z"], "args": [b"other", b"args"], "deps": [[], [0]], "wanted": [1]}
    told = {"functions": [FUNCTION], "groups": ["x"], "told": 9, "lives": [3, 4]}
    cluster.say("c", m.Graph(**keys, **told))
    seen = finish_all(cluster)
    assert [(task.key, task.args) for task in seen] == [("x", b"other"), ("z", b"args")]
    cluster.ignore(m.Free, why="both results of x are dropped, one after the other")


def test_what_a_client_said_before_it_was_lost_keeps_its_order() -> None:
    """Slices put off what is released; what is said after it may mean another life."""
    cluster = Cluster(slice=1, free_delay=0.0)
    cluster.client()
    cluster.worker("w1")
    cluster.handle_slice(FromClient("c", [graph("x", 1), graph("y", 2, deps=[["x"]])]))
    words = [m.Release(["x"]), graph("x", 3, b"other"), graph("z", 4, deps=[["x"]])]
    cluster.handle_slice(FromClient("c", words))
    cluster.handle_slice(ClientLost("c"))
    assert cluster.s.tasks["x"].life == 3


def test_a_key_that_another_client_wants_keeps_its_definition() -> None:
    cluster = two_workers()
    cluster.client("c2")
    cluster.say("c", graph("x", 1))
    cluster.say("c2", graph("x", 9, b"other"))
    (shared,) = cluster.told("c2", m.KeysShared)
    assert (shared.keys, shared.lives) == (["x"], [1])
    cluster.ignore(m.Compute, why="the first definition is sent")


# ------------------------------------------------------------------------------ data


def test_equal_data_scattered_while_the_first_is_in_use_is_a_copy_of_it() -> None:
    cluster = two_workers()
    cluster.say("c", put(1, "w1"))
    cluster.client("c2")
    cluster.hear("w2", acquired(9, scattered=True))
    (acquire,) = cluster.told("w2", m.Acquire)
    assert (acquire.lives, acquire.equal) == ([1], [9])
    cluster.say("c2", put(9, "w2"))
    cluster.hear("w2", acquired(1))
    assert [ws.address for ws in cluster.s.tasks["d"].who_has] == ["w1", "w2"]
    assert cluster.told("c2", m.KeysInMemory)
    cluster.say("c", m.Release(["d"]))
    assert cluster.state("d") == "memory"
    cluster.say("c2", m.Release(["d"]))
    assert freed(cluster, "w1") == freed(cluster, "w2") == [("d", 1)]
    cluster.ignore(
        m.Acquire,
        m.KeysShared,
        why="the other worker is asked as well; the second client hears that its data is a copy",
    )


def test_what_was_put_lives_until_its_client_says_so() -> None:
    """The release of the first life overtakes the word of the client that scattered again."""
    cluster = two_workers()
    cluster.say("c", put(1, "w1"))
    cluster.hear("w1", acquired(1, scattered=True))
    cluster.hear("w1", acquired(2, scattered=True))
    cluster.say("c", m.Release(["d"]))
    assert freed(cluster, "w1") == []
    cluster.say("c", put(2, "w1"))
    assert cluster.state("d") == "memory"
    assert "d" not in cluster.s.adopted_until
    cluster.say("c", m.Release(["d"]))
    assert freed(cluster, "w1") == [("d", 1)]
    cluster.ignore(
        m.Acquire,
        m.KeysShared,
        why="each put is acquired under the first life; the client hears of that life",
    )


def test_other_data_under_the_name_takes_its_place() -> None:
    cluster = two_workers()
    cluster.say("c", put(1, "w1", equal=False))
    cluster.client("c2")
    cluster.say("c2", put(9, "w2", equal=False))
    assert freed(cluster, "w1") == [("d", 1)]
    ts = cluster.s.tasks["d"]
    assert (ts.life, [ws.address for ws in ts.who_has]) == (9, ["w2"])
    assert [msg.holders for msg in cluster.told("c", m.KeysInMemory)][-1] == ["w2"]
    cluster.ignore(m.KeysPending, why="it is pending while the other data takes its place")


@pytest.mark.parametrize("first", ["client", "worker"])
def test_what_was_made_of_other_data_is_not_computed_again_of_this(first: str) -> None:
    """The client does not know that somebody keeps it: it may use the name again."""
    cluster = two_workers()
    cluster.client("c2")
    cluster.say("c", put(1, "w1", equal=False), graph("y", 2, deps=[["d"]]))
    (task,) = cluster.sent("w1")
    cluster.done("w1", task)
    cluster.say("c2", m.Want(["y"]))
    cluster.say("c", m.Release(["y", "d"]))
    if first == "worker":
        cluster.hear("w2", acquired(9, scattered=True, equal=False))
    cluster.say("c", put(9, "w2", equal=False))
    assert cluster.s.tasks["d"].life == 9
    cluster.lose_worker("w1", dead=True)
    assert not cluster.sent("w2"), "it would be made of the new data"
    [erred] = cluster.told("c2", m.KeyErred)
    assert "is lost" in str(loads(erred.exception))
    cluster.ignore_all(why="of copies and of what is pending other tests look at what is said")


def test_what_was_lost_and_is_scattered_again_is_there() -> None:
    cluster = two_workers()
    cluster.say("c", put(1, "w1"), graph("y", 2, deps=[["d"]]))
    cluster.lose_worker("w1", dead=True)
    assert cluster.told("c", m.KeysLost)
    assert cluster.state("d") == "erred"
    cluster.hear("w2", acquired(3, scattered=True))
    cluster.say("c", put(3, "w2"))
    assert cluster.state("d") == "memory"
    cluster.say("c", graph("z", 4, deps=[["d"]]))
    assert finish_all(cluster)
    assert cluster.state("z") == "memory"
    cluster.ignore(
        m.KeyErred, m.KeysPending, why="y failed with the data, and is made again when that is back"
    )


# ------------------------------------------------------------------------------ a new scheduler


def held(*lives: int) -> dict[str, Any]:
    return {
        "reconnect": True,
        "held": ["x"],
        "held_nbytes": [28],
        "held_types": ["int"],
        "held_lives": list(lives),
    }


def test_a_result_of_an_older_life_is_not_taken_after_a_restart() -> None:
    for client_first in (True, False):
        cluster = Cluster(recovery_window=3.0)
        if not client_first:
            cluster.worker("w", **held(1))
        cluster.client("c", reconnect=True, known_workers=["w"])
        cluster.say("c", graph("x", 20, lives=[2]))
        if client_first:
            cluster.worker("w", **held(1))
        (x,) = cluster.sent("w")
        assert (x.key, x.life) == ("x", 2)
    cluster.ignore(m.Free, why="the worker drops what it has of the older life")


def test_a_result_of_this_life_is_taken_after_a_restart() -> None:
    for client_first in (True, False):
        cluster = Cluster(recovery_window=3.0)
        if not client_first:
            cluster.worker("w", **held(2))
        cluster.client("c", reconnect=True, known_workers=["w"])
        cluster.say("c", graph("x", 20, lives=[2]))
        if client_first:
            cluster.worker("w", **held(2))
        assert cluster.sent("w") == []
        assert cluster.state("x") == "memory"


def test_of_two_lives_that_workers_bring_the_newer_one_counts() -> None:
    for first, second in ((1, 2), (2, 1)):
        cluster = Cluster(recovery_window=3.0)
        cluster.worker("w1", **held(first))
        cluster.worker("w2", **held(second))
        newer = "w1" if first > second else "w2"
        assert [ws.address for ws in cluster.s.tasks["x"].who_has] == [newer]
        assert cluster.s.tasks["x"].life == 2
        if newer == "w2":  # the first one's copy was good until then
            assert freed(cluster, "w1") == [("x", 1)]


def test_a_run_of_an_older_life_goes_on_nowhere() -> None:
    cluster = Cluster(recovery_window=3.0)
    cluster.client("c", reconnect=True, known_workers=["w"])
    cluster.say("c", graph("x", 20, lives=[2]))
    cluster.worker("w", reconnect=True, running=["x"], running_runs=[5], running_lives=[1])
    (welcome,) = cluster.told("w", m.WorkerWelcome)
    assert welcome.stop == ["x"]
    (x,) = cluster.sent("w")
    assert x.life == 2
