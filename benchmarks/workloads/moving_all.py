"""Shuffles, a join and rechunks, where everything goes everywhere, within and beyond memory."""

from __future__ import annotations

import threading

import systems
from accounting import Meter

from workloads import graphs
from workloads.program import expect, run

TITLE = "all to all: two workers with the memory limit in each line"
SYSTEMS = ["shoal", "dask"]
ENVIRONMENT = "data"
CASES = {
    "shuffle-400M": "shuffle of 410 MB in 32 partitions that are in memory, 1 GB a worker",
    "shuffle-4G": "shuffle of 4.1 GB in 320 partitions, made and counted, 1 GB a worker",
    "join-2G": "join of two tables of 1 GB in 64 partitions, made and counted, 0.5 GB a worker",
    "rechunk-1G": "rechunk of 1 GB from rows to columns, made and summed, 0.5 GB a worker",
    "rechunk-4G": "rechunk of 4 GB from rows to columns, made and summed, 0.5 GB a worker",
}
LONG = ("shuffle-4G", "join-2G", "rechunk-4G")
FIGURES = {
    "seconds": ("s", "lower"),
    "rate": ("MB/s of data", "higher"),
    "killed": ("workers killed", "lower"),
}
GB = 1e9
ROWS, COLUMNS = 200_000, 7  # of a partition: 12.8 MB with its key
KEYS = 1_000_000


def part(number, rows, width=COLUMNS, keys=KEYS):
    """Return one partition of a table: keys, and numbers."""
    import numpy
    import pandas

    rng = numpy.random.default_rng(number)
    table = {"k": rng.integers(0, keys, rows)}
    return pandas.DataFrame(table | {f"c{i}": rng.random(rows) for i in range(width)})


def facts(table):
    """Return what a partition's rows amount to, whatever partition they are in."""
    import pandas

    return pandas.DataFrame({"n": [len(table)], "k": [int(table.k.sum())]})


def table(count, rows, first=0, width=COLUMNS, keys=KEYS):
    """Return a table of that many partitions."""
    import dask.dataframe

    return dask.dataframe.from_map(
        part,
        range(first, first + count),
        rows=rows,
        width=width,
        keys=keys,
        meta=part(0, 2, width, keys),
        enforce_metadata=False,
    )


def summed(frame):
    """Return rows and keys of a whole table, as numbers to compute."""
    return frame.map_partitions(facts, meta={"n": "i8", "k": "i8"}).sum()


def shuffle_in_memory(system):
    """Shuffle what is there already."""
    before = table(32, ROWS).persist()
    right = summed(before).compute()
    with Meter(system) as meter:
        after = before.shuffle("k").persist()
        system.wait(after)
    found = summed(after).compute()
    expect("rows and keys", found.tolist(), right.tolist())
    return meter, 32 * ROWS * 8 * (COLUMNS + 1)


def shuffle_beyond(system):
    """Shuffle more than the workers can hold."""
    with Meter(system) as meter:
        found = summed(table(320, ROWS).shuffle("k")).compute()
    expect("rows", int(found.n), 320 * ROWS)
    return meter, 320 * ROWS * 8 * (COLUMNS + 1)


def join(system):
    """Join two tables by a key of which every row has another."""
    import dask

    count, rows = 64, 2 * ROWS
    left = table(count, rows, width=4, keys=2**62)
    right = left.assign(d=left.c0 * 2)[["k", "d", "c1", "c2", "c3"]]
    right = right.map_partitions(turned, meta=right._meta)
    with Meter(system) as meter:
        both = left.merge(right, on="k", broadcast=False)
        off = ((both.c0 * 2 - both.d).abs().sum(), both.k.count())
        found = tuple(float(one) for one in dask.compute(*off))
    expect("the join", found, (0.0, float(count * rows)))
    return meter, 2 * count * rows * 8 * 5


def turned(frame):
    """Return a partition upside down: rows of one key are not side by side."""
    return frame.iloc[::-1]


def rechunk(system, gigabytes):
    """Turn rows of chunks into columns of chunks."""
    import dask.array

    side = int((gigabytes * GB / 8) ** 0.5) // 64 * 64
    step = side // (32 if gigabytes < 2 else 64)
    with Meter(system) as meter:
        x = dask.array.arange(side * side, chunks=side * step, dtype="float64")
        x = x.reshape((side, side)).rechunk((step, side))
        found = x.rechunk((side, step)).sum().compute()
    right = side * side * (side * side - 1) / 2
    if not graphs.close_to(found, right):
        expect("the sum", found, right)
    return meter, side * side * 8


WORK = {
    "shuffle-400M": (shuffle_in_memory, "1GB"),
    "shuffle-4G": (shuffle_beyond, "1GB"),
    "join-2G": (join, "500MB"),
    "rechunk-1G": (lambda system: rechunk(system, 1), "500MB"),
    "rechunk-4G": (lambda system: rechunk(system, 4), "500MB"),
}


def main(name, case):
    """Do one of them once on the system called `name`."""
    work, limit = WORK[case]
    with systems.start(name, memory_limit=limit) as system:
        system.client.run(graphs.load, ("pandas", "dask.dataframe", "dask.array", "pyarrow"))
        with Watch(system.client) as watch:
            meter, nbytes = work(system)
        killed = len(watch.seen) - systems.WORKERS
    rate = nbytes / 1e6 / meter.seconds
    return {"seconds": meter.seconds, "rate": rate, "killed": killed} | meter.figures()


class Watch:
    """Looks every now and then which workers there are: one that was ended has a successor."""

    def __init__(self, client):
        self.client = client
        self.seen = set()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        """Note the addresses of workers."""
        while not self.over.wait(0.2):
            self.seen.update(self.client.scheduler_info(n_workers=-1)["workers"])

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        self.thread.join()


if __name__ == "__main__":
    run(main)
