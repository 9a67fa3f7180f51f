"""Memory in the simulator: what must hold, and that deliberate mistakes are seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from shoal.simulation.memory import LIMIT, run_memory
from shoal.worker.core import admission, machine, memory
from shoal.worker.core.budget import Budget, Reservation

SEEDS = range(60)


def failures() -> Iterator[str]:
    for seed in SEEDS:
        try:
            run_memory(seed)
        except AssertionError as error:
            yield str(error)


def test_memory_stays_within_its_limit_and_all_ends() -> None:
    assert list(failures()) == []


def test_worlds_spill_read_back_and_fill_memory() -> None:
    worlds = [run_memory(seed) for seed in range(40)]
    assert sum(world.spilled for world in worlds) > 10 * LIMIT
    assert sum(world.read_back for world in worlds) > LIMIT
    assert sum(world.peak > 0.8 * LIMIT for world in worlds) >= 10
    assert any(world.nthreads > 1 for world in worlds)


@contextmanager
def changed(owner: Any, name: str, value: Any) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, value)
        yield


def no_need(s: Any, task: Any) -> Reservation:
    return Reservation(0, 0, s.now)


def no_in_use(s: Any) -> frozenset[str]:
    return frozenset()


MISTAKES: dict[str, tuple[Any, str, Any, str]] = {
    "runs begin whatever they need": (admission, "need_of", no_need, "could have been spilled"),
    "what runs took is not learnt": (
        Budget,
        "expected",
        lambda self, function, inputs: 0,
        "could have been spilled",
    ),
    "nothing goes to disk": (machine, "make_room", lambda s, b: None, "no progress"),
    "inputs of runs go to disk": (memory, "in_use", no_in_use, "while a run uses it"),
    "what the process takes is not looked at": (
        Budget,
        "lacks",
        lambda self, need, now, flying: max(0, self.planned(now, flying) + need - self.line),
        "could have been spilled",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_seen(mistake: str) -> None:
    owner, name, value, words = MISTAKES[mistake]
    with changed(owner, name, value):
        assert any(words in text for text in failures()), "the simulator does not see it"


def test_flapping_is_seen() -> None:
    with changed(memory, "_STAYS", 0.0), changed(memory, "_OVER_FOR", 0.0):
        assert any("changes of state" in text for text in failures())


def test_less_is_spilled_when_what_is_needed_later_goes_first() -> None:
    """Without the order of need, more is read back."""
    with changed(memory, "needed_later", lambda s: []):
        without = sum(run_memory(seed).read_back for seed in range(60))
    assert sum(run_memory(seed).read_back for seed in range(60)) < without
