"""Many tasks that do nothing: `map` of 10,000 `inc`, and all results back in the client."""

from __future__ import annotations

import json
import sys
import time

import systems

TITLE = "map of 10,000 inc tasks, all results gathered"
SYSTEMS = ["shoal", "dask", "dask-best", "executor", "pool", "ray"]
FIGURES = {
    "tasks": ("tasks/s, gathered", "higher"),
    "done": ("tasks/s, done, not yet gathered", "higher"),
}
TASKS = 10_000


def inc(x):
    """Return the next number."""
    return x + 1


def main(name):
    """Run it once on the system called `name`."""
    with systems.SYSTEMS[name][2]() as system:
        # Workers are up and know the function; other arguments, so that no result is there already.
        system.map(inc, range(-200, 0))
        start = time.perf_counter()
        results, done = system.map(inc, range(TASKS))
        stop = time.perf_counter()
    if results != list(range(1, TASKS + 1)):
        sys.exit("wrong results")
    figures = {"tasks": TASKS / (stop - start)}
    if done is not None:
        figures["done"] = TASKS / (done - start)
    return figures


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
