"""Tasks that do not end by themselves: they are stopped, in time, and nothing else is."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from shoal.scheduler.core.handlers import worker as handlers
from shoal.simulation import run
from shoal.simulation.coverage import Coverage
from shoal.simulation.run import run_seed
from shoal.worker.core import limits
from shoal.worker.core.machine import Machine


def live(seeds: range) -> None:
    for seed in seeds:
        result = run_seed(seed, Coverage(), "tasks-overrun", tasks=12)
        assert result.failure is None, f"seed {seed}: {result.failure}"


def test_what_takes_too_long_is_stopped_and_nothing_else() -> None:
    live(range(25))


def never_fires(patch: pytest.MonkeyPatch) -> None:
    """No run is watched."""
    patch.setattr(limits, "note_started", lambda s, event: None)


def never_rings(patch: pytest.MonkeyPatch) -> None:
    """The core names no deadline."""
    handle = Machine.handle

    def deaf(self: Machine, event: Any, now: float) -> Any:
        effects = handle(self, event, now)
        effects.deadline = None
        return effects

    patch.setattr(Machine, "handle", deaf)


def never_gives_up(patch: pytest.MonkeyPatch) -> None:
    """Code that does not stop is waited for."""
    patch.setattr(limits, "_give_up", lambda s, limit: setattr(limit, "due", inf))


def forgets_the_forced(patch: pytest.MonkeyPatch) -> None:
    """What is cancelled by force runs on."""
    patch.setattr(limits, "interrupt", lambda s, message: None)


def fires_for_another(patch: pytest.MonkeyPatch) -> None:
    """Another run of the worker is stopped, or another life of the key."""
    act = limits.act_on_due

    def confused(s: Any) -> None:
        act(s)
        others = [task for task in s.tasks.values() if task not in s.effects.interrupt]
        if s.effects.interrupt and others:
            s.effects.interrupt = others[:1]

    patch.setattr(limits, "act_on_due", confused)


def fires_too_early(patch: pytest.MonkeyPatch) -> None:
    """The time is counted from an earlier moment."""
    note = limits.note_started

    def early(s: Any, event: Any) -> None:
        event.elapsed += 0.04
        note(s, event)

    patch.setattr(limits, "note_started", early)


def blames_the_innocent(patch: pytest.MonkeyPatch) -> None:
    """A process that makes room for another is taken for one that died."""
    patch.setitem(handlers.WORKER_HANDLERS, handlers.m.WorkerGoodbye, lambda s, ws, msg: None)


def tries_too_early(patch: pytest.MonkeyPatch) -> None:
    """Retries are made at once."""
    patch.setattr(handlers, "pause_before", lambda policy, key, attempt: 0.0)


def tries_what_is_final(patch: pytest.MonkeyPatch) -> None:
    """Retries are made whatever was raised."""
    patch.setattr(handlers, "is_worth_retrying", lambda policy, failure: True)


@pytest.mark.parametrize(
    "bug",
    [
        never_fires,
        never_rings,
        never_gives_up,
        forgets_the_forced,
        fires_for_another,
        fires_too_early,
        blames_the_innocent,
        tries_too_early,
        tries_what_is_final,
    ],
)
def test_bugs_are_seen(monkeypatch: pytest.MonkeyPatch, bug: Any) -> None:
    bug(monkeypatch)
    monkeypatch.setattr(run, "_STEPS", 100_000)
    monkeypatch.setattr(run, "_TIMEOUT", 60.0)
    with pytest.raises(AssertionError):
        live(range(60))
