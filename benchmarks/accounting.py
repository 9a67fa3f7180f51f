"""What a piece of work cost: wall time, CPU time and peak memory of every process that took part.

Read from the kernel (`/proc` and the processes' CPU clocks), so Linux only; nothing is installed
into the processes that are measured, and nothing is read while they work.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

# Roles in the order of the tables, and what they are called there.
ROLES = ("client", "scheduler", "workers", "other")

# Figures that every workload may return beside its own: name -> unit and what is better.
FIGURES = {
    **{f"cpu_{role}": (f"CPU us/task, {role}", "lower") for role in (*ROLES, "all")},
    **{f"seconds_{role}": (f"CPU s, {role}", "lower") for role in (*ROLES, "all")},
    **{f"peak_{role}": (f"peak MiB, {role}", "lower") for role in ROLES},
}


class Meter:
    """Measures what is done while it is entered.

    Parameters
    ----------
    system : System
        The adapter; its `roles()` names the processes.
    """

    def __init__(self, system: Any) -> None:
        self.roles = with_others(system.roles())
        self.seconds = 0.0
        self.cpu: dict[str, float] = {}
        self.peaks: dict[str, int] = {}

    def __enter__(self) -> Meter:
        self.before = {pid: cpu_seconds(pid) for pids in self.roles.values() for pid in pids}
        self.start = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self.start
        for role, pids in self.roles.items():
            self.cpu[role] = sum(cpu_seconds(pid) - self.before[pid] for pid in pids)
            self.peaks[role] = max(peak_bytes(pid) for pid in pids)

    def figures(self, tasks: int | None = None) -> dict[str, float]:
        """Return CPU time by role, per task or (without a number of tasks) in sum, and peaks."""
        name, factor = ("seconds", 1.0) if tasks is None else ("cpu", 1e6 / tasks)
        cpu = {**self.cpu, "all": sum(self.cpu.values())}
        found = {f"{name}_{role}": factor * seconds for role, seconds in cpu.items()}
        return found | {f"peak_{role}": peak / 2**20 for role, peak in self.peaks.items()}


def with_others(roles: dict[str, list[int]]) -> dict[str, list[int]]:
    """Add the processes that descend from this one and have no role: nannies, templates, ..."""
    known = {pid for pids in roles.values() for pid in pids}
    others = [pid for pid in descendants(os.getpid()) if pid not in known]
    return {**roles, "other": others} if others else roles


def descendants(root: int) -> list[int]:
    """Return the ids of all processes that were started by `root` or its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except OSError:
                continue  # it ended
            # The name in parentheses may hold anything; the parent is the second field after it.
            children.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    found, queue = [], [root]
    while queue:
        queue += children.get(queue[0], [])
        found += children.get(queue.pop(0), [])
    return found


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, all its threads, to the nanosecond."""
    try:
        return time.clock_gettime(~pid << 3 | 2)  # what clock_getcpuclockid(3) computes
    except OSError:
        return 0.0


def command(pid: int) -> str:
    """Return the command line of a process, as far as there is one."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process ever had resident; shared pages count in each."""
    return _status(pid, "VmHWM:")


def resident_bytes(pid: int) -> int:
    """Return the memory that a process has resident now."""
    return _status(pid, "VmRSS:")


def _status(pid: int, field: str) -> int:
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # it ended
    return 0
