"""From nothing to a first result and to nothing again: imports, two worker processes, a task."""

from __future__ import annotations

import time

START = time.perf_counter()

import systems  # noqa: E402

from workloads.program import expect, run  # noqa: E402

TITLE = "start a cluster with two worker processes, run one task, close"
SYSTEMS = ["shoal", "dask", "dask-best", "executor", "pool", "ray"]
FIGURES = {"first": ("s, imports to first result", "lower"), "close": ("s, to close", "lower")}


def inc(x):
    """Return the next number."""
    return x + 1


def main(name):
    """Run it once on the system called `name`."""
    with systems.start(name) as system:
        expect("inc(1)", system.call(inc, 1), 2)
        first = time.perf_counter()
    return {"first": first - START, "close": time.perf_counter() - first}


if __name__ == "__main__":
    run(main)
