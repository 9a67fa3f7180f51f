"""`comm.busy_poll`: when a loop looks for the next question instead of sleeping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from shoal.comm import busy_poll
from shoal.comm.busy_poll import BusyPoll


class Turns:
    """A loop and its clock: callbacks are called by `turn`."""

    def __init__(self) -> None:
        self.now = 100.0
        self.ready: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.ready.append(callback)

    def monotonic(self) -> float:
        return self.now

    @property
    def sleeps(self) -> bool:
        return not self.ready

    def pass_time(self, seconds: float) -> None:
        """Go on in turns of two microseconds; sleep when there is nothing to call."""
        until = self.now + seconds
        while self.now < until and not self.sleeps:
            self.now += 2e-6
            ready, self.ready = self.ready, []
            for callback in ready:
                callback()
        self.now = until


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    turns = Turns()
    monkeypatch.setattr(busy_poll, "time", turns)
    monkeypatch.setattr(busy_poll, "worth_looking", lambda: True)
    return turns


def made(turns: Turns) -> BusyPoll:
    loop: Any = turns
    return BusyPoll(loop)


def test_one_question_alone_keeps_nobody_awake(turns: Turns) -> None:
    stay = made(turns).stay
    stay()
    assert turns.sleeps
    turns.pass_time(1e-3)
    stay()
    assert turns.sleeps


def test_questions_in_a_row_keep_it_awake_and_it_sleeps_after_the_last(turns: Turns) -> None:
    stay = made(turns).stay
    stay()
    turns.pass_time(1.5e-4)
    for _ in range(50):
        stay()
        assert not turns.sleeps
        turns.pass_time(6e-5)
        assert not turns.sleeps
    turns.pass_time(1e-4)
    assert turns.sleeps


def test_it_looks_in_vain_three_times_and_again_later(turns: Turns) -> None:
    stay = made(turns).stay
    stay()
    looked = []
    for _ in range(10):
        turns.pass_time(1.5e-4)
        assert turns.sleeps
        stay()
        looked.append(not turns.sleeps)
    assert looked == [True] * 3 + [False] * 7
    looked.clear()
    for _ in range(400):
        turns.pass_time(1.5e-4)
        stay()
        looked.append(not turns.sleeps)
    assert sum(looked) == 3  # without a pause of who asks


def test_a_question_that_comes_in_time_makes_up_for_those_that_did_not(turns: Turns) -> None:
    stay = made(turns).stay
    stay()
    for _ in range(5):
        for _ in range(2):
            turns.pass_time(1.5e-4)
            stay()
            assert not turns.sleeps
        turns.pass_time(5e-5)
        stay()


def test_with_one_processor_it_always_sleeps(turns: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busy_poll, "worth_looking", lambda: False)
    stay = made(turns).stay
    for _ in range(5):
        stay()
        assert turns.sleeps
        turns.pass_time(5e-5)
