"""Tasks that read inputs where they are, while workers die and data moves: all results come."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.simulation import workloads
from shoal.simulation.coverage import Coverage
from shoal.simulation.run import run_seed
from shoal.wire import messages as m
from shoal.worker.core import machine


def live(seeds: range) -> None:
    for seed in seeds:
        result = run_seed(seed, Coverage(), tasks=30)
        assert result.failure is None, f"seed {seed}: {result.failure}"


@pytest.fixture
def many_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workloads, "_READS", 2)


def test_all_results_come(many_read: None, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[m.MissingDeps] = []
    tell: Any = machine._cannot_read

    def noted(*args: Any) -> Any:
        told.append(tell(*args))
        return told[-1]

    monkeypatch.setattr(machine, "_cannot_read", noted)
    live(range(20))
    assert any(any(message.unreachable) for message in told)


def says_nothing(patch: pytest.MonkeyPatch) -> None:
    """The scheduler is not told of a run that could not read."""
    patch.setattr(machine, "_cannot_read", lambda task, outcome: m.WorkerStatus("running"))


def test_a_deliberate_bug_is_seen(many_read: None, monkeypatch: pytest.MonkeyPatch) -> None:
    says_nothing(monkeypatch)
    with pytest.raises(AssertionError):
        live(range(30))
