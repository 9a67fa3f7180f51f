"""Data of several lives of a name: which of them a worker has, fetches, serves and drops."""

from __future__ import annotations

from shoal.wire import messages as m
from shoal.worker.core import DataAdded, Effects, Fetch, Fetched

from .harness import Core, compute


def put(core: Core, life: int, equal: bool = True) -> Effects:
    return core.handle(DataAdded(["d"], [10], ["int"], [life], equal))


def needs(life: int, key: str = "t", run: int = 1) -> m.Compute:
    message = compute(key, run, {"d": ["p"]})
    message.dep_lives = (life,)
    return message


def test_a_free_of_the_last_life_leaves_what_was_put_since() -> None:
    core = Core()
    put(core, 1)
    put(core, 2)
    assert core.say(m.Free(["d"], [1])).drop == []
    assert core.machine.holds("d", 2)
    assert not core.machine.holds("d", 1)
    assert core.say(m.Free(["d"], [2])).drop == ["d"]


def test_equal_data_is_a_copy_of_both_lives() -> None:
    core = Core()
    put(core, 1)
    assert put(core, 2).send == [
        m.Acquired(["d"], [10], ["int"], scattered=True, lives=[2], equal=True)
    ]
    assert core.machine.holds("d", 1)
    assert core.machine.holds("d", 2)
    assert core.say(m.Free(["d"], [2])).drop == []
    assert core.machine.holds("d", 1)


def test_other_data_takes_the_place_of_what_was_there() -> None:
    core = Core()
    put(core, 1)
    put(core, 2, equal=False)
    assert not core.machine.holds("d", 1)
    assert core.say(m.Free(["d"], [1])).drop == []
    assert core.machine.holds("d", 2)


def test_equal_data_is_called_by_the_life_that_counts() -> None:
    core = Core()
    put(core, 2)
    effects = core.say(m.Acquire(["d"], [10], [["p"]], [1], [2]))
    assert effects.fetch == []
    assert effects.send == [m.Acquired(["d"], [10], ["int"], lives=[1])]
    assert core.machine.holds("d", 1)
    assert not core.machine.holds("d", 2)


def test_a_copy_of_another_life_does_not_serve_a_task() -> None:
    core = Core()
    put(core, 1)
    effects = core.say(needs(2))
    assert effects.fetch == [Fetch("p", ["d"], 10, {"d": 2})]
    effects = core.handle(Fetched("p", [("d", 10, "int")], [], {"d": 2}))
    assert effects.keep == ["d"]
    assert [task.key for task in effects.execute] == ["t"]
    assert core.machine.holds("d", 2)


def test_an_answer_with_another_life_is_not_taken_for_this_one() -> None:
    core = Core()
    core.say(needs(1))
    core.say(m.Free(["t"], [0]))
    effects = core.say(needs(2, "u"))
    assert effects.fetch == [Fetch("p", ["d"], 10, {"d": 2})]
    late = core.handle(Fetched("p", [("d", 10, "int")], [], {"d": 1}))
    assert (late.keep, late.execute) == ([], [])
    effects = core.handle(Fetched("p", [("d", 10, "int")], [], {"d": 2}))
    assert [task.key for task in effects.execute] == ["u"]


def test_a_task_that_waits_for_a_life_that_is_over_is_given_back() -> None:
    core = Core()
    core.say(needs(1))
    effects = core.say(needs(2, "u", run=2))
    assert effects.send == [m.MissingDeps("t", 1, ["d"], [[]], [[]], [1])]


def test_lost_data_is_told_with_its_lives() -> None:
    core = Core()
    put(core, 1)
    put(core, 2)
    assert core.say(m.Free(["d"], [3])).drop == []
    registration = core.machine.registration()
    assert (registration.held, registration.held_lives) == (["d"], [1])


def test_a_result_that_nobody_knows_does_not_take_what_was_put() -> None:
    """The scheduler frees a result of an old run, whose life it does not know any more."""
    core = Core()
    [task] = core.say(compute("d")).execute
    core.ends(task)
    put(core, 2, equal=False)
    assert core.say(m.Free(["d"], [0])).drop == []
    assert core.machine.holds("d", 2)
