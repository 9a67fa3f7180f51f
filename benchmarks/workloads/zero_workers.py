"""Workers that answer at once: what is left is the scheduler and the client.

The incumbent is not measured: a stub of its worker could not be written without reading its source.
"""

from __future__ import annotations

import subprocess
import sys

import systems
from accounting import Meter

from workloads.program import expect, run

TITLE = "map of 50,000 on stub workers in one process"
SYSTEMS = ["shoal"]
CASES = {str(n): f"{n:,} stub worker{'s' if n > 1 else ''}" for n in (1, 24, 168, 1_000)}
FIGURES = {"tasks": ("tasks/s", "higher")}
TASKS = 50_000


def nothing(x):
    """Never run: stub workers run nothing."""


def main(name, case):
    """Run it once with so many stub workers."""
    number = int(case)
    with systems.start(name, workers=0) as system:
        roles = system.roles()
        address = system.client.scheduler_info()["address"]
        command = [sys.executable, "-m", "workloads.stub_workers", address, case]
        stubs = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            expect("the stub workers", stubs.stdout.readline(), "ready\n")
            system.client.wait_for_workers(number, timeout=60)
            system.map(nothing, range(-1_000, 0))
            system.roles = lambda: {**roles, "workers": [stubs.pid]}
            with Meter(system) as meter:
                results, _ = system.map(nothing, range(TASKS))
        finally:
            stubs.kill()
            stubs.wait()
    expect("map", results, [None] * TASKS)
    return {"tasks": TASKS / meter.seconds} | meter.figures(TASKS)


if __name__ == "__main__":
    run(main)
