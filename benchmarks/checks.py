"""What must hold of the figures, line by line: section 2 of issue 5, and the end of issue 4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from report import Results

INCUMBENT = "dask-best"


@dataclass(frozen=True)
class Line:
    """One demand, what was found, and whether that is enough (None: it was not measured)."""

    demand: str
    found: str
    holds: bool | None

    def __str__(self) -> str:
        verdict = {True: "holds", False: "FAILS", None: "not measured"}[self.holds]
        return f"{verdict}: {self.demand}" + (f" ({self.found})" if self.found else "")


@dataclass(frozen=True)
class Ratio:
    """shoal is at least so many times better than a rival."""

    workload: str
    case: str | None
    figure: str
    rival: str
    least: float

    def line(self, results: Results) -> Line:
        """Look it up."""
        where = " ".join(filter(None, (self.workload, self.case, self.figure)))
        demand = f"{where}: at least {self.least:g} x better than {self.rival}"
        entry = results.find(self.workload, self.case)
        ratio = entry.ratio(self.rival, self.figure) if entry else None
        if ratio is None:
            return Line(demand, "", None)
        return Line(demand, f"{ratio:,.2f} x", ratio >= self.least)


@dataclass(frozen=True)
class Bound:
    """A figure of shoal's is at least, or at most, so much."""

    workload: str
    case: str | None
    figure: str
    bound: float

    def line(self, results: Results) -> Line:
        """Look it up."""
        where = " ".join(filter(None, (self.workload, self.case, self.figure)))
        entry = results.find(self.workload, self.case)
        value = entry.median("shoal", self.figure) if entry else None
        if entry is None or value is None:
            return Line(f"{where}: {self.bound:,.7g}", "", None)
        unit, better = entry.figures[self.figure]
        most = better == "lower"
        demand = f"{where}: {'at most' if most else 'at least'} {self.bound:,.7g} {unit}"
        holds = value <= self.bound if most else value >= self.bound
        return Line(demand, f"{value:,.4g}", holds)


@dataclass(frozen=True)
class Growth:
    """A figure grows by at most a factor from one case to another."""

    workload: str
    small: str
    large: str
    figure: str
    most: float

    def line(self, results: Results) -> Line:
        """Look it up."""
        demand = f"{self.workload} {self.figure}: from {self.small} to {self.large} "
        demand += f"at most {self.most:g} x"
        entries = [results.find(self.workload, case) for case in (self.small, self.large)]
        small, large = (e.median("shoal", self.figure) if e else None for e in entries)
        if not small or not large:
            return Line(demand, "", None)
        return Line(demand, f"{large / small:.2f} x", large / small <= self.most)


PATTERNS = ("trivial", "stencil_1d", "nearest", "fft", "tree")
PRIMITIVES = ("queue", "variable", "lock", "multi_lock", "event", "semaphore")
TASKS_AND_ACTORS = ("actor", "actor_async", "actors", "nested", "nested_submit")
DEMANDS: list[Ratio | Bound | Growth] = [
    *[Ratio("throughput", case, "tasks", INCUMBENT, 30) for case in ("10k", "100k")],
    *[Ratio("throughput", case, "tasks", "ray", 15) for case in ("10k", "100k")],
    *[Ratio("throughput", case, "tasks", "pool", 2) for case in ("10k", "100k")],
    *[Bound("throughput", case, "tasks", 30_000) for case in ("10k", "100k")],
    Ratio("latency", None, "p50", INCUMBENT, 20),
    Ratio("latency", None, "p50", "ray", 3),
    *[
        Ratio("coordination", None, figure, INCUMBENT, 5)
        for figure in (*PRIMITIVES, *TASKS_AND_ACTORS)
    ],
    Ratio("pubsub", None, "rate", "dask-2025", 5),
    Ratio("array_graph", None, "seconds", INCUMBENT, 10),
    Bound("million", "1M", "bytes", 1024),
    Bound("million", "1M", "pause", 100),
    *[Ratio("task_bench", pattern, "metg50", INCUMBENT, 20) for pattern in PATTERNS],
    Ratio("movement", "array-200MB", "first", INCUMBENT, 3),
    Ratio("movement", "array-200MB", "further", INCUMBENT, 20),
    Growth("core_scaling", "1k-tasks", "1M-tasks", "cost", 2),
    Growth("core_scaling", "10-workers", "1000-workers", "cost", 2),
    Ratio("startup", None, "first", "dask", 4 / 3),
    Ratio("startup", None, "first", INCUMBENT, 4 / 3),
    Ratio("imports", None, "package", "dask-core", 1 / 1.1),
]

# Workload -> its cases that a demand needs.
NEEDED: dict[str, set[str]] = {}
for _demand in DEMANDS:
    _cases = NEEDED.setdefault(_demand.workload, set())
    if isinstance(_demand, Growth):
        _cases |= {_demand.small, _demand.large}
    elif _demand.case is not None:
        _cases.add(_demand.case)


def evaluate(results: Results) -> list[Line]:
    """Return a line for every demand."""
    return [demand.line(results) for demand in DEMANDS]
