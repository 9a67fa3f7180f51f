"""Tasks that kill the processes that run them: they fail, soon, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.scheduler.core.handlers import membership
from shoal.scheduler.core.policies import blame
from shoal.scheduler.core.transitions import losing
from shoal.simulation.coverage import Coverage
from shoal.simulation.run import run_seed


def live(seeds: range) -> None:
    for seed in seeds:
        result = run_seed(seed, Coverage(), "tasks-kill", tasks=15)
        assert result.failure is None, f"seed {seed}: {result.failure}"


def test_killers_fail_and_the_innocent_do_not() -> None:
    live(range(25))


def guess(patch: pytest.MonkeyPatch) -> None:
    """The runs are guessed though they are known."""
    find = blame.find_suspects
    patch.setattr(membership, "find_suspects", lambda ws, running: find(ws, None))


def fail_all_suspects(patch: pytest.MonkeyPatch) -> None:
    """One of several suspects is given up before it ran alone."""
    judge = blame.blame

    def hasty(ts: Any, runs: int, worker: str, reason: str, allowed: int) -> bool:
        judge(ts, runs, worker, reason, allowed)
        return len(ts.rare.deaths) > allowed

    patch.setattr(losing, "blame", hasty)


@pytest.mark.parametrize("bug", [guess, fail_all_suspects])
def test_bugs_are_seen(monkeypatch: pytest.MonkeyPatch, bug: Any) -> None:
    bug(monkeypatch)
    with pytest.raises(AssertionError, match="blamed"):
        live(range(80))
