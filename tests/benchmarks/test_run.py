"""The benchmark driver: its arithmetic, its tables, and what it says of a failure."""

from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
import types
from pathlib import Path

import psutil
import pytest
from helpers import ROOT, wait_until

BENCHMARKS = ROOT / "benchmarks"
OURS = ("run", "systems", "accounting", "measuring", "report", "checks")


@pytest.fixture
def bench(monkeypatch):
    """All modules of the driver, by name."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield types.SimpleNamespace(**{name: importlib.import_module(name) for name in OURS})
    for name in [n for n in sys.modules if n in OURS or n.startswith("workloads")]:
        del sys.modules[name]


def entry(bench, outcomes, better="higher", workload="w", case=None, figure="rate"):
    figures = {figure: ("tasks/s", better), **bench.accounting.FIGURES}
    return bench.report.Entry(workload, case, "a title", figures, outcomes, 1.0)


def test_median_quartiles_and_ratio(bench):
    outcomes = {
        "shoal": [{"rate": r} for r in (30_000, 31_000, 29_000, 90_000, 30_500)],
        "dask": [{"rate": 500.0}],
        "ray": [{"rate": 61_000.0}, {"rate": 61_000.0}],
    }
    lines = bench.report.text(entry(bench, outcomes)).splitlines()
    assert [line.split() for line in lines[3:]] == [
        ["shoal", "30,500", "30,000", "..", "31,000"],
        *[["dask.distributed,", "defaults", "500", "500", "..", "500", "61.0", "x", "better"]],
        *[["Ray", "61,000", "61,000", "..", "61,000", "2.0", "x", "worse"]],
    ]


def test_lower_can_be_better(bench):
    outcomes = {"shoal": [{"rate": 0.5}], "executor": [{"rate": 0.25}], "dask": [{"rate": 10.0}]}
    out = bench.report.text(entry(bench, outcomes, better="lower"))
    assert "2.0 x worse" in out
    assert "20.0 x better" in out


def test_a_failure_is_told_once_and_one_that_was_stopped_is_no_failure(bench):
    failed = [bench.measuring.Failed("wrong results")] * 3
    results = bench.report.Results(["here"], "abc", [])
    results.entries.append(entry(bench, {"shoal": failed, "ray": [{"rate": 1.0}]}))
    assert results.failures()
    assert bench.report.text(results.entries[0]).count("! shoal: wrong results") == 1
    results.entries[:] = [entry(bench, {"shoal": [bench.measuring.Over(60)]})]
    assert not results.failures()
    assert "! shoal: over 60 s" in bench.report.text(results.entries[0])


def test_the_page_has_one_table_with_everything(bench):
    outcomes = {
        "shoal": [{"rate": 10.0, "cpu_client": 3.25, "peak_workers": 40.0}] * 2,
        "dask": [{"rate": 5.0, "cpu_client": 700.0}],
        "ray": [bench.measuring.Over(60)],
    }
    results = bench.report.Results(["a machine"], "abc", [entry(bench, outcomes, case="big")])
    page = bench.report.markdown(results, [bench.checks.Line("all is well", "2 x", True)])
    assert "| | tasks/s | 10 (10, 10) | 5 *n*=1 **2x** | >60 s |" in page
    assert "| | CPU us/task, client | 3.25 | 700 |  |" in page
    assert "| | peak MiB, workers | 40 |  |  |" in page
    assert "**w big**, Ray: over 60 s" in page
    assert "- holds: all is well (2 x)" in page
    assert page.count("|---") == 5


def test_results_survive_their_file(bench):
    outcomes = {
        "shoal": [{"rate": 10.0}],
        "dask": [bench.measuring.Failed("it broke")],
        "ray": [bench.measuring.Over(60)],
    }
    results = bench.report.Results(["here"], "abc", [entry(bench, outcomes)])
    plain = json.loads(json.dumps(results.plain()))
    again = bench.report.Results.read(plain)
    assert again.entries[0].outcomes == outcomes
    assert bench.report.text(again.entries[0]) == bench.report.text(results.entries[0])


def test_an_interrupted_run_goes_on(bench, tmp_path, monkeypatch, capsys):
    figures = {"rate": ("tasks/s", "higher")}
    module = types.SimpleNamespace(__name__="workloads.w", TITLE="a title", FIGURES=figures)
    module.CASES = {"small": "a bit", "large": "a lot"}
    cases = [(module, "small", ["shoal"]), (module, "large", ["shoal"])]
    monkeypatch.setattr(bench.run, "selection", lambda arguments: cases)
    measured = []

    def in_turns(module, case, *rest):
        measured.append(case)
        if measured == ["small", "large"]:
            raise KeyboardInterrupt
        return {"shoal": [{"rate": 10.0}]}

    monkeypatch.setattr(bench.measuring, "in_turns", in_turns)
    arguments = ["run.py", "--results", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(KeyboardInterrupt):
        bench.run.main()
    (file,) = tmp_path.glob("*.json")
    monkeypatch.setattr(sys, "argv", [*arguments, "--resume", str(file)])
    assert bench.run.main() == 0
    assert measured == ["small", "large", "large"]
    found = json.loads(file.read_text())
    assert [entry["case"] for entry in found["entries"]] == ["small", "large"]
    assert len(found["about"]) == 4  # of both


def test_demands_hold_or_fail_or_were_not_measured(bench):
    checks = bench.checks
    results = bench.report.Results([], "abc", [])
    for case, cost in (("small", 5.0), ("large", 11.0)):
        outcomes = {"shoal": [{"cost": cost}], "ray": [{"cost": 15.0}]}
        results.entries.append(entry(bench, outcomes, "lower", "w", case, "cost"))
    lines = [
        checks.Ratio("w", "small", "cost", "ray", 3).line(results),
        checks.Ratio("w", "large", "cost", "ray", 3).line(results),
        checks.Ratio("w", "small", "cost", "dask", 3).line(results),
        checks.Bound("w", "small", "cost", 5).line(results),
        checks.Bound("w", "large", "cost", 5).line(results),
        checks.Growth("w", "small", "large", "cost", 2).line(results),
        checks.Growth("w", "small", "other", "cost", 2).line(results),
    ]
    assert [line.holds for line in lines] == [True, False, None, True, False, False, None]
    assert str(lines[1]).startswith("FAILS: w large cost: at least 3 x better than ray (1.36 x)")


def test_every_workload_names_known_systems_and_figures_apart_from_the_common_ones(bench):
    for name in bench.run.WORKLOADS:
        module = importlib.import_module(f"workloads.{name}")
        assert set(module.SYSTEMS) <= set(bench.report.LABELS)
        assert all(better in ("higher", "lower") for _, better in module.FIGURES.values())
        assert not set(module.FIGURES) & set(bench.accounting.FIGURES)
        assert set(getattr(module, "LONG", ())) <= set(getattr(module, "CASES", ()))
    assert set(bench.measuring.ENVIRONMENTS) == set(bench.report.LABELS)


def test_every_demand_names_what_is_measured(bench):
    for demand in bench.checks.DEMANDS:
        module = importlib.import_module(f"workloads.{demand.workload}")
        assert demand.figure in module.FIGURES
        assert bench.checks.NEEDED[demand.workload] <= set(getattr(module, "CASES", ()))
        assert getattr(demand, "rival", "shoal") in module.SYSTEMS


def plan(bench, tmp_path, **changes):
    settings = {"repeat": 3, "budget": 1e9, "limit": 60.0, "environments": tmp_path, **changes}
    return bench.measuring.Plan(**settings)


@pytest.mark.parametrize(("budget", "runs"), [(1e9, 3), (-1.0, 1)])
def test_the_first_round_counts_only_when_it_is_the_only_one(bench, tmp_path, budget, runs):
    module = types.SimpleNamespace(__name__="workloads.w")
    figures = iter([{"rate": float(i)} for i in range(4)])
    bench.measuring.measure = lambda *_: next(figures)
    settled = plan(bench, tmp_path, budget=budget)
    outcomes = bench.measuring.in_turns(module, None, ["shoal"], settled, lambda _: None)
    assert len(outcomes["shoal"]) == runs
    assert ({"rate": 0.0} in outcomes["shoal"]) == (runs == 1)


def test_a_missing_environment_a_crash_and_the_limit_are_outcomes(bench, tmp_path):
    here, python = str(tmp_path), Path(sys.executable)
    outcome = bench.measuring.measure(["latency", "ray"], "ray", tmp_path / "python", here, 60)
    assert "make bench" in outcome.reason
    outcome = bench.measuring.measure(["latency", "no-such-system"], "", python, here, 60)
    assert "no-such-system" in outcome.reason
    outcome = bench.measuring.measure(["latency", "executor"], "executor", python, here, 0.01)
    assert outcome == bench.measuring.Over(0.01)


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="no Ctrl-C for one process alone")
def test_ctrl_c_ends_the_measurement_too(tmp_path):
    code = (
        "import signal, sys, measuring; from pathlib import Path;"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        "measuring.measure(['startup', 'executor'], 'executor', Path(sys.argv[1]), '/tmp', 60)"
    )
    python = tmp_path / "python"  # says who it is, and measures for long
    pid = tmp_path / "pid"
    python.write_text(f"#!/bin/sh\necho $$ > {pid}.part; mv {pid}.part {pid}; exec sleep 60\n")
    python.chmod(0o755)
    driver = subprocess.Popen(
        [sys.executable, "-c", code, python], cwd=BENCHMARKS, stderr=subprocess.DEVNULL
    )
    wait_until(pid.exists)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(20) != 0
    wait_until(lambda: not psutil.pid_exists(int(pid.read_text())))


def test_a_meter_sees_cpu_and_memory_of_this_process(bench):
    system = types.SimpleNamespace(roles=lambda: {"client": [bench.accounting.os.getpid()]})
    with bench.accounting.Meter(system) as meter:
        sum(range(300_000))
    figures = meter.figures(10)
    assert 0 < figures["cpu_client"] < 1e6 * meter.seconds
    assert figures["peak_client"] > 5
    assert meter.figures()["seconds_client"] == pytest.approx(figures["cpu_client"] / 1e5)


@pytest.mark.process
@pytest.mark.parametrize("system", ["executor", "pool"])
@pytest.mark.parametrize("workload", ["startup", "latency", "throughput"])
def test_a_workload_runs_and_checks(workload, system):
    done = subprocess.run(
        [sys.executable, "-m", f"workloads.{workload}", system],
        cwd=BENCHMARKS,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)
