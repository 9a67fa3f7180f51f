"""Clusters with one-way walls for good come to a good end; without a way around they do not."""

from __future__ import annotations

from typing import Any

import pytest

from shoal._base.routes import Routes
from shoal.simulation import Coverage, run_seed
from shoal.simulation.walls import Walls
from shoal.simulation.worker_ports import Calls

SEEDS = range(5, 145, 7)  # of which each has walls


def failures() -> int:
    return sum(run_seed(seed, Coverage(), None, tasks=12).failure is not None for seed in SEEDS)


def test_questions_go_around_walls_and_workers_that_are_called_answer() -> None:
    results = [run_seed(seed, Coverage(), None, tasks=12) for seed in SEEDS]
    assert [r.failure for r in results if r.failure is not None] == []
    assert sum(result.messages["CallBack"] for result in results) > 10


def test_a_worker_that_does_not_go_around_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    around = Walls._ask_around

    def ask_around(self: Walls, owner: Any, target: str, question: Any, answer: Any) -> None:
        if owner.address == "scheduler":
            around(self, owner, target, question, answer)
        else:
            self.network.after_a_pause(owner, lambda: answer(None))

    monkeypatch.setattr(Walls, "_ask_around", ask_around)
    assert failures()


def test_a_worker_that_does_not_call_back_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Calls, "call_back", lambda self, token: None)
    assert failures()


def test_walls_that_are_run_against_each_time_do_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is slow, and never wrong."""
    monkeypatch.setattr(Routes, "straight", lambda self, address, now: True)
    assert not failures()
