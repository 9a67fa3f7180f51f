"""Measure one dask collection: what the workloads on graphs, arrays and tables have in common."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import systems
from accounting import Meter

from workloads.program import expect

FIGURES = {
    "seconds": ("s, compute()", "lower"),
    "build": ("s, to build the collection", "lower"),
}


def inc(x):
    """Return the next number."""
    return x + 1


def load(names):
    """Import modules; runs on workers."""
    for name in names:
        __import__(name)


def size(collection: Any) -> int:
    """Return the number of tasks of a collection after dask's own optimization."""
    import dask

    if hasattr(collection, "expr"):  # a table: dask.optimize leaves it an expression
        return len(collection.optimize().__dask_graph__())
    (optimized,) = dask.optimize(collection)
    return len(dict(optimized.__dask_graph__()))


def close_to(found: Any, right: Any) -> bool:
    """Compare numbers, arrays or series, floats up to rounding."""
    if hasattr(found, "sort_index"):
        found, right = found.sort_index(), right.sort_index()
    if isinstance(found, int | str):
        return bool(found == right)
    import numpy

    return bool(numpy.allclose(numpy.asarray(found), numpy.asarray(right), rtol=1e-6))


def measure(
    name: str,
    build: Callable[[], Any],
    *,
    right: Any = None,
    modules: tuple[str, ...] = (),
    threads: int = 1,
) -> dict[str, float]:
    """Compute what `build` returns; compare it with `right`, or with one thread of this process.

    Parameters
    ----------
    name : str
        The system.
    build : callable
        Returns a dask collection.
    right : object, optional
        The result; without it the collection is computed once more here, after the measurement.
    modules : tuple of str
        What the workers import before the clock starts.
    threads : int
        Threads of each of the two workers.
    """
    with systems.start(name, threads=threads) as system:
        system.map(inc, range(-200, 0))
        system.client.run(load, modules)
        start = time.perf_counter()
        collection = build()
        built = time.perf_counter() - start
        with Meter(system) as meter:
            result = collection.compute()
    tasks = size(collection)
    if right is None:
        right = collection.compute(scheduler="synchronous")
    if not close_to(result, right):
        expect("compute()", result, right)
    figures = {"seconds": meter.seconds, "tasks": tasks / meter.seconds, "build": built}
    return figures | meter.figures(tasks)
