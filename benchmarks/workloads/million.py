"""A graph of a million tasks: that it completes, the scheduler's memory, and its longest pause."""

from __future__ import annotations

import asyncio
import time

import accounting
import systems
from accounting import Meter

from workloads.program import expect, run

TITLE = "a graph of 1,000,000 tasks through Client.get: 900,000 inc, summed up ten by ten"
SYSTEMS = ["shoal"]
CASES = {"1M": "a tree of seven levels"}
LONG = {"1M"}
FIGURES = {
    "seconds": ("s", "lower"),
    "tasks": ("tasks/s", "higher"),
    "bytes": ("bytes of scheduler memory per task", "lower"),
    "pause": ("ms, longest pause of the scheduler's loop, in CPU time of its thread", "lower"),
    "wall_pause": ("ms, longest pause of the scheduler's loop, by the clock", "lower"),
}
LEAVES, FAN = 900_000, 10
TASKS = 1_000_000
TICK = 0.002  # seconds


def inc(x):
    """Return the next number."""
    return x + 1


def build():
    """Return a graph in dask's plainest form, and the key of its end."""
    graph = {f"inc-{i}": (inc, i) for i in range(LEAVES)}
    level, number = list(graph), 0
    while len(level) > 1:
        number += 1
        groups = [level[i : i + FAN] for i in range(0, len(level), FAN)]
        names = [f"sum{number}-{i}" for i in range(len(groups))]
        graph.update((name, (sum, group)) for name, group in zip(names, groups))
        level = names
    return graph, level[0]


async def watch(dask_scheduler):
    """Note how long the loop takes from one turn to the next; runs in the scheduler.

    By the clock a pause contains the time in which other processes had the core; the CPU time of
    the thread does not.
    """
    loop = asyncio.get_running_loop()
    longest = dask_scheduler.longest_pauses = [0.0, 0.0]

    def tick(wall, cpu):
        now = (time.perf_counter(), time.thread_time())
        longest[0] = max(longest[0], now[0] - wall - TICK)
        longest[1] = max(longest[1], now[1] - cpu)
        loop.call_later(TICK, tick, *now)

    tick(time.perf_counter(), time.thread_time())


async def pauses(dask_scheduler):
    """Return the longest pauses in seconds, by the clock and in CPU time; runs in the scheduler."""
    return dask_scheduler.longest_pauses


def main(name, case="1M"):
    """Run it once on the system called `name`."""
    graph, end = build()
    expect("the number of tasks", len(graph), TASKS)
    with systems.start(name) as system:
        system.map(inc, range(-200, 0))
        (scheduler,) = system.roles()["scheduler"]
        system.client.run_on_scheduler(watch)
        before = accounting.resident_bytes(scheduler)
        with Meter(system) as meter:
            result = system.client.get(graph, end)
        wall, cpu = system.client.run_on_scheduler(pauses)
    expect("the sum", result, LEAVES * (LEAVES + 1) // 2)
    figures = {
        "seconds": meter.seconds,
        "tasks": TASKS / meter.seconds,
        "bytes": (meter.peaks["scheduler"] - before) / TASKS,
        "pause": 1e3 * cpu,
        "wall_pause": 1e3 * wall,
    }
    return figures | meter.figures(TASKS)


if __name__ == "__main__":
    run(main)
