"""From nothing to a first result and to nothing again: imports, two worker processes, a task."""

from __future__ import annotations

import json
import sys
import time

START = time.perf_counter()

import systems  # noqa: E402

TITLE = "start a cluster with two worker processes, run one task, close"
SYSTEMS = ["shoal", "dask", "dask-best", "executor", "pool", "ray"]
FIGURES = {"first": ("s, imports to first result", "lower"), "close": ("s, to close", "lower")}


def inc(x):
    """Return the next number."""
    return x + 1


def main(name):
    """Run it once on the system called `name`."""
    with systems.SYSTEMS[name][2]() as system:
        if system.call(inc, 1) != 2:
            sys.exit("wrong result")
        first = time.perf_counter()
    return {"first": first - START, "close": time.perf_counter() - first}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
