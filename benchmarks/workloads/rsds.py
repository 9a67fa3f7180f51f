"""The graphs of "Runtime vs Scheduler: Analyzing Dask's Overheads" (Böhm and Beránek, WORKS 2020).

Built anew from the paper's descriptions. `merge_slow` runs on two workers with twelve threads each,
as the paper's node had 24 of them; all others on two workers with one.
"""

from __future__ import annotations

import time

from workloads import graphs
from workloads.program import run

TITLE = "RSDS"
SYSTEMS = ["shoal", "dask", "dask-best"]
ENVIRONMENT = "data"
MERGES = {"merge-10K": 10_000, "merge-25K": 25_000, "merge-50K": 50_000, "merge-100K": 100_000}
SLOW = {"merge_slow-1ms": 0.001, "merge_slow-10ms": 0.01, "merge_slow-100ms": 0.1}
SLOW_TASKS, SLOW_THREADS = 2_000, 12
CASES = {
    **{case: f"{tasks:,} small tasks and one that merges them" for case, tasks in MERGES.items()},
    **{case: f"2,000 tasks that sleep {1e3 * s:g} ms, 24 threads" for case, s in SLOW.items()},
    "tree-15": "a sum of 2^15 numbers by a tree of 32,767 tasks",
    "bag": "product of a bag with itself, 20 partitions, filtered and summed",
    "groupby": "mean by name and resampling of a time series of 240 partitions",
    "join": "a time series of 24 partitions joined with itself, summed",
    "numpy": "transpose, add, sum of a 5,000 x 5,000 array in 625 chunks",
    "xarray": "anomalies of air temperatures by month, 55 chunks",
}
LONG = {"merge-50K", "merge-100K", "tree-15"}
FIGURES = {**graphs.FIGURES, "tasks": ("tasks/s", "higher")}


def times_ten(x):
    """Return it."""
    return x * 10


def sleep(delay):
    """Return after a while."""
    time.sleep(delay)
    return delay


def add(*numbers):
    """Return a sum."""
    return sum(numbers)


def merge(tasks):
    """Return a sum of many small results."""
    from dask import delayed

    small, total = delayed(times_ten), delayed(add)
    return total(*[small(x) for x in range(tasks)])


def merge_slow(delay):
    """Return a sum of the results of many tasks that take a while."""
    from dask import delayed

    small, total = delayed(sleep), delayed(add)
    return total(*[small(delay) for _ in range(SLOW_TASKS)])


def tree(depth=15):
    """Add up numbers two by two."""
    from dask import delayed

    level, two = list(range(2**depth)), delayed(add)
    while len(level) > 1:
        level = [two(*level[i : i + 2]) for i in range(0, len(level), 2)]
    return level[0]


def bag():
    """Compare people with each other."""
    import dask.bag

    people = [{"name": f"person {i * i}", "age": i * 37 % 90} for i in range(1_000)]
    adults = dask.bag.from_sequence(people, npartitions=20).filter(lambda one: one["age"] > 30)
    older = adults.product(adults).filter(lambda two: two[0]["age"] > two[1]["age"])
    return older.pluck(1).map(lambda one: len(one["name"])).sum()


def groupby():
    """Reduce a table in two ways."""
    import dask.datasets

    table = dask.datasets.timeseries(
        start="2020-01-01", end="2020-01-11", freq="10s", partition_freq="1h", seed=0
    )
    means = table.groupby("name")["x"].mean().sum()
    chosen = table[(table["x"] > 0) | (table["y"] < 0)]
    return means + chosen["x"].resample("2s").mean().sum()


def join():
    """Join a table with itself."""
    import dask.datasets

    table = dask.datasets.timeseries(
        start="2020-01-01",
        end="2020-01-03",
        freq="1min",
        partition_freq="2h",
        dtypes={"value": float, "name": str, "id": int},
        seed=0,
        id_lam=100,
    )
    both = table.merge(table, on="id", how="inner")
    return (both["value_x"] + both["value_y"]).sum()


def numpy(size=5_000, chunk=200):
    """Add an array to its transpose."""
    import dask.array

    x = dask.array.random.default_rng(0).random((size, size), chunks=(chunk, chunk))
    return (x + x.T)[::2, size // 2 :].mean(axis=1).sum()


def xarray(chunk=5):
    """Subtract from temperatures, four a day for two years, their month's mean."""
    import numpy
    import pandas
    import xarray

    shape, dims = (2_920, 25, 53), ("time", "lat", "lon")
    values = numpy.random.default_rng(0).normal(280, 10, shape)
    days = pandas.date_range("2013-01-01", periods=shape[0], freq="6h")
    air = xarray.DataArray(values, dims=dims, coords={"time": days})
    air = air.chunk({"lat": chunk, "lon": chunk, "time": -1})
    return abs(air - air.groupby("time.month").mean("time")).sum().data


MODULES = {
    **dict.fromkeys(("groupby", "join"), ("pandas", "dask.dataframe", "dask.datasets")),
    "bag": ("dask.bag",),
    **dict.fromkeys(("numpy", "xarray"), ("numpy", "dask.array")),
}


def main(name, case):
    """Run one of the graphs once on the system called `name`."""
    if case in MERGES:
        tasks = MERGES[case]
        return graphs.measure(name, lambda: merge(tasks), right=5 * tasks * (tasks - 1))
    if case in SLOW:
        delay = SLOW[case]
        right = SLOW_TASKS * delay
        return graphs.measure(name, lambda: merge_slow(delay), right=right, threads=SLOW_THREADS)
    if case == "tree-15":
        return graphs.measure(name, tree, right=2**14 * (2**15 - 1))
    build = {"bag": bag, "groupby": groupby, "join": join, "numpy": numpy, "xarray": xarray}[case]
    return graphs.measure(name, build, modules=MODULES[case])


if __name__ == "__main__":
    run(main)
