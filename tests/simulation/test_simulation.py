"""The simulator: clusters of every kind end well, a seed is always the same life, bugs are seen."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from shoal.scheduler.core.handlers import worker as scheduler_handlers
from shoal.simulation import Coverage, Trace, run_seed
from shoal.simulation.__main__ import main
from shoal.simulation.coverage import TABLES
from shoal.simulation.profiles import KINDS
from shoal.wire import messages as m
from shoal.worker.core import data as worker_data

PRINT_DIGESTS = """
from shoal.simulation import Coverage, Trace, run_seed
for seed in range(8):
    print(run_seed(seed, Coverage(), trace=Trace(detailed=True)).digest)
"""


@pytest.mark.parametrize("kind", sorted(set(KINDS)))
def test_clusters_of_every_kind_come_to_a_good_end(kind: str) -> None:
    for seed in range(10_000, 10_012):
        result = run_seed(seed, Coverage(), kind)
        assert result.failure is None, f"seed {seed}: {result.failure}"
        assert result.tasks and result.runs


def test_the_same_seed_is_the_same_life_whatever_the_hashes_and_addresses() -> None:
    """Sets of strings and of objects are iterated differently in each of these processes."""
    digests = []
    for hash_seed, more in (("1", []), ("2", ["-X", "dev"])):
        out = subprocess.run(
            [sys.executable, *more, "-c", PRINT_DIGESTS],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        digests.append(out.stdout.split())
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == 8


def test_what_is_passed_by_reference_lives_as_what_is_encoded() -> None:
    """Messages of seed 0 are encoded; those of seed 1 are not. Both must be of some length."""
    lines: list[str] = []
    for seed in (0, 1):
        run_seed(seed, Coverage(), trace=Trace(lines.append))
    assert len(lines) > 200


def failures(seeds: range, kind: str | None = None) -> list[str]:
    found = []
    for seed in seeds:
        failure = run_seed(seed, Coverage(), kind).failure
        if failure is not None:
            found.append(failure)
    return found


def test_a_scheduler_that_drops_a_message_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = scheduler_handlers.WORKER_HANDLERS[m.Finished]
    count = 0

    def drop_some(s: Any, ws: Any, message: Any) -> None:
        nonlocal count
        count += 1
        if count % 10:
            heard(s, ws, message)

    monkeypatch.setitem(scheduler_handlers.WORKER_HANDLERS, m.Finished, drop_some)
    found = failures(range(3), "calm")
    assert found and all("it hangs" in text and "waits for" in text for text in found)


def test_a_worker_that_keeps_what_is_freed_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_data, "drop", lambda *args, **more: None)
    assert any("holds" in text for text in failures(range(3), "calm"))


def test_a_scheduler_that_forgets_deaths_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of a lost worker are believed to be there for ever."""
    lose = "shoal.scheduler.core.transitions.losing._lose_copies_in_steps"
    monkeypatch.setattr(lose, lambda *args: iter(()))
    assert failures(range(8), "workers-die")


def test_workers_are_killed_in_the_midst_of_tasks_with_dependencies() -> None:
    coverage = Coverage()
    kills = 0
    for seed in range(20_000, 20_060):
        result = run_seed(seed, coverage, "workers-die", tasks=60)
        assert result.failure is None, f"seed {seed}: {result.failure}"
        kills += result.faults["kill-worker"]
    assert kills >= 150
    assert coverage.counts["scheduler", "processing", "waiting"]


def test_schedulers_are_killed_and_nothing_is_computed_again() -> None:
    kills = 0
    for seed in range(30_000, 30_060):
        result = run_seed(seed, Coverage(), "schedulers-die")
        assert result.failure is None, f"seed {seed}: {result.failure}"
        kills += result.faults["kill-scheduler"]
    assert kills >= 60


def test_the_command_says_what_was_covered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "0:16", "--jobs", "1"]) == 0
    out = capsys.readouterr().out
    total = sum(map(len, TABLES.values()))
    assert out.splitlines()[-1].startswith("16 clusters, ")
    assert f"of {total} transitions" in out


def test_the_command_says_how_to_replay_a_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(scheduler_handlers.WORKER_HANDLERS, m.Finished, lambda s, ws, message: None)
    assert main(["--seeds", "0:1", "--jobs", "1", "--kind", "calm"]) == 1
    out = capsys.readouterr().out
    assert "replay with: python -m shoal.simulation --seed 0 --trace --kind calm" in out
    assert "seed 0 (calm) failed, commit " in out
    assert main(["--seed", "0", "--trace", "--kind", "calm"]) == 1
    assert "client-0 does submit" in capsys.readouterr().out or "Graph(" in out
