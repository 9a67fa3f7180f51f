"""A loop of a thousand `submit`, then all results at once."""

from __future__ import annotations

import systems
from accounting import Meter

from workloads.program import expect, run

TITLE = "submit 1,000 inc tasks one by one, then gather"
SYSTEMS = ["shoal", "dask", "dask-best", "executor", "ray"]
FIGURES = {"tasks": ("tasks/s", "higher")}
TASKS = 1_000


def inc(x):
    """Return the next number."""
    return x + 1


def submit_all(system, name):
    """Submit and gather in the way of the system."""
    if name == "ray":
        task = system.task(inc)
        return system.ray.get([task.remote(x) for x in range(TASKS)])
    if name == "executor":
        futures = [system.executor.submit(inc, x) for x in range(TASKS)]
        return [future.result() for future in futures]
    return system.client.gather([system.client.submit(inc, x) for x in range(TASKS)])


def main(name):
    """Run it once on the system called `name`."""
    with systems.start(name) as system:
        system.map(inc, range(-200, 0))
        with Meter(system) as meter:
            results = submit_all(system, name)
    expect("gather", results, list(range(1, TASKS + 1)))
    return {"tasks": TASKS / meter.seconds} | meter.figures(TASKS)


if __name__ == "__main__":
    run(main)
