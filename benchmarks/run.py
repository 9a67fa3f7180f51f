"""Compare shoal with other systems: `make bench`, or run this file once the environments are made.

Every measurement is a process of its own. The systems take turns, so that a machine that slows down
slows all of them; the first round is a warm-up and does not count. Workloads check their results.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import systems

HERE = Path(__file__).resolve().parent
WORKLOADS = ["throughput", "latency", "coordination", "startup", "imports"]
TIMEOUT = 180  # seconds for one measurement

# In an import benchmark dask counts without `distributed` too.
ENVIRONMENTS = {name: where for name, (where, _, _) in systems.SYSTEMS.items()}
ENVIRONMENTS["dask-core"] = "bench-shoal"
LABELS = {name: label for name, (_, label, _) in systems.SYSTEMS.items()}
LABELS["dask-core"] = "dask, without distributed"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", nargs="+", default=WORKLOADS, choices=WORKLOADS)
    parser.add_argument("--systems", nargs="+", default=sorted(LABELS), choices=sorted(LABELS))
    parser.add_argument("--repeat", type=int, default=5, help="rounds that count (default 5)")
    parser.add_argument("--environments", type=Path, default=HERE.parent / ".venvs")
    parser.add_argument("--json", type=Path, help="also write every single figure to this file")
    return parser.parse_args()


def measure(workload: str, system: str, python: Path, home: str) -> dict[str, float] | str:
    """Run one measurement; return its figures, or what went wrong."""
    if not python.exists():
        return f"{python} is not there; `make bench` makes it"
    # What a system writes beside its work goes away with the folder.
    places = ("HOME", "XDG_CONFIG_HOME", "TMPDIR", "RAY_TMPDIR")
    environment = {**os.environ, **dict.fromkeys(places, home)}
    environment |= systems.ENVIRONMENT.get(system, {})
    process = subprocess.Popen(
        [python, "-m", f"workloads.{workload}", system],
        cwd=HERE,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"took longer than {TIMEOUT} s"
    if process.returncode:
        return (err.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
    return json.loads(out.strip().splitlines()[-1])


def rounds(workload: str, names: list[str], arguments: argparse.Namespace) -> dict[str, list]:
    """Measure all systems in turns; return the outcomes of the rounds that count."""
    outcomes: dict[str, list] = {name: [] for name in names}
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        for number in range(arguments.repeat + 1):
            for name in names:
                python = arguments.environments / ENVIRONMENTS[name] / "bin" / "python"
                say(f"{workload}, round {number} of {arguments.repeat}: {LABELS[name]}")
                outcome = measure(workload, name, python, home)
                if number > 0 or arguments.repeat == 0 or isinstance(outcome, str):
                    outcomes[name].append(outcome)
    say("")
    return outcomes


def say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:79}", end="\r" if not text else "", file=sys.stderr, flush=True)


def print_table(module, outcomes: dict[str, list]) -> bool:
    """Print the figures of one workload; return whether every measurement went well."""
    print(f"\n{module.TITLE}")
    figures = {
        name: [o for o in outcome if not isinstance(o, str)] for name, outcome in outcomes.items()
    }
    for key, (unit, better) in module.FIGURES.items():
        print(f"  {unit:34}{'median':>10}{'quartiles':>20}{'shoal is':>20}")
        base = median(figures.get("shoal", []), key)
        for name, runs in figures.items():
            value = median(runs, key)
            if value is None:
                continue
            low, high = quartiles([run[key] for run in runs])
            spread = f"{number(low)} .. {number(high)}"
            ratio = ""
            if base and name != "shoal":
                ratio = verdict(base / value if better == "higher" else value / base)
            print(f"    {LABELS[name]:32}{number(value):>10}{spread:>20}{ratio:>20}")
    failures = {(name, o) for name, all_ in outcomes.items() for o in all_ if isinstance(o, str)}
    for name, text in sorted(failures):
        print(f"  ! {LABELS[name]}: {text}")
    return not failures


def median(runs: list[dict[str, float]], key: str) -> float | None:
    values = [run[key] for run in runs if key in run]
    return statistics.median(values) if values else None


def quartiles(values: list[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def verdict(ratio: float) -> str:
    return f"{ratio:,.1f} x better" if ratio >= 1 else f"{1 / ratio:,.1f} x worse"


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def describe_machine() -> str:
    versions = []
    for name in ("dask", "msgspec", "uvloop"):
        try:
            versions.append(f"{name} {importlib.import_module(name).__version__}")
        except ImportError:
            versions.append(f"no {name}")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    cores = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start"
    return f"{platform.system()} {platform.machine()}, {cores}, {python}, {', '.join(versions)}"


def main() -> int:
    """Measure, print one table per workload, and return 1 when a measurement failed."""
    arguments = parse_arguments()
    print(describe_machine())
    print(f"{arguments.repeat} rounds after a warm-up; every figure from processes of its own")
    good, everything = True, {}
    for workload in arguments.workloads:
        module = importlib.import_module(f"workloads.{workload}")
        names = [name for name in module.SYSTEMS if name in arguments.systems]
        outcomes = rounds(workload, names, arguments)
        good &= print_table(module, outcomes)
        everything[workload] = outcomes
    if arguments.json:
        arguments.json.write_text(json.dumps(everything, indent=1) + "\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
