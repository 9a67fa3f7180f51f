"""One adapter per system: a cluster of two single-threaded worker processes on this machine.

Each adapter is a context manager that imports its system when entered and gives an object with
`call(function, x)`, one task from start to result, and `map(function, xs)`, which gives the results
in order and the moment when all were done and not yet gathered (None where there is no such thing).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

WORKERS = 2


class System(Protocol):
    """What a workload needs of a system."""

    def call(self, function: Callable[[Any], Any], x: Any) -> Any: ...
    def map(self, function: Callable[[Any], Any], xs: range) -> tuple[list[Any], float | None]: ...


class Futures:
    """shoal and dask, which share their API."""

    def __init__(self, client: Any, wait: Callable[..., Any]) -> None:
        self.client = client
        self.wait = wait

    def call(self, function: Callable[[Any], Any], x: Any) -> Any:
        return self.client.submit(function, x).result()

    def map(self, function: Callable[[Any], Any], xs: range) -> tuple[list[Any], float | None]:
        futures = self.client.map(function, xs)
        self.wait(futures)
        done = time.perf_counter()
        return self.client.gather(futures), done


class Executor:
    """concurrent.futures."""

    def __init__(self, executor: Any) -> None:
        self.executor = executor

    def call(self, function: Callable[[Any], Any], x: Any) -> Any:
        return self.executor.submit(function, x).result()

    def map(self, function: Callable[[Any], Any], xs: range) -> tuple[list[Any], float | None]:
        return list(self.executor.map(function, xs)), None


class Pool:
    """multiprocessing."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    def call(self, function: Callable[[Any], Any], x: Any) -> Any:
        return self.pool.apply(function, (x,))

    def map(self, function: Callable[[Any], Any], xs: range) -> tuple[list[Any], float | None]:
        # In the order of completion, which is its fastest way; sorted for the check.
        return sorted(self.pool.imap_unordered(function, xs)), None


class Ray:
    """Ray tasks."""

    def __init__(self, ray: Any) -> None:
        self.ray = ray
        self.remote: dict[Any, Any] = {}

    def _remote(self, function: Callable[[Any], Any]) -> Any:
        if function not in self.remote:
            self.remote[function] = self.ray.remote(function)
        return self.remote[function]

    def call(self, function: Callable[[Any], Any], x: Any) -> Any:
        return self.ray.get(self._remote(function).remote(x))

    def map(self, function: Callable[[Any], Any], xs: range) -> tuple[list[Any], float | None]:
        remote = self._remote(function)
        refs = [remote.remote(x) for x in xs]
        self.ray.wait(refs, num_returns=len(refs), fetch_local=False)
        done = time.perf_counter()
        return self.ray.get(refs), done


@contextmanager
def shoal() -> Iterator[System]:
    from shoal import Client, LocalCluster, wait

    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=1) as cluster,
        Client(cluster) as client,
    ):
        yield Futures(client, wait)


@contextmanager
def dask() -> Iterator[System]:
    from distributed import Client, LocalCluster, wait

    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=1) as cluster,
        Client(cluster) as client,
    ):
        yield Futures(client, wait)


@contextmanager
def dask_best() -> Iterator[System]:
    """The best settings found: no queueing of root tasks, and uvloop.

    They go into the environment (see `ENVIRONMENT`), so that the workers have them too.
    """
    with dask() as system:
        yield system


@contextmanager
def executor() -> Iterator[System]:
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(WORKERS) as pool:
        yield Executor(pool)


@contextmanager
def pool() -> Iterator[System]:
    import multiprocessing

    with multiprocessing.Pool(WORKERS) as workers:
        yield Pool(workers)


@contextmanager
def ray() -> Iterator[System]:
    import ray

    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        yield Ray(ray)
    finally:
        ray.shutdown()


# Name -> (environment in .venvs, how it is called in tables, adapter).
SYSTEMS: dict[str, tuple[str, str, Callable[[], AbstractContextManager[System]]]] = {
    "shoal": ("bench-shoal", "shoal", shoal),
    "dask": ("bench-dask", "dask.distributed, defaults", dask),
    "dask-best": ("bench-dask", "dask.distributed, best settings", dask_best),
    "executor": ("bench-shoal", "ProcessPoolExecutor", executor),
    "pool": ("bench-shoal", "Pool.imap_unordered", pool),
    "ray": ("bench-ray", "Ray", ray),
}

# Environment variables that a system's processes get.
ENVIRONMENT = {
    "dask-best": {
        "DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION": "inf",
        "DASK_DISTRIBUTED__ADMIN__EVENT_LOOP": "uvloop",
    },
    "ray": {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"},
}
