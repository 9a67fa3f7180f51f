"""Values between the processes of one machine: to workers, between them, back, to all of them.

Each figure is what a user waits for, the round trip of the call or task included. A reader is a
task on a worker that does not have the value; it looks at its size. "Read" means that it looks at
every byte too. Each time is the median of several values, each of them new.
"""

from __future__ import annotations

import statistics
import time

import systems

from workloads.program import expect, run

TITLE = "moving one value between processes of this machine"
SYSTEMS = ["shoal", "dask", "dask-best"]
ENVIRONMENT = "data"
SIZES = {
    "1B": 1,
    "1KiB": 1 << 10,
    "100KiB": 100 << 10,
    "1MiB": 1 << 20,
    "64MiB": 64 << 20,
    "200MB": 200_000_000,
}
KINDS = {"array": "numpy array", "frame": "pandas DataFrame", "bytes": "bytes"}
CASES = {f"{kind}-{size}": f"{KINDS[kind]} of {size}" for size in SIZES for kind in KINDS}
LONG = {case for case in CASES if not case.startswith("array-") or case.endswith("64MiB")}
FIGURES = {
    "first": ("ms, first reader", "lower"),
    "further": ("ms, further reader", "lower"),
    "read": ("ms, further reader, read", "lower"),
    "first_rate": ("MB/s, first reader", "higher"),
    "further_rate": ("MB/s, further reader", "higher"),
    "gather": ("ms, gather", "lower"),
    "gather_again": ("ms, gather again", "lower"),
    "scatter": ("ms, scatter", "lower"),
    "broadcast": ("ms, scatter to all 4", "lower"),
}
WORKERS = 4
ROUNDS = 5
RATES_FROM = 1 << 20  # smaller values are all round trip


def make(kind, nbytes, number):
    """Return a value of so many bytes that no other number gives."""
    import numpy as np

    if kind == "bytes":
        return bytes([number]) * nbytes
    if kind == "array":
        return np.full(nbytes, number, "u1")
    import pandas as pd

    columns = 8 if nbytes >= 64 else 1
    cells = np.full((max(1, nbytes // 8 // columns), columns), float(number))
    return pd.DataFrame(cells, columns=[f"c{i}" for i in range(columns)])


def size(value):
    """Return how large it is; its content is not looked at."""
    return len(value)


def read(value):
    """Return its largest cell; all of it is looked at."""
    if isinstance(value, bytes):
        return max(value[:1], value[-1:])[0] if value.count(value[:1]) == len(value) else -1
    return float(value.max()) if hasattr(value, "dtype") else float(value.to_numpy().max())


def timed(function):
    """Return milliseconds, and what the function returned."""
    start = time.perf_counter()
    result = function()
    return 1e3 * (time.perf_counter() - start), result


class Moves:
    """One kind and size of values on one cluster."""

    def __init__(self, client, kind, nbytes):
        self.client, self.kind, self.nbytes = client, kind, nbytes
        self.workers = sorted(client.scheduler_info(n_workers=-1)["workers"])
        self.length = size(make(kind, nbytes, 0))

    def task(self, function, *args, at):
        """Start a task on one worker."""
        return self.client.submit(function, *args, workers=[self.workers[at]], pure=False)

    def warm_up(self):
        """Connect everybody with everybody, and have them import what is needed."""
        for at in range(WORKERS):
            value = self.task(make, self.kind, 1 << 21, 1, at=at)
            for other in range(WORKERS):
                expect("a reader", self.task(read, value, at=other).result(), 1)
            value.result()

    def between_workers(self, number):
        """Return the times of readers and of the client that asks."""
        value = self.task(make, self.kind, self.nbytes, number, at=0)
        ready = self.task(size, value, at=0).result()
        first, one = timed(lambda: self.task(size, value, at=1).result())
        further, two = timed(lambda: self.task(size, value, at=2).result())
        reading, cell = timed(lambda: self.task(read, value, at=3).result())
        expect("a reader", [ready, one, two, cell], [self.length] * 3 + [number])
        again, result = timed(value.result)
        expect("gather", [size(result), read(result)], [self.length, number])
        return {"first": first, "further": further, "read": reading, "gather_again": again}

    def to_the_client(self, number):
        """Return the time of the first who asks."""
        value = self.task(make, self.kind, self.nbytes, number, at=0)
        self.task(size, value, at=0).result()
        took, result = timed(value.result)
        expect("gather", [size(result), read(result)], [self.length, number])
        return {"gather": took}

    def from_the_client(self, number):
        """Return the times of scattering to one and to all."""
        value = make(self.kind, self.nbytes, number)
        one, scattered = timed(lambda: self.client.scatter(value, hash=False))
        expect("scatter", self.client.submit(read, scattered).result(), number)
        every, scattered = timed(lambda: self.client.scatter(value, hash=False, broadcast=True))
        for at in range(WORKERS):
            expect("broadcast", self.task(read, scattered, at=at).result(), number)
        return {"scatter": one, "broadcast": every}


def main(name, case="array-200MB"):
    """Run it once on the system called `name`."""
    kind, _, which = case.partition("-")
    rounds = []
    with systems.start(name, workers=WORKERS) as system:
        moves = Moves(system.client, kind, SIZES[which])
        moves.warm_up()
        for number in range(10, 10 + ROUNDS):
            rounds.append(
                moves.between_workers(number)
                | moves.to_the_client(number + 50)
                | moves.from_the_client(number + 100)
            )
    figures = {key: statistics.median(r[key] for r in rounds) for key in rounds[0]}
    if SIZES[which] >= RATES_FROM:
        for key in ("first", "further"):
            figures[f"{key}_rate"] = SIZES[which] / 1e3 / figures[key]
    return figures


if __name__ == "__main__":
    run(main)
