"""More data than memory: what runs, what is killed, and how much memory the workers take.

Two workers of one thread, with a limit each. A worker that is killed for memory is replaced, and
what it held is computed again: that is part of the time.
"""

from __future__ import annotations

import importlib
import os
import threading
import time
from itertools import pairwise
from pathlib import Path

import accounting
import systems

from workloads.program import expect, run

TITLE = "more data than memory"
SYSTEMS = ["shoal", "dask", "dask-best"]
ENVIRONMENT = "data"
CASES = {
    "rechunk-800MB": "800 MB to other chunks, and its deviation, on two workers of 400 MB",
    "reduce-20GB": "20 GB read in parts of 40 MB (generated), each with its neighbour, 1 GB each",
}
FIGURES = {
    "seconds": ("s", "lower"),
    "killed": ("workers killed", "lower"),
    "changes": ("changes of state", "lower"),
    "spilled": ("MB on disk at the end", "lower"),
    "peak": ("peak MiB of a worker", "lower"),
}
LIMITS = {"rechunk-800MB": "400MB", "reduce-20GB": "1GB"}
PARTS, PART = 500, 5_000_000
_STATES = ("is paused", "running again", "Pausing worker", "Resuming worker")


def rechunk():
    """Compute the deviations of columns of what is held in rows; return whether they are right."""
    import dask.array

    rows, columns = 20_000, 5_000
    x = dask.array.random.random((rows, columns), chunks=(1_000, columns)).persist()
    mean = float(x.mean().compute())
    deviations = x.rechunk((5_000, 1_000), method="tasks").std(axis=0).compute()
    return (
        abs(mean - 0.5) < 1e-3
        and deviations.shape == (columns,)
        and abs(float(deviations.mean()) - 12**-0.5) < 1e-3
    )


def read(number):
    """Return one part."""
    import numpy

    return numpy.full(PART, float(number))


def both(one, other):
    """Return what two parts come to."""
    return float(one.sum() + other.sum())


def reduce():
    """Sum up all parts, each with the next one; return whether the sum is right."""
    import dask

    parts = [dask.delayed(read)(i) for i in range(PARTS)]
    pairs = [dask.delayed(both)(a, b) for a, b in pairwise(parts)]
    total = dask.delayed(sum)(pairs).compute()
    return total == PART * sum(i + i + 1 for i in range(PARTS - 1))


def counter(package):
    """Return a plugin of the scheduler that counts the workers that leave."""

    class Counter(package.SchedulerPlugin):
        name = "bench-memory"
        left = 0

        def remove_worker(self, *args, **kwargs):
            self.left += 1

    return Counter()


def left(dask_scheduler):
    """Return how many workers left."""
    return dask_scheduler.plugins["bench-memory"].left


class Watch:
    """Looks at the memory of the workers' processes, those that replace others included.

    From outside, fifty times a second: shoal has the kernel's own peak begin anew now and then.
    """

    def __init__(self):
        self.peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self):
        # Everything else that descends from this process takes less than a worker.
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def _look(self):
        while not self._ended.wait(0.02):
            for pid in accounting.descendants(os.getpid()):
                try:
                    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                except (OSError, ValueError, IndexError):  # it has ended
                    continue
                self.peak = max(self.peak, pages * 4096)


def measure(client, case):
    """Return the figures of one run."""
    package = importlib.import_module(type(client).__module__.partition(".")[0])
    client.register_plugin(counter(package))
    start = time.perf_counter()
    with Watch() as watch:
        expect("the result", {"rechunk-800MB": rechunk, "reduce-20GB": reduce}[case](), True)
    seconds = time.perf_counter() - start
    logs = client.get_worker_logs()
    words = [text for lines in logs.values() for _, text in lines]
    spilled = [
        worker["metrics"]["spilled_bytes"]["disk"]
        if isinstance(worker["metrics"]["spilled_bytes"], dict)
        else worker["metrics"]["spilled_bytes"]
        for worker in client.scheduler_info(n_workers=-1)["workers"].values()
    ]
    return {
        "seconds": seconds,
        "killed": client.run_on_scheduler(left),
        "changes": sum(any(state in text for state in _STATES) for text in words),
        "spilled": sum(spilled) / 1e6,
        "peak": watch.peak / 2**20,
    }


def main(name, case):
    """Run one of them once on the system called `name`."""
    with systems.start(name, memory_limit=LIMITS[case]) as system:
        return measure(system.client, case)


if __name__ == "__main__":
    run(main)
