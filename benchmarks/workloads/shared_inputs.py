"""`map` of tasks that all have the same five inputs, which are results of other tasks."""

from __future__ import annotations

import systems
from accounting import Meter

from workloads.program import expect, run

TITLE = "map of a sum of one number and 5 shared dependencies, gathered"
SYSTEMS = ["shoal", "dask", "dask-best", "ray"]
CASES = {"1k": "1,000 tasks", "10k": "10,000 tasks", "100k": "100,000 tasks"}
LONG = {"100k"}
FIGURES = {"tasks": ("tasks/s, gathered", "higher")}
TASKS = {"1k": 1_000, "10k": 10_000, "100k": 100_000}
SHARED = 5


def inc(x):
    """Return the next number."""
    return x + 1


def add(x, *inputs):
    """Return a sum."""
    return x + sum(inputs)


def map_with_futures(system, xs):
    """Run it on shoal or the incumbent."""
    client = system.client
    inputs = client.map(inc, range(-1000, SHARED - 1000))
    return client.gather(client.map(add, xs, *([f] * len(xs) for f in inputs)))


def map_with_ray(system, xs):
    """Run it on Ray."""
    one, many = system.task(inc), system.task(add)
    inputs = [one.remote(x) for x in range(-1000, SHARED - 1000)]
    return system.ray.get([many.remote(x, *inputs) for x in xs])


def main(name, case="10k"):
    """Run it once on the system called `name`."""
    tasks = TASKS[case]
    with systems.start(name) as system:
        go = map_with_ray if name == "ray" else map_with_futures
        go(system, range(-200, 0))
        with Meter(system) as meter:
            results = go(system, range(tasks))
    total = sum(range(-999, SHARED - 999))
    expect("map", results, list(range(total, total + tasks)))
    return {"tasks": tasks / meter.seconds} | meter.figures(tasks)


if __name__ == "__main__":
    run(main)
