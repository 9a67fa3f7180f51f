"""What could be wrong unnoticed in workloads, and those that speak the protocol of shoal."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys

import pytest
from helpers import ROOT

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def task_bench(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module("workloads.task_bench")
    for name in [n for n in sys.modules if n in ("systems", "accounting") or "workloads" in n]:
        del sys.modules[name]


def test_the_patterns_are_those_of_task_bench(task_bench):
    needs = task_bench.needs
    assert needs("stencil_1d", 1, 0) == [0, 1]
    assert needs("stencil_1d", 1, 5) == [4, 5, 6]
    assert needs("nearest", 1, 5) == [3, 4, 5, 6, 7]
    assert needs("nearest", 1, 31) == [29, 30, 31]
    assert needs("trivial", 1, 5) == needs("fft", 0, 5) == []
    assert [needs("fft", step, 7) for step in (1, 2, 3)] == [[6, 7, 8], [5, 7, 9], [3, 7, 11]]
    assert needs("fft", 5, 7) == [7, 23]
    assert needs("fft", 6, 7) == [6, 7, 8]
    assert needs("tree", 3, 7) == [3]
    assert [task_bench.width("tree", step) for step in (0, 1, 5, 9)] == [1, 2, 32, 32]


@pytest.mark.parametrize("pattern", ["trivial", "stencil_1d", "nearest", "fft", "tree"])
def test_a_grid_gives_the_number_of_its_steps(task_bench, pattern):
    made = []

    def task(inputs):
        made.append(task_bench.work(0, *inputs))
        return made[-1]

    ends, tasks = task_bench.grid(pattern, task)
    assert max(ends) == (1 if pattern == "trivial" else task_bench.STEPS)
    assert tasks == len(made) == sum(task_bench.width(pattern, step) for step in range(32))
    assert len(ends) == {"trivial": 32 * 32, "tree": 32 + 26 * 16}.get(pattern, 32)


def test_the_granularity_is_found_between_two_points(task_bench):
    points = [(1e-4, 0.2), (4e-4, 0.4), (16e-4, 0.6)]
    assert task_bench.crossing(points, 0.5) == pytest.approx(8e-4)
    assert task_bench.crossing(points, 0.3) == pytest.approx(2e-4)
    assert task_bench.crossing(points, 0.9) is None


def test_the_kernel_takes_as_long_as_its_rounds(task_bench):
    per_round, fixed = task_bench.calibrate()
    assert 1e-8 < per_round < 1e-4
    assert 0 <= fixed < 1e-2


@pytest.mark.process
@pytest.mark.parametrize(
    ("workload", "case"), [("zero_workers", "24"), ("core_scaling", "1k-tasks")]
)
def test_the_scheduler_alone_is_measured(workload, case):
    done = subprocess.run(
        [sys.executable, "-m", f"workloads.{workload}", "shoal", case],
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
        check=True,
    )
    figures = json.loads(done.stdout)
    assert figures["tasks" if workload == "zero_workers" else "cost"] > 0
