"""Many tasks that do nothing: `map` of `inc`, all results back in the client, then let go."""

from __future__ import annotations

import time

import systems
from accounting import Meter

from workloads.program import expect, run

TITLE = "map of inc, all results gathered"
SYSTEMS = ["shoal", "dask", "dask-best", "executor", "pool", "ray"]
CASES = {"1k": "1,000 tasks", "10k": "10,000 tasks", "100k": "100,000 tasks"}
LONG = {"100k"}
FIGURES = {
    "tasks": ("tasks/s, gathered", "higher"),
    "done": ("tasks/s, done, not yet gathered", "higher"),
    "released": ("tasks/s, released", "higher"),
}
TASKS = {"1k": 1_000, "10k": 10_000, "100k": 100_000}


def inc(x):
    """Return the next number."""
    return x + 1


def known(dask_scheduler):
    """Count the tasks that the scheduler knows; runs there."""
    return len(dask_scheduler.tasks)


def release(client, futures):
    """Drop futures; return how long it takes until the scheduler has forgotten their tasks."""
    start = time.perf_counter()
    futures.clear()
    while client.run_on_scheduler(known):
        time.sleep(0.001)
    return time.perf_counter() - start


def main(name, case="10k"):
    """Run it once on the system called `name`."""
    tasks = TASKS[case]
    with systems.start(name) as system:
        # Workers are up and know the function; other arguments, so that no result is there already.
        system.map(inc, range(-200, 0))
        kept = hasattr(system, "client")
        with Meter(system) as meter:
            if kept:
                results, done, futures = system.map_and_keep(inc, range(tasks))
            else:
                results, done = system.map(inc, range(tasks))
        expect("map", results, list(range(1, tasks + 1)))
        figures = {"tasks": tasks / meter.seconds} | meter.figures(tasks)
        if done is not None:
            figures["done"] = tasks / (done - meter.start)
        if kept:
            figures["released"] = tasks / release(system.client, futures)
    return figures


if __name__ == "__main__":
    run(main)
