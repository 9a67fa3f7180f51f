"""Runs whose inputs other runs of this worker compute."""

from __future__ import annotations

from shoal.wire import messages as m

from .harness import Core, compute


def test_it_is_handed_over_with_the_run_that_it_follows() -> None:
    core = Core()
    e = core.say(compute("x", 1), compute("y", 2, {"x": []}), compute("z", 3, {"y": [], "x": []}))
    x, y, z = e.execute
    assert e.after == {y: (x,), z: (y, x)}
    assert not core.ends(x).execute
    [message] = core.ends(y).send
    assert message.keys == ["y"]
    assert core.state("z") == "ready"


def test_nobody_computes_it() -> None:
    core = Core()
    [message] = core.say(compute("y", 2, {"x": []})).send
    assert (message.key, message.deps) == ("y", ["x"])


def test_what_it_followed_failed() -> None:
    core = Core()
    x, y = core.say(compute("x", 1), compute("y", 2, {"x": []})).execute
    core.ends(x, "error")
    [message] = core.ends(y, "missing", missing=("x",)).send
    assert (type(message), message.key, message.deps) == (m.MissingDeps, "y", ["x"])
    assert core.state("y") is None
    core.ignore(m.Failed, why="x failed, as the test said")


def test_what_waits_for_a_fetch_keeps_others_waiting() -> None:
    core = Core()
    e = core.say(compute("x", 1, {"d": ["p"]}), compute("y", 2, {"x": []}))
    assert not e.execute and not e.send
    assert core.state("y") == "waiting"
    [x] = core.got("p", "d").execute
    [y] = core.ends(x).execute
    assert (y.key, y.state) == ("y", "ready")


def test_what_it_waits_for_is_given_up() -> None:
    core = Core()
    core.say(compute("x", 1, {"d": ["p"]}), compute("y", 2, {"x": []}), compute("z", 3, {"y": []}))
    e = core.got("p", absent=("d",))
    assert [(message.key, message.deps) for message in e.send] == [
        ("x", ["d"]),
        ("y", ["x"]),
        ("z", ["y"]),
    ]


def test_what_it_waits_for_makes_way_for_another_run() -> None:
    core = Core()
    core.say(compute("x", 1, {"d": ["p"]}), compute("y", 2, {"x": []}))
    e = core.say(m.Free(["x"]), compute("x", 4))
    [x] = e.execute
    assert not e.send and core.state("y") == "waiting"
    assert [task.key for task in core.ends(x).execute] == ["y"]


def test_it_began_before_what_it_followed_had_ended() -> None:
    """The executor says so where it kept no order, and waits for the core then."""
    core = Core()
    x, y = core.say(compute("x", 1), compute("y", 2, {"x": []})).execute
    e = core.ends(y, "missing", missing=("x",))
    assert not e.execute and not e.send
    assert core.state("y") == "waiting"
    assert core.ends(x).execute == [y]


def test_runs_that_need_resources_wait_here() -> None:
    core = Core(resources={"gpu": 1})
    e = core.say(compute("x", 1), compute("y", 2, {"x": []}, {"gpu": 1}))
    [x] = e.execute
    assert not e.after and core.state("y") == "waiting"
    assert [task.key for task in core.ends(x).execute] == ["y"]


def test_a_run_that_is_stolen() -> None:
    core = Core()
    x, y = core.say(compute("x", 1), compute("y", 2, {"x": []})).execute
    assert core.say(m.Steal(["x"])).revoke == [x]
    [reply] = core.revoked(x).send
    assert reply.keys == ["x"]
    [message] = core.ends(y, "missing", missing=("x",)).send
    assert (message.key, message.deps) == ("y", ["x"])
