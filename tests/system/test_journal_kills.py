"""A few kills of real processes; `make chaos-journal` and `make chaos` do many."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.chaos import run_chaos
from benchmarks.journal_kills import run_kills


@pytest.mark.process
@pytest.mark.timeout(240)
@pytest.mark.parametrize("sync", ["always", "turn"])
def test_what_was_acknowledged_outlives_kills(tmp_path: Path, sync: str) -> None:
    outcome = run_kills(3, 1, sync, tmp_path)
    assert not outcome.wrong
    for what in ("items", "values", "datasets", "lock", "semaphore", "notes", "tasks left"):
        assert outcome.done.get(what), f"no {what} were counted"


@pytest.mark.process
@pytest.mark.timeout(300)
def test_a_short_while_under_the_monkey(tmp_path: Path) -> None:
    outcome = run_chaos(0.15, 5, tmp_path)
    assert not outcome.wrong
    for what in ("tasks", "collections", "items", "datasets"):
        assert outcome.done.get(what), f"no {what} were counted"
