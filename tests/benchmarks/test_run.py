"""The benchmark driver: its arithmetic, its table, and what it says of a failure."""

from __future__ import annotations

import importlib
import subprocess
import sys
import types
from pathlib import Path

import pytest
from helpers import ROOT

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def driver(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module("run")
    for name in [n for n in sys.modules if n in ("run", "systems") or n.startswith("workloads")]:
        del sys.modules[name]


def table(driver, capsys, outcomes, better="higher"):
    module = types.SimpleNamespace(TITLE="a title", FIGURES={"rate": ("tasks/s", better)})
    good = driver.print_table(module, outcomes)
    return good, capsys.readouterr().out


def test_median_quartiles_and_ratio(driver, capsys):
    outcomes = {
        "shoal": [{"rate": r} for r in (30_000, 31_000, 29_000, 90_000, 30_500)],
        "dask": [{"rate": 500.0}],
        "ray": [{"rate": 61_000.0}, {"rate": 61_000.0}],
    }
    good, out = table(driver, capsys, outcomes)
    assert good
    assert [line.split() for line in out.splitlines()[3:]] == [
        ["shoal", "30,500", "30,000", "..", "31,000"],
        *[["dask.distributed,", "defaults", "500", "500", "..", "500", "61.0", "x", "better"]],
        *[["Ray", "61,000", "61,000", "..", "61,000", "2.0", "x", "worse"]],
    ]


def test_lower_can_be_better(driver, capsys):
    outcomes = {"shoal": [{"rate": 0.5}], "executor": [{"rate": 0.25}], "dask": [{"rate": 10.0}]}
    _, out = table(driver, capsys, outcomes, better="lower")
    assert "2.0 x worse" in out
    assert "20.0 x better" in out


def test_a_failure_is_told_and_counts(driver, capsys):
    good, out = table(driver, capsys, {"shoal": ["wrong results"] * 3, "ray": [{"rate": 1.0}]})
    assert not good
    assert out.count("! shoal: wrong results") == 1


def test_every_workload_names_known_systems(driver):
    for name in driver.WORKLOADS:
        module = importlib.import_module(f"workloads.{name}")
        assert set(module.SYSTEMS) <= set(driver.LABELS)
        assert all(better in ("higher", "lower") for _, better in module.FIGURES.values())
    assert set(driver.ENVIRONMENTS) == set(driver.LABELS)


def test_a_missing_environment_and_a_crash_are_outcomes(driver, tmp_path):
    outcome = driver.measure("throughput", "ray", tmp_path / "python", str(tmp_path))
    assert "make bench" in outcome
    outcome = driver.measure("throughput", "no-such-system", Path(sys.executable), str(tmp_path))
    assert "no-such-system" in outcome


@pytest.mark.process
@pytest.mark.parametrize("system", ["executor", "pool"])
@pytest.mark.parametrize("workload", ["startup", "latency"])
def test_a_workload_runs_and_checks(workload, system):
    done = subprocess.run(
        [sys.executable, "-m", f"workloads.{workload}", system],
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("{")
