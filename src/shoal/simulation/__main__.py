"""`python -m shoal.simulation`: many seeds, what they covered, and how to replay one."""

# ruff: noqa: T201 a command prints

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path

from shoal.simulation.coverage import TABLES, Coverage
from shoal.simulation.profiles import JOURNAL, KINDS
from shoal.simulation.run import Result, run_seed
from shoal.simulation.trace import Trace

_CHUNK = 20
_LAST_LINES = 60
_FAILURES_SHOWN = 3
_ENOUGH = 500  # clusters after which the coverage must be there


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = _parse(argv)
    if options.seed is not None:
        return _replay(options)
    started = time.perf_counter()
    seeds = range(*options.seeds)
    summary = _Summary()
    failures: list[Result] = []
    chunks = [seeds[i : i + _CHUNK] for i in range(0, len(seeds), _CHUNK)]
    for results, counts in _work(chunks, options):
        summary.counts.update(counts)
        for result in results:
            summary.add(result)
            if result.failure is not None:
                failures.append(result)
        if sys.stderr.isatty():
            print(f"\r{summary.clusters} clusters", end="", file=sys.stderr)
        if len(failures) >= _FAILURES_SHOWN:
            break
    for failed in sorted(failures, key=lambda result: result.seed)[:_FAILURES_SHOWN]:
        _tell_failure(failed, options)
    covered = summary.tell(options.min_coverage if options.kind is None else 0.0)
    print(summary.line(time.perf_counter() - started))
    if failures:
        print(f"{len(failures)} clusters FAILED")
    return 1 if failures or not covered else 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m shoal.simulation", description=__doc__)
    parser.add_argument("--seeds", type=_range, default=(0, 200), help="START:STOP")
    parser.add_argument("--seed", type=int, help="only this one; with --trace it says everything")
    parser.add_argument("--trace", action="store_true")
    kinds = sorted({*KINDS, JOURNAL})
    parser.add_argument("--kind", choices=kinds, help="only lives of this kind")
    parser.add_argument("--journal", dest="kind", action="store_const", const=JOURNAL)
    parser.add_argument(
        "--workers-die",
        dest="kind",
        action="store_const",
        const="workers-die",
        help="short for --kind",
    )
    parser.add_argument(
        "--schedulers-die", dest="kind", action="store_const", const="schedulers-die"
    )
    parser.add_argument("--tasks", type=int, help="of one graph, about")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--min-coverage", type=float, default=0.85, help="share of all transitions")
    return parser.parse_args(argv)


def _range(text: str) -> tuple[int, int]:
    try:
        start, stop = text.split(":")
        return int(start), int(stop)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not START:STOP") from None


def _work(
    chunks: list[range], options: argparse.Namespace
) -> Iterator[tuple[list[Result], Counter[tuple[str, str, str]]]]:
    if options.jobs <= 1:
        for chunk in chunks:
            yield _run_chunk(chunk, options.kind, options.tasks)
        return
    with ProcessPoolExecutor(options.jobs) as pool:
        # A few at a time, so that a failure ends it soon.
        rest = iter(chunks)
        waiting = [
            pool.submit(_run_chunk, chunk, options.kind, options.tasks)
            for chunk in islice(rest, options.jobs + 1)
        ]
        while waiting:
            done = waiting.pop(0)
            yield done.result()
            for chunk in islice(rest, 1):
                waiting.append(pool.submit(_run_chunk, chunk, options.kind, options.tasks))


def _run_chunk(
    seeds: range, kind: str | None, tasks: int | None
) -> tuple[list[Result], Counter[tuple[str, str, str]]]:
    coverage = Coverage()
    gc.disable()  # clusters are made of cycles; they are freed between seeds instead
    results = []
    for seed in seeds:
        results.append(run_seed(seed, coverage, kind, tasks))
        gc.collect(1)
    gc.enable()
    gc.collect()
    return results, coverage.counts


class _Summary:
    """The sums over all simulated clusters."""

    def __init__(self) -> None:
        self.clusters = 0
        self.events = 0
        self.tasks = 0
        self.runs = 0
        self.virtual_seconds = 0.0
        self.faults: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, result: Result) -> None:
        self.clusters += 1
        self.events += result.events
        self.tasks += result.tasks
        self.runs += result.runs
        self.virtual_seconds += result.virtual_seconds
        self.faults.update(result.faults)
        self.messages.update(result.messages)

    def covered(self) -> int:
        return sum(
            1 for name, edges in TABLES.items() for edge in edges if self.counts[name, *edge]
        )

    def tell(self, share: float) -> bool:
        """Print what was covered and what was not; return whether it is enough."""
        enough = True
        for name, edges in TABLES.items():
            never = [f"{a} -> {b}" for a, b in edges if not self.counts[name, a, b]]
            text = f"never: {', '.join(never)}" if never else "all"
            print(f"{name:>9}: {len(edges) - len(never)} of {len(edges)} transitions; {text}")
            if self.clusters >= _ENOUGH and len(never) > (1 - share) * len(edges):
                print(f"{name:>9}: fewer than {share:.0%} of its transitions were exercised")
                enough = False
        print("   faults:", ", ".join(f"{n} {name}" for name, n in sorted(self.faults.items())))
        print(" messages:", ", ".join(f"{n} {name}" for name, n in sorted(self.messages.items())))
        return enough

    def line(self, seconds: float) -> str:
        total = sum(map(len, TABLES.values()))
        return (
            f"{self.clusters} clusters, {self.events} events, {sum(self.faults.values())} faults, "
            f"{self.tasks} tasks in {self.runs} runs, {self.virtual_seconds:.0f} virtual seconds, "
            f"{self.covered()} of {total} transitions, {seconds:.1f} s"
        )


# -- failures --------------------------------------------------------------------------


def _command(seed: int, options: argparse.Namespace) -> str:
    words = ["python -m shoal.simulation", f"--seed {seed} --trace"]
    if options.kind:
        words.append(f"--kind {options.kind}")
    if options.tasks:
        words.append(f"--tasks {options.tasks}")
    return " ".join(words)


def _tell_failure(result: Result, options: argparse.Namespace) -> None:
    print(f"\nseed {result.seed} ({result.kind}) failed, commit {_commit()}\n")
    print("\n".join(result.last_lines[-_LAST_LINES:]))
    print(f"\n{result.failure}\n\nreplay with: {_command(result.seed, options)}\n")


def _commit() -> str:
    try:
        found = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return found.stdout.strip() or "unknown"


def _replay(options: argparse.Namespace) -> int:
    trace = Trace(print, detailed=True) if options.trace else Trace()
    result = run_seed(options.seed, Coverage(), options.kind, options.tasks, trace)
    print(f"digest {result.digest:08x}, {result.lines} lines, {result.tasks} tasks, {result.kind}")
    if result.failure is not None:
        _tell_failure(result, options)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
