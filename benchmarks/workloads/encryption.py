"""What crosses a network: the costs of `tcp`, encrypted as it is by default and plain.

All processes are on this machine, and shoal's ways around its network (Unix sockets, shared memory)
are turned off. The incumbent's `tcp` is plain.
"""

from __future__ import annotations

import importlib
import os
import statistics
import time

import systems
from accounting import Meter

from workloads.program import expect, run

TITLE = "tcp on one machine: connections, one task, many tasks, 200 MB between workers"
SYSTEMS = ["shoal", "shoal-plain", "dask", "dask-best"]
FIGURES = {
    "connection": ("ms, a connection", "lower"),
    "p50": ("ms, submit to result, median", "lower"),
    "rate": ("tasks/s, map of 10,000", "higher"),
    "moved": ("MB/s, 200 MB to another worker", "higher"),
}
CONNECTIONS, CALLS, TASKS, SIZE, ROUNDS = 100, 500, 10_000, 200_000_000, 5


def inc(x):
    """Return the next number."""
    return x + 1


def make(number):
    """Return 200 MB that no other number gives."""
    return bytes([number]) * SIZE


async def connections(comm, address):
    """Return the median of the milliseconds that a connection to an address takes."""
    times = []
    for _ in range(CONNECTIONS):
        start = time.perf_counter()
        connection = await comm.connect(address)
        times.append(1e3 * (time.perf_counter() - start))
        connection.abort()
    return statistics.median(times)


def calls(system):
    """Return the median of the milliseconds from submitting a task to its result."""
    times = []
    for x in range(CALLS):
        start = time.perf_counter()
        result = system.call(inc, x)
        times.append(1e3 * (time.perf_counter() - start))
        expect(f"inc({x})", result, x + 1)
    return statistics.median(times)


def rate(system):
    """Return tasks per second, the best of some rounds."""
    found = []
    for number in range(1, ROUNDS + 1):
        xs = range(number * TASKS, (number + 1) * TASKS)
        start = time.perf_counter()
        results, _ = system.map(inc, xs)
        found.append(TASKS / (time.perf_counter() - start))
        expect("the sum", sum(results), sum(xs) + TASKS)
    return max(found)


def moved(client):
    """Return the megabytes per second of a value from one worker to another, the best rounds."""
    one, other = sorted(client.scheduler_info(n_workers=-1)["workers"])[:2]
    found = []
    for number in range(ROUNDS):
        value = client.submit(make, number, workers=[one], pure=False)
        client.submit(int, 0, workers=[other], pure=False).result()
        client.submit(bool, value, workers=[one], pure=False).result()
        start = time.perf_counter()
        size = client.submit(len, value, workers=[other], pure=False).result()
        found.append(SIZE / 1e6 / (time.perf_counter() - start))
        expect("the size", size, SIZE)
        del value
    return max(found)


def main(name):
    """Run it once on the system called `name`."""
    os.environ["DASK_SHOAL__LOCAL_PROTOCOL"] = "tcp"
    os.environ["DASK_SHOAL__SHARED_MEMORY__FROM"] = "None"
    package = "shoal" if name.startswith("shoal") else "distributed"
    with systems.start(name) as system:
        client = system.client
        address = client.scheduler_info()["address"]
        expect("the address", address[:6], "tcp://")
        system.map(inc, range(-200, 0))
        comm = importlib.import_module(f"{package}.comm")
        with Meter(system) as meter:
            figures = {
                "connection": client.sync(connections, comm, address),
                "p50": calls(system),
                "rate": rate(system),
                "moved": moved(client),
            }
    return figures | meter.figures(CALLS + ROUNDS * TASKS)


if __name__ == "__main__":
    run(main)
