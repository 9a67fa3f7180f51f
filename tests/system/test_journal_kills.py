"""A few kills of a real scheduler that has a journal; `make chaos-journal` does many."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.journal_kills import run_kills


@pytest.mark.process
@pytest.mark.timeout(240)
@pytest.mark.parametrize("sync", ["always", "turn"])
def test_what_was_acknowledged_outlives_kills(tmp_path: Path, sync: str) -> None:
    outcome = run_kills(3, 1, sync, tmp_path)
    assert not outcome.wrong
    for what in ("items", "values", "datasets", "lock", "semaphore", "notes", "tasks left"):
        assert outcome.done.get(what), f"no {what} were counted"
