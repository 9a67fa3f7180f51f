"""Effects are carried out in the order of the fields, one event's batch after the other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shoal._base.applier import Applier


class Effects(msgspec.Struct):
    first: list[str] = []
    second: list[str] = []
    third: bool = False


class Recorder(Applier[Any, Effects, str]):
    def __init__(self, answers: dict[str, Effects]) -> None:
        self.done: list[Any] = []
        super().__init__(lambda event, now: answers[event], lambda: 0.0, Effects)

    def _first(self, effects: Effects, given: str | None) -> None:
        self.done.append(("first", effects.first, given))

    def _second(self, effects: Effects, given: str | None) -> None:
        for event in effects.second:
            self.feed(event, "nested")
        self.done.append(("second", effects.second, given))

    def _third(self, effects: Effects, given: str | None) -> None:
        if self.done[-1][0] == "third":
            raise ValueError("twice")
        self.done.append("third")


def test_fields_are_carried_out_in_order_and_empty_ones_not() -> None:
    recorder = Recorder({"a": Effects(third=True, first=["x"]), "b": Effects()})
    recorder.feed("a", "values of a")
    recorder.feed("b")
    assert recorder.done == [("first", ["x"], "values of a"), "third"]


def test_an_event_that_arises_meanwhile_waits_until_the_batch_is_carried_out() -> None:
    recorder = Recorder(
        {
            "a": Effects(second=["b", "c"], third=True),
            "b": Effects(first=["b"], second=["d"]),
            "c": Effects(first=["c"]),
            "d": Effects(first=["d"]),
        }
    )
    recorder.feed("a")
    assert recorder.done == [
        ("second", ["b", "c"], None),
        "third",
        ("first", ["b"], "nested"),
        ("second", ["d"], "nested"),
        ("first", ["c"], "nested"),
        ("first", ["d"], "nested"),
    ]


def test_what_waits_when_a_step_fails_is_carried_out_first_next_time() -> None:
    class Failing(Recorder):
        def _third(self, effects: Effects, given: str | None) -> None:
            raise ValueError("no")

    failing = Failing(
        {
            "a": Effects(second=["b"], third=True),
            "b": Effects(first=["b"]),
            "c": Effects(first=["c"]),
        }
    )
    with pytest.raises(ValueError, match="no"):
        failing.feed("a")
    failing.feed("c")
    assert [done[1] for done in failing.done] == [["b"], ["b"], ["c"]]


def test_each_event_is_watched_before_its_effects_are_carried_out() -> None:
    effects = Effects(first=["x"])
    recorder = Recorder({"a": effects})
    recorder.watch = lambda event, effects: recorder.done.append((event, effects))
    recorder.feed("a")
    assert recorder.done == [("a", effects), ("first", ["x"], None)]


def test_every_effect_has_its_step() -> None:
    class Unfinished(Applier[str, Effects, None]):
        def _first(self, effects: Effects, given: None) -> None:
            pass

    with pytest.raises(AttributeError, match="_second"):
        Unfinished(lambda event, now: Effects(), lambda: 0.0, Effects)
