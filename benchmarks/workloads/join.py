"""A join of two tables of 100 MB each by a key that neither is sorted by."""

from __future__ import annotations

import systems
from accounting import Meter

from workloads import graphs
from workloads.program import expect, run

TITLE = "join of 2 x 100 MB (numbers) in 16 partitions each, shuffled by tasks, summed"
SYSTEMS = ["shoal", "dask", "dask-best"]
ENVIRONMENT = "data"
FIGURES = {"seconds": ("s, compute()", "lower")}
ROWS, PARTITIONS, COLUMNS = 2_500_000, 16, 4
STEP = 7_919  # a prime: no row of one table is where the row of its key is in the other


def part(number, name):
    """Return one partition of a table: a key and numbers that follow from it."""
    import numpy
    import pandas

    rows = ROWS // PARTITIONS
    keys = numpy.arange(number * rows, (number + 1) * rows)
    if name == "right":
        keys = keys * STEP % ROWS
    columns = {f"{name}{i}": keys * (i + 1.0) for i in range(COLUMNS)}
    return pandas.DataFrame({"key": keys, **columns})


def main(name):
    """Run it once on the system called `name`."""
    import dask
    import dask.dataframe

    with (
        dask.config.set({"dataframe.shuffle.method": "tasks"}),
        systems.start(name) as system,
    ):
        system.client.run(graphs.load, ("pandas", "dask.dataframe"))
        left, right = (
            dask.dataframe.from_map(part, range(PARTITIONS), name=side).persist()
            for side in ("left", "right")
        )
        expect("len", len(left), ROWS)
        expect("len", len(right), ROWS)
        both = left.merge(right, on="key")
        with Meter(system) as meter:
            found = (both["left0"] * 2 - both["right1"]).abs().sum() + both["left0"].sum()
            found = found.compute()
    if not graphs.close_to(found, ROWS * (ROWS - 1) / 2):
        expect("the join", found, ROWS * (ROWS - 1) / 2)
    return {"seconds": meter.seconds} | meter.figures()


if __name__ == "__main__":
    run(main)
