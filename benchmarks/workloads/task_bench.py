"""Task Bench (Slaughter et al., SC'20): how small tasks may be before overhead eats the machine.

A graph is a grid of `STEPS` x `WIDTH` tasks; the pattern says which tasks of the step before a task
needs. Every task computes for the same time. To make the graph, in dask's plainest form, and to
send it is part of what is measured. Efficiency is the time that the computing alone would take on
two workers, divided by the time it took. METG(50 %), the minimum effective task granularity, is the
smallest task with which half of the machine does useful work.

CPU per task is that of a grid of tasks that do nothing. On a machine whose cores are all busy, what
all processes spend on an empty task is the METG(50 %) that can be had at best, whatever the clock
says; so it is also what to compare where other programs run.

The kernel is bound by computing (rounds of SHA-256, outside the interpreter's lock) and calibrated
on this machine before each measurement.
"""

from __future__ import annotations

import hashlib
import math
import statistics
import time
from itertools import count, pairwise

import systems
from accounting import Meter

from workloads.program import expect, run

TITLE = "Task Bench, 32 steps x 32 tasks"
SYSTEMS = ["shoal", "dask", "dask-best", "ray"]
CASES = {
    "trivial": "trivial: no dependencies",
    "stencil_1d": "stencil_1d: a point and its two neighbours",
    "nearest": "nearest, radix 5: a point and two neighbours on each side",
    "fft": "fft: a point and those 1, 2, 4, 8, 16 away, in turns",
    "tree": "tree: doubling up to 32 tasks, each needs its parent",
}
LONG = {"nearest", "fft", "tree"}
FIGURES = {
    "metg50": ("us, METG(50 %)", "lower"),
    "metg90": ("us, METG(90 %)", "lower"),
    "empty": ("us/task, tasks that do nothing", "lower"),
}
STEPS, WIDTH = 32, 32
FACTOR = 2.0  # from one granularity of the sweep to the next
LARGEST = 32e-3  # seconds
PATIENCE = 60.0  # seconds; then a sweep ends where it is
ENOUGH = 0.4  # seconds; points that take less are measured three times


def needs(pattern, step, point):
    """Return the points of the step before that a task needs."""
    if step == 0 or pattern == "trivial":
        return []
    if pattern == "tree":
        return [point // 2]
    if pattern == "fft":
        sets = WIDTH.bit_length() - 1
        away = 1 << (step + sets - 1) % sets
        return [p for p in (point - away, point, point + away) if 0 <= p < WIDTH]
    reach = {"stencil_1d": 1, "nearest": 2}[pattern]
    return [p for p in range(point - reach, point + reach + 1) if 0 <= p < WIDTH]


def width(pattern, step):
    """Return the number of tasks of a step."""
    return min(WIDTH, 2**step) if pattern == "tree" else WIDTH


def grid(pattern, task):
    """Make all tasks with `task(inputs)`; return those that none needs, and how many there are."""
    row, ends, tasks = [], [], 0
    for step in range(STEPS):
        inputs = [needs(pattern, step, point) for point in range(width(pattern, step))]
        needed = {point for points in inputs for point in points}
        ends += [made for point, made in enumerate(row) if point not in needed]
        row = [task([row[point] for point in points]) for points in inputs]
        tasks += len(row)
    return ends + row, tasks


def work(rounds, *inputs):
    """Compute for a time; return one more than the largest input, which tells the step."""
    if rounds:
        hashlib.pbkdf2_hmac("sha256", b"password", b"salt", rounds)
    return max(inputs, default=0) + 1


def calibrate():
    """Return the seconds that one round takes, and those that a task takes without any."""

    def best(rounds):
        times = []
        for _ in range(15):
            start = time.perf_counter()
            work(rounds)
            times.append(time.perf_counter() - start)
        return min(times)

    few, many = best(100), best(20_100)
    return (many - few) / 20_000, max(0.0, few - 100 * (many - few) / 20_000)


def run_once(system, name, pattern, rounds):
    """Compute one grid; return the seconds per task."""
    if name == "ray":
        task = system.task(work)
        start = time.perf_counter()
        ends, tasks = grid(pattern, lambda inputs: task.remote(rounds, *inputs))
        results = system.ray.get(ends)
    else:
        graph, numbers = {}, count()

        def add(inputs):
            key = f"work-{rounds}-{next(numbers)}"
            graph[key] = (work, rounds, *inputs)
            return key

        start = time.perf_counter()
        ends, tasks = grid(pattern, add)
        results = system.client.get(graph, ends)
    seconds = time.perf_counter() - start
    expect(pattern, max(results), 1 if pattern == "trivial" else STEPS)
    return seconds / tasks


def measured(system, name, pattern, rounds):
    """Return the seconds per task, the median of three where that is quick."""
    times = [run_once(system, name, pattern, rounds)]
    if times[0] * STEPS * WIDTH < ENOUGH:
        times += [run_once(system, name, pattern, rounds) for _ in range(2)]
    return statistics.median(times)


def crossing(points, efficiency):
    """Return the granularity at which efficiency is reached, on a line through the logarithms."""
    for (small, low), (large, high) in pairwise(points):
        if high >= efficiency:
            part = (efficiency - low) / (high - low) if low < efficiency else 0.0
            return math.exp(math.log(small) + part * math.log(large / small))
    return None


def main(name, case):
    """Sweep the granularity on the system called `name`."""
    per_round, fixed = calibrate()
    with systems.start(name) as system:
        system.map(work, range(200))
        empty = run_once(system, name, case, 0)
        with Meter(system) as meter:
            run_once(system, name, case, 0)
        empty = measured(system, name, case, 0)
        points, granularity = [], max(empty / 4, 4 * fixed)
        end = time.monotonic() + PATIENCE
        while not points or (
            points[-1][1] < 0.9 and granularity < LARGEST and time.monotonic() < end
        ):
            rounds = max(1, round((granularity - fixed) / per_round))
            seconds = measured(system, name, case, rounds)
            points.append((granularity, granularity / systems.WORKERS / seconds))
            granularity *= FACTOR
    tasks = sum(width(case, step) for step in range(STEPS))
    figures = {"empty": 1e6 * empty} | meter.figures(tasks)
    for percent in (50, 90):
        found = crossing(points, percent / 100)
        if found is not None:
            figures[f"metg{percent}"] = 1e6 * found
    return figures


if __name__ == "__main__":
    run(main)
