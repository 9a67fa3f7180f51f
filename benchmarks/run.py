"""Compare shoal with other systems: `make bench`, or run this file once the environments are made.

Every measurement is a process of its own. The systems take turns, so that a machine that slows down
slows all of them; the first round is a warm-up and does not count. Workloads check their results.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import checks
import measuring
import report
from report import LABELS, Results

HERE = Path(__file__).resolve().parent

# In the order of the table.
WORKLOADS = [
    *["throughput", "shared_inputs", "latency", "submits", "chain", "coordination", "pubsub"],
    *[
        "movement",
        "startup",
        "imports",
        "array_graph",
        "rsds",
        "task_bench",
        "h2o",
        "join",
        "arrays",
        "moving_all",
    ],
    *["climate", "grid_search", "zero_workers", "core_scaling", "million", "memory"],
]
DEFAULTS = {"repeat": 5, "budget": math.inf, "limit": 240.0}
CHECK = {**DEFAULTS, "budget": 30.0}
QUICK = {"repeat": 2, "budget": 5.0, "limit": 60.0}
# Systems whose every figure is known from another one; left out of quick runs.
QUICK_WITHOUT = {"dask"}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--workloads", nargs="+", choices=WORKLOADS, help="default: all")
    add("--cases", nargs="+", help="of the workloads, only these (merge-10K, 100k, ...)")
    add("--systems", nargs="+", choices=sorted(LABELS), help="default: all")
    add("--repeat", type=int, help="rounds that count, after one that warms up (default 5)")
    add(
        "--budget",
        type=float,
        help="seconds after which a case is not repeated (default: none, 30 with --check)",
    )
    add("--limit", type=float, help="seconds for one measurement (default 240)")
    add("--quick", action="store_true", help=f"{QUICK}, without the longest cases")
    add("--check", action="store_true", help="say what holds of what must; exit code 1 if not all")
    add("--read", type=Path, metavar="FILE.json", help="measure nothing, look at an earlier run")
    add("--resume", type=Path, metavar="FILE.json", help="go on with a run that was interrupted")
    add("--environments", type=Path, default=HERE.parent / ".venvs")
    add("--results", type=Path, default=HERE / "results", help="folder for the files")
    return parser.parse_args()


def plan_of(arguments: argparse.Namespace) -> measuring.Plan:
    chosen = dict(QUICK if arguments.quick else CHECK if arguments.check else DEFAULTS)
    for name in chosen:
        if getattr(arguments, name) is not None:
            chosen[name] = getattr(arguments, name)
    return measuring.Plan(environments=arguments.environments, **chosen)


def selection(arguments: argparse.Namespace) -> Iterator[tuple[ModuleType, str | None, list[str]]]:
    """Give module, case and systems of everything that was asked for."""
    wanted = checks.NEEDED if arguments.check and not arguments.workloads else None
    for workload in arguments.workloads or wanted or WORKLOADS:
        module = importlib.import_module(f"workloads.{workload}")
        skipped = getattr(module, "LONG", ()) if arguments.quick else ()
        for case in getattr(module, "CASES", [None]):
            if case is not None:
                chosen = arguments.cases or (wanted and wanted[workload]) or [case]
                if case in skipped or case not in chosen:
                    continue
            names = [n for n in module.SYSTEMS if n in (arguments.systems or LABELS)]
            if arguments.quick and not arguments.systems:
                names = [n for n in names if n not in QUICK_WITHOUT]
            yield module, case, names


def say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:79}", end="\r" if not text else "", file=sys.stderr, flush=True)


def measure_all(arguments: argparse.Namespace) -> Results:
    """Measure what was asked for, print it as it comes, and write the files after every case."""
    plan = plan_of(arguments)
    results = Results.begin(plan)
    if arguments.resume:
        results = results.after(json.loads(arguments.resume.read_text()))
    files = arguments.results / results.name()
    arguments.results.mkdir(parents=True, exist_ok=True)
    print("\n".join(results.about), flush=True)
    for module, case, names in selection(arguments):
        if results.find(module.__name__.rpartition(".")[2], case) is not None:
            continue
        start = time.monotonic()
        outcomes = measuring.in_turns(module, case, names, plan, say)
        results.add(module, case, outcomes, time.monotonic() - start)
        print(report.text(results.entries[-1]), flush=True)
        files.with_suffix(".json").write_text(json.dumps(results.plain(), indent=1) + "\n")
        files.with_suffix(".md").write_text(report.markdown(results, checks.evaluate(results)))
    print(f"\n{files}.md and .json")
    return results


def main() -> int:
    """Measure, print, and return 1 when a measurement failed or, with --check, a line does not
    hold.
    """
    arguments = parse_arguments()
    if arguments.read:
        results = Results.read(json.loads(arguments.read.read_text()))
        for entry in results.entries:
            print(report.text(entry))
    else:
        results = measure_all(arguments)
    lines = checks.evaluate(results)
    if not arguments.check:
        lines = [line for line in lines if line.holds is not None]
    print("\nWhat must hold:")
    for line in lines:
        print(f"  {line}")
    if arguments.check and not all(line.holds for line in lines):
        return 1
    return 1 if results.failures() else 0


if __name__ == "__main__":
    sys.exit(main())
