"""One task after the other: the time from submitting one to having its result."""

from __future__ import annotations

import statistics
import time

import systems
from accounting import Meter

from workloads.program import expect, run

TITLE = "submit one inc task and wait for its result, 500 times"
SYSTEMS = ["shoal", "dask", "dask-best", "executor", "pool", "ray"]
FIGURES = {"p50": ("ms, median", "lower"), "p99": ("ms, 99th percentile", "lower")}
CALLS = 500


def inc(x):
    """Return the next number."""
    return x + 1


def main(name):
    """Run it once on the system called `name`."""
    times = []
    with systems.start(name) as system:
        system.map(inc, range(-200, 0))
        with Meter(system) as meter:
            for x in range(CALLS):
                start = time.perf_counter()
                result = system.call(inc, x)
                times.append(1e3 * (time.perf_counter() - start))
                expect(f"inc({x})", result, x + 1)
    percentiles = statistics.quantiles(times, n=100)
    return {"p50": percentiles[49], "p99": percentiles[98]} | meter.figures(CALLS)


if __name__ == "__main__":
    run(main)
