"""What a run found, and how it is shown: text as it goes, one table in Markdown, JSON."""

from __future__ import annotations

import datetime
import importlib
import os
import platform
import statistics
import subprocess
from dataclasses import dataclass
from math import inf
from pathlib import Path
from types import ModuleType
from typing import Any

import accounting
import systems
from measuring import Failed, Outcome, Over, Plan

LABELS = {name: label for name, (_, label, _) in systems.SYSTEMS.items()}
LABELS["dask-core"] = "dask, without distributed"

NOTES = """\
Each cell: median (quartiles), and in bold how many times better shoal is; below 1 it is worse.
*n* is the number of measurements where it is not the number of rounds: with `--budget`, a system
that has spent its seconds on a case is not measured again. `>240 s` is a measurement that was
stopped. CPU is user and system time of the processes while the work was timed, by role; *client* of
the incumbent contains its scheduler and its nannies, which live in the client's process; *client*
of shoal contains its nannies. *other* are helper processes. A peak is the largest resident set of
any process in that role since it started (VmHWM; pages shared between processes count in each).
"""


@dataclass(frozen=True)
class Entry:
    """The outcomes of one case of a workload."""

    workload: str
    case: str | None
    title: str
    figures: dict[str, tuple[str, str]]
    outcomes: dict[str, list[Outcome]]
    seconds: float

    def values(self, system: str, figure: str) -> list[float]:
        """Return the figures of all measurements that went well."""
        runs = self.outcomes.get(system, [])
        return [run[figure] for run in runs if isinstance(run, dict) and figure in run]

    def median(self, system: str, figure: str) -> float | None:
        """Return the median of a figure, if there is one."""
        values = self.values(system, figure)
        return statistics.median(values) if values else None

    def ratio(self, system: str, figure: str) -> float | None:
        """Return how many times better shoal is than a system."""
        ours, theirs = self.median("shoal", figure), self.median(system, figure)
        if not ours or not theirs:
            return None
        return ours / theirs if self.figures[figure][1] == "higher" else theirs / ours

    def problems(self) -> list[tuple[str, str]]:
        """Return what went wrong, each thing once: the system, and words."""
        found = {
            (name, outcome.reason if isinstance(outcome, Failed) else f"over {outcome.seconds:g} s")
            for name, outcomes in self.outcomes.items()
            for outcome in outcomes
            if not isinstance(outcome, dict)
        }
        return sorted(found)


@dataclass
class Results:
    """All that a run found."""

    about: list[str]
    commit: str
    entries: list[Entry]

    @classmethod
    def begin(cls, plan: Plan) -> Results:
        """Return the results of a run that starts now."""
        commit = git("rev-parse", "--short", "HEAD") or "unknown"
        if git("status", "--porcelain", "--", "src"):
            commit += "-changed"
        budget = f"budget {plan.budget:g} s a case and system, " if plan.budget < inf else ""
        about = [
            describe_machine(),
            f"{datetime.datetime.now():%d %B %Y %H:%M}, commit {commit}; {plan.repeat} rounds "
            f"after a warm-up, {budget}limit {plan.limit:g} s",
        ]
        return cls(about, commit, [])

    def after(self, plain: dict[str, Any]) -> Results:
        """Return what an earlier run found as the beginning of this one."""
        earlier = Results.read(plain)
        return Results([*earlier.about, *self.about], self.commit, earlier.entries)

    def name(self) -> str:
        """Return the name of the run's files, without an ending."""
        return f"{datetime.date.today():%Y-%m-%d}-{self.commit}"

    def add(
        self, module: ModuleType, case: str | None, outcomes: dict[str, Any], seconds: float
    ) -> None:
        """Take in the outcomes of one case."""
        title = module.TITLE
        if case is not None and isinstance(module.CASES, dict):
            title = f"{title}: {module.CASES[case]}"
        workload = module.__name__.rpartition(".")[2]
        figures = {**module.FIGURES, **accounting.FIGURES}
        self.entries.append(Entry(workload, case, title, figures, outcomes, seconds))

    def find(self, workload: str, case: str | None = None) -> Entry | None:
        """Return the entry of a case."""
        for entry in self.entries:
            if (entry.workload, entry.case) == (workload, case):
                return entry
        return None

    def failures(self) -> bool:
        """Tell whether a measurement failed; one that was stopped did not."""
        outcomes = [o for e in self.entries for found in e.outcomes.values() for o in found]
        return any(isinstance(outcome, Failed) for outcome in outcomes)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        entries = []
        for entry in self.entries:
            outcomes = {
                name: [o if isinstance(o, dict) else vars(o) for o in found]
                for name, found in entry.outcomes.items()
            }
            entries.append({**vars(entry), "outcomes": outcomes})
        return {"about": self.about, "commit": self.commit, "entries": entries}

    @classmethod
    def read(cls, plain: dict[str, Any]) -> Results:
        """Return what `plain` was made of."""
        results = cls(plain["about"], plain["commit"], [])
        for fields in plain["entries"]:
            outcomes = {
                name: [outcome_of(o) for o in found] for name, found in fields["outcomes"].items()
            }
            results.entries.append(Entry(**{**fields, "outcomes": outcomes}))
        return results


def outcome_of(plain: dict[str, Any]) -> Outcome:
    if set(plain) == {"reason"}:
        return Failed(**plain)
    return Over(**plain) if set(plain) == {"seconds"} else plain


def text(entry: Entry) -> str:
    """Return the figures of one case as lines for a terminal."""
    lines = ["", f"{entry.workload}{f' {entry.case}' if entry.case else ''}: {entry.title}"]
    for figure, (unit, _) in entry.figures.items():
        here = any(entry.values(name, figure) for name in entry.outcomes)
        if not here or figure in accounting.FIGURES:
            continue
        lines.append(f"  {unit:34}{'median':>10}{'quartiles':>20}{'shoal is':>20}")
        for name in entry.outcomes:
            value = entry.median(name, figure)
            if value is None:
                continue
            low, high = quartiles(entry.values(name, figure))
            ratio = entry.ratio(name, figure) if name != "shoal" else None
            spread = f"{number(low)} .. {number(high)}"
            said = verdict(ratio) if ratio else ""
            lines.append(f"    {LABELS[name]:32}{number(value):>10}{spread:>20}{said:>20}".rstrip())
    for kind, title in (("cpu", "CPU us/task"), ("seconds", "CPU s"), ("peak", "peak MiB")):
        lines += by_role(entry, kind, title)
    lines += [f"  ! {LABELS[name]}: {words}" for name, words in entry.problems()]
    return "\n".join(lines)


def by_role(entry: Entry, kind: str, title: str) -> list[str]:
    """Return lines with what each role used, the medians only; nothing when it is not known."""
    roles = [role for role in (*accounting.ROLES, "all") if f"{kind}_{role}" in entry.figures]
    lines = []
    for name in entry.outcomes:
        medians = [entry.median(name, f"{kind}_{role}") for role in roles]
        if any(value is not None for value in medians):
            cells = "".join(f"{'' if v is None else number(v):>11}" for v in medians)
            lines.append(f"    {LABELS[name]:32}{cells}".rstrip())
    head = f"  {title:34}" + "".join(f"{role:>11}" for role in roles)
    return [head, *lines] if lines else []


def markdown(results: Results, checks: list[Any]) -> str:
    """Return the run as a page with one table."""
    present = [n for n in LABELS if any(n in entry.outcomes for entry in results.entries)]
    took = sum(entry.seconds for entry in results.entries) / 60
    lines = ["# Benchmark", "", *[f"{line}  " for line in results.about]]
    lines += [f"It took {took:,.0f} minutes.", "", "## What must hold", ""]
    lines += [f"- {line}" for line in checks]
    lines += ["", "## Figures", "", NOTES]
    lines.append(f"| workload | figure | {' | '.join(LABELS[name] for name in present)} |")
    lines.append("|---" * (2 + len(present)) + "|")
    problems = []
    for entry in results.entries:
        name = f"**{entry.workload}{f' {entry.case}' if entry.case else ''}**"
        lines.append(f"| {name} | {entry.title} |{' |' * len(present)}")
        lines += [f"| | {row} |" for row in rows(entry, present)]
        problems += [f"- {name}, {LABELS[who]}: {what}" for who, what in entry.problems()]
    if problems:
        lines += ["", "Not measured to the end:", "", *problems]
    return "\n".join(lines) + "\n"


def rows(entry: Entry, systems_shown: list[str]) -> list[str]:
    """Return the rows of one case: the figures, then CPU and memory."""
    found = []
    rounds = max((len(o) for o in entry.outcomes.values()), default=0)
    for figure, (unit, _) in entry.figures.items():
        if any(entry.values(name, figure) for name in entry.outcomes):
            own = figure not in accounting.FIGURES
            cells = [cell(entry, name, figure, rounds, own) for name in systems_shown]
            found.append(" | ".join([unit, *cells]))
    return found


def cell(entry: Entry, name: str, figure: str, rounds: int, own: bool) -> str:
    """Return median, quartiles and ratio; the last only of the workload's own figures."""
    values = entry.values(name, figure)
    if not values:
        over = [o for o in entry.outcomes.get(name, []) if isinstance(o, Over)]
        return f">{over[0].seconds:g} s" if over and own else ""
    said = number(statistics.median(values))
    if len(values) > 1 and own:
        low, high = quartiles(values)
        said += f" ({number(low)}, {number(high)})"
    if len(values) != rounds and own:
        said += f" *n*={len(values)}"
    ratio = entry.ratio(name, figure) if own and name != "shoal" else None
    return f"{said} **{number(ratio)}x**" if ratio else said


def quartiles(values: list[float]) -> tuple[float, float]:
    """Return the first and the third."""
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def verdict(ratio: float) -> str:
    """Say in words how shoal compares."""
    return f"{ratio:,.1f} x better" if ratio >= 1 else f"{1 / ratio:,.1f} x worse"


def number(value: float) -> str:
    """Return a figure with as many digits as mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def describe_machine() -> str:
    """Return one line about where this runs."""
    versions = []
    for name in ("dask", "msgspec", "uvloop"):
        try:
            versions.append(f"{name} {importlib.import_module(name).__version__}")
        except ImportError:
            versions.append(f"no {name}")
    python = f"{platform.python_implementation()} {platform.python_version()}"
    cores = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start"
    return f"{platform.system()} {platform.machine()}, {cores}, {python}, {', '.join(versions)}"


def git(*arguments: str) -> str:
    """Return what git says, or nothing where there is none."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True
        )
    except OSError:
        return ""
    return done.stdout.strip()
