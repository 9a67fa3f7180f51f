"""Tasks that read some of their inputs where they are."""

from __future__ import annotations

import msgspec

from shoal.wire import messages as m
from shoal.worker.core.in_place import bytes_read_in_place, inputs_brought

from .harness import Core, compute


def reading(key: str, deps: dict[str, list[str]], in_place: tuple[int, ...]) -> m.Compute:
    message = compute(key, deps=deps)
    message.options = m.TaskOptions(in_place=in_place)
    return message


def test_what_is_read_in_place_is_not_brought() -> None:
    core = Core()
    effects = core.say(reading("x", {"a": ["p"], "b": ["q"]}, (0, 2)))
    assert [task.key for task in effects.execute] == ["x"]
    assert not effects.fetch


def test_the_others_are_brought() -> None:
    core = Core()
    effects = core.say(reading("x", {"a": ["p"], "b": ["q"], "c": ["p"], "d": ["r"]}, (0, 1, 2, 3)))
    assert not effects.execute
    assert {(fetch.peer, *fetch.keys) for fetch in effects.fetch} == {("q", "b"), ("r", "d")}
    core.got("q", "b")
    assert [task.key for task in core.got("r", "d").execute] == ["x"]


def test_what_cannot_be_read_is_told_and_nothing_is_tried_here() -> None:
    core = Core()
    (task,) = core.say(reading("x", {"a": ["p"], "b": ["q"]}, (0, 2))).execute
    effects = core.ends(task, "unread", unread=(("a", ["p"], []), ("b", [], ["q"])))
    (told,) = effects.send
    assert isinstance(told, m.MissingDeps)
    assert (told.key, told.run, told.deps) == ("x", task.run, ["a", "b"])
    assert (told.absent, told.unreachable) == ([["p"], []], [[], ["q"]])
    assert core.state("x") is None
    assert not effects.execute and not effects.fetch


def test_lives_are_those_of_the_inputs() -> None:
    core = Core()
    message = msgspec.structs.replace(
        reading("x", {"a": ["p"], "b": ["q"]}, (0, 2)), life=5, dep_lives=(3, 4)
    )
    (task,) = core.say(message).execute
    (told,) = core.ends(task, "unread", unread=(("b", ["q"], []),)).send
    assert told.lives == [4]


def test_what_is_read_in_place_may_go_to_disk_meanwhile() -> None:
    message = reading("x", {"a": ["p"], "b": ["q"], "c": ["r"]}, (0, 2))
    assert list(inputs_brought(message)) == ["c"]
    assert bytes_read_in_place(message) == 10  # of 20 in two inputs
    assert list(inputs_brought(compute("y", deps={"a": ["p"]}))) == ["a"]
