"""One measurement: a workload in a process of its own, with a limit; and the systems in turns.

What a measurement gave is a dict of figures, or `Failed` with what went wrong, or `Over` the limit.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

import accounting
import systems

HERE = Path(__file__).resolve().parent

# In an import benchmark dask counts without `distributed` too.
ENVIRONMENTS = {name: where for name, (where, _, _) in systems.SYSTEMS.items()}
ENVIRONMENTS["dask-core"] = "bench-shoal"


@dataclass(frozen=True)
class Failed:
    """It went wrong."""

    reason: str


@dataclass(frozen=True)
class Over:
    """It was stopped after so many seconds."""

    seconds: float


Outcome: TypeAlias = dict[str, float] | Failed | Over


@dataclass(frozen=True)
class Plan:
    """How often and how long to measure.

    Attributes
    ----------
    repeat : int
        Rounds that count, after one that warms up.
    budget : float
        A system that has spent so many seconds on one case is not measured again for it.
    limit : float
        A measurement is stopped after so many seconds.
    environments : Path
        Where the virtual environments are.
    """

    repeat: int
    budget: float
    limit: float
    environments: Path

    def python(self, system: str, module: ModuleType) -> Path:
        """Return the interpreter of a system's environment, the one a workload needs."""
        extra = getattr(module, "ENVIRONMENT", "")
        name = ENVIRONMENTS[system] + (f"-{extra}" if extra else "")
        return self.environments / name / "bin" / "python"


def measure(command: list[str], system: str, python: Path, home: str, limit: float) -> Outcome:
    """Run `python -m workloads.` + command; return its figures, or what went wrong."""
    if not python.exists():
        return Failed(f"{python} is not there; `make bench` makes it")
    # What a system writes beside its work goes away with the folder.
    places = ("HOME", "XDG_CONFIG_HOME", "TMPDIR", "RAY_TMPDIR")
    environment = {**os.environ, **dict.fromkeys(places, home)}
    environment |= systems.ENVIRONMENT.get(system, {})
    process = subprocess.Popen(
        [python, "-m", f"workloads.{command[0]}", *command[1:]],
        cwd=HERE,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        kill(process)
        return Over(limit)
    except BaseException:  # Ctrl-C, which a process in a session of its own does not get
        kill(process)
        raise
    if process.returncode:
        return Failed((err.strip().splitlines() or [f"exit code {process.returncode}"])[-1])
    return json.loads(out.strip().splitlines()[-1])


def kill(process: subprocess.Popen[str]) -> None:
    """End a measurement and all that it started, in whatever session or group."""
    started = accounting.descendants(process.pid)
    for pid in [process.pid, *started]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    process.communicate()


def in_turns(
    module: ModuleType, case: str | None, names: list[str], plan: Plan, say: Callable[[str], None]
) -> dict[str, list[Outcome]]:
    """Measure all systems in turns; return the outcomes that count.

    The first of a system's outcomes warms up. It counts when there is no other: when it alone took
    more than the budget, or failed.
    """
    workload = module.__name__.rpartition(".")[2]
    outcomes: dict[str, list[Outcome]] = {name: [] for name in names}
    spent = dict.fromkeys(names, 0.0)
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as home:
        for number in range(plan.repeat + 1):
            for name in names:
                if number and spent[name] > plan.budget:
                    continue
                title = " ".join(filter(None, (workload, case)))
                say(f"{title}, round {number} of {plan.repeat}: {name}")
                command = [workload, name, *([case] if case else [])]
                start = time.monotonic()
                python = plan.python(name, module)
                outcome = measure(command, name, python, home, plan.limit)
                spent[name] += time.monotonic() - start
                outcomes[name].append(outcome)
                if isinstance(outcome, Over):
                    spent[name] = float("inf")
    say("")
    return {name: counting(found) for name, found in outcomes.items() if found}


def counting(outcomes: list[Outcome]) -> list[Outcome]:
    """Drop the one that warmed up, unless it is the only one or went wrong."""
    first, *others = outcomes
    return others if others and isinstance(first, dict) else outcomes
