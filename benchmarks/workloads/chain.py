"""A chain: every task needs the one before it, so that nothing can be done side by side."""

from __future__ import annotations

import systems
from accounting import Meter

from workloads.program import expect, run

TITLE = "a chain of 5,000 inc tasks, each an input of the next"
SYSTEMS = ["shoal", "dask", "dask-best", "ray"]
FIGURES = {"tasks": ("tasks/s", "higher")}
TASKS = 5_000


def inc(x):
    """Return the next number."""
    return x + 1


def chain_of(submit, tasks):
    """Submit all links; return the last one."""
    x = submit(0)
    for _ in range(tasks - 1):
        x = submit(x)
    return x


def main(name):
    """Run it once on the system called `name`."""
    with systems.start(name) as system:
        system.map(inc, range(-200, 0))
        with Meter(system) as meter:
            if name == "ray":
                result = system.ray.get(chain_of(system.task(inc).remote, TASKS))
            else:
                client = system.client
                result = chain_of(lambda x: client.submit(inc, x), TASKS).result()
    expect("the chain", result, TASKS)
    return {"tasks": TASKS / meter.seconds} | meter.figures(TASKS)


if __name__ == "__main__":
    run(main)
