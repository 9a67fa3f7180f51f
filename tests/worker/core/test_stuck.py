"""A worker that is paused for good makes room for a new process, once, and only then."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.wire import messages as m
from shoal.worker.core import Evicted, MemoryMeasured

from .harness import Core


def paused(**settings: Any) -> Core:
    core = Core(memory_limit=1000, stuck_after=10.0, **settings)
    core.handle(MemoryMeasured(900, 0))
    core.now += 0.5
    assert core.handle(MemoryMeasured(900, 0)).pause
    return core


def look(core: Core, seconds: float, process: int = 900, managed: int = 0, running: int = 0) -> str:
    core.now += seconds
    effects = core.handle(MemoryMeasured(process, managed, running))
    if effects.evict:
        core.handle(Evicted(effects.evict, effects.evict))
    return effects.leave


def test_it_leaves_after_a_while_and_once() -> None:
    core = paused()
    assert look(core, 0.1) == ""
    assert look(core, 9.9) == ""
    assert "paused for 10 s" in look(core, 0.1)
    assert look(core, 50.0) == ""
    core.ignore(m.WorkerStatus, why="the fixture had it pause")


@pytest.mark.parametrize(
    "meanwhile",
    [{"running": 1}, {"managed": 500}, {"process": 700}],
    ids=["something ran", "there was something to spill", "it was not paused"],
)
def test_the_time_begins_anew(meanwhile: dict[str, int]) -> None:
    core = paused()
    look(core, 0.1)
    assert look(core, 9.0, **meanwhile) == ""
    for _ in range(2):
        look(core, 1.0)  # it pauses again, where it was not
    assert core.machine.state.paused
    look(core, 0.1)
    assert look(core, 7.5) == ""
    assert look(core, 2.5) != ""
    core.ignore(m.WorkerStatus, why="it paused, and in one case went on for a moment")
    if "process" in meanwhile:
        core.effects.ignore("pause", "resume", why="the first ones are the fixture's")


def test_it_can_be_switched_off() -> None:
    core = Core(memory_limit=1000, stuck_after=None)
    core.handle(MemoryMeasured(900, 0))
    assert look(core, 1000.0) == look(core, 1000.0) == ""
    core.ignore(m.WorkerStatus, why="it pauses")
    core.effects.ignore("pause", why="it begins so")
