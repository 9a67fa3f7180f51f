"""One adapter per system: a cluster of two single-threaded worker processes on this machine.

Each adapter is a context manager that imports its system when entered and gives an object with
`call(function, x)`, one task from start to result; `map(function, xs)`, which gives the results in
order and the moment when all were done and not yet gathered (None where there is no such thing);
and `roles()`, the ids of the processes at work, by what they do. `systems.start(name)` enters one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import accounting

WORKERS = 2
Calls = tuple[list[Any], float | None]
Context = AbstractContextManager[Any]


class System(Protocol):
    """What a workload needs of a system."""

    def call(self, function: Callable[[Any], Any], x: Any) -> Any: ...
    def map(self, function: Callable[[Any], Any], xs: range) -> Calls: ...
    def roles(self) -> dict[str, list[int]]: ...


class Futures:
    """shoal and dask, which share their API."""

    def __init__(self, client: Any, wait: Callable[..., Any]) -> None:
        self.client = client
        self.wait = wait

    def call(self, function: Callable[[Any], Any], x: Any) -> Any:
        return self.client.submit(function, x).result()

    def map(self, function: Callable[[Any], Any], xs: range) -> Calls:
        results, done, _ = self.map_and_keep(function, xs)
        return results, done

    def map_and_keep(
        self, function: Callable[[Any], Any], xs: range
    ) -> tuple[list[Any], float, list[Any]]:
        """Do as `map`, and return the futures too."""
        futures = self.client.map(function, xs)
        self.wait(futures)
        done = time.perf_counter()
        return self.client.gather(futures), done, futures

    def roles(self) -> dict[str, list[int]]:
        # The incumbent's LocalCluster has its scheduler in the client's process.
        scheduler = self.client.run_on_scheduler(os.getpid)
        roles = {"client": [os.getpid()]}
        if scheduler != os.getpid():
            roles["scheduler"] = [scheduler]
        workers = list(self.client.run(os.getpid).values()) if self.client.ncores() else []
        return roles | ({"workers": workers} if workers else {})


class Executor:
    """concurrent.futures."""

    def __init__(self, executor: Any) -> None:
        self.executor = executor

    def call(self, function: Callable[[Any], Any], x: Any) -> Any:
        return self.executor.submit(function, x).result()

    def map(self, function: Callable[[Any], Any], xs: range) -> Calls:
        return list(self.executor.map(function, xs)), None

    def roles(self) -> dict[str, list[int]]:
        return children_as_workers()


class Pool:
    """multiprocessing."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    def call(self, function: Callable[[Any], Any], x: Any) -> Any:
        return self.pool.apply(function, (x,))

    def map(self, function: Callable[[Any], Any], xs: range) -> Calls:
        # In the order of completion, which is its fastest way; sorted for the check.
        return sorted(self.pool.imap_unordered(function, xs)), None

    def roles(self) -> dict[str, list[int]]:
        return children_as_workers()


class Ray:
    """Ray tasks."""

    def __init__(self, ray: Any) -> None:
        self.ray = ray
        self.remote: dict[Any, Any] = {}

    def task(self, function: Callable[..., Any]) -> Any:
        """Return the remote function of `function`."""
        if function not in self.remote:
            self.remote[function] = self.ray.remote(function)
        return self.remote[function]

    def call(self, function: Callable[[Any], Any], x: Any) -> Any:
        return self.ray.get(self.task(function).remote(x))

    def map(self, function: Callable[[Any], Any], xs: range) -> Calls:
        remote = self.task(function)
        refs = [remote.remote(x) for x in xs]
        self.ray.wait(refs, num_returns=len(refs), fetch_local=False)
        done = time.perf_counter()
        return self.ray.get(refs), done

    def roles(self) -> dict[str, list[int]]:
        roles: dict[str, list[int]] = {"client": [os.getpid()], "scheduler": [], "workers": []}
        for pid in accounting.descendants(os.getpid()):
            text = accounting.command(pid)
            if text.startswith("ray::"):
                roles["workers"].append(pid)
            elif "gcs_server" in text or "raylet/raylet" in text:
                roles["scheduler"].append(pid)
        return {role: pids for role, pids in roles.items() if pids}


class Alone:
    """An engine that works in the process that asks it."""

    def roles(self) -> dict[str, list[int]]:
        return {"client": [os.getpid()]}


def children_as_workers() -> dict[str, list[int]]:
    """Return the roles of a pool: all it started are workers."""
    return {"client": [os.getpid()], "workers": accounting.descendants(os.getpid())}


@contextmanager
def shoal(workers: int = WORKERS, threads: int = 1, **limits: str) -> Iterator[System]:
    from shoal import Client, LocalCluster, wait

    with (
        LocalCluster(n_workers=workers, threads_per_worker=threads, **limits) as cluster,
        Client(cluster) as client,
    ):
        yield Futures(client, wait)


@contextmanager
def dask(workers: int = WORKERS, threads: int = 1, **limits: str) -> Iterator[System]:
    from distributed import Client, LocalCluster, wait

    with (
        LocalCluster(n_workers=workers, threads_per_worker=threads, **limits) as cluster,
        Client(cluster) as client,
    ):
        yield Futures(client, wait)


@contextmanager
def dask_best(workers: int = WORKERS, threads: int = 1, **limits: str) -> Iterator[System]:
    """The best settings found: no queueing of root tasks, and uvloop.

    They go into the environment (see `ENVIRONMENT`), so that the workers have them too.
    """
    with dask(workers, threads, **limits) as system:
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


@contextmanager
def alone() -> Iterator[Alone]:
    """An engine without a cluster; it takes as many threads as the machine has cores."""
    yield Alone()


# Name -> (environment in .venvs, how it is called in tables, adapter).
SYSTEMS: dict[str, tuple[str, str, Callable[..., Context]]] = {
    "shoal": ("bench-shoal", "shoal", shoal),
    "shoal-plain": ("bench-shoal", "shoal, no encryption", shoal),
    "dask": ("bench-dask", "dask.distributed, defaults", dask),
    "dask-best": ("bench-dask", "dask.distributed, best settings", dask_best),
    "dask-2025": ("bench-dask-2025", "dask.distributed 2025.3.0, best settings", dask_best),
    "dask-pages": ("bench-dask-pages", "dask.distributed with its dashboard", dask),
    "executor": ("bench-shoal", "ProcessPoolExecutor", executor),
    "pool": ("bench-shoal", "Pool.imap_unordered", pool),
    "ray": ("bench-ray", "Ray", ray),
    "duckdb": ("bench-engines", "DuckDB", alone),
    "polars": ("bench-engines", "Polars", alone),
}


def start(name: str, **options: Any) -> Context:
    """Return the adapter called `name`, to be entered.

    Options are `workers`, `threads`, and `memory_limit` where there is such a thing.
    """
    return SYSTEMS[name][2](**options)


# Environment variables that a system's processes get.
_BEST = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION": "inf",
    "DASK_DISTRIBUTED__ADMIN__EVENT_LOOP": "uvloop",
}
ENVIRONMENT = {
    "shoal-plain": {"DASK_SHOAL__COMM__ENCRYPTION": "false"},
    "dask-best": _BEST,
    "dask-2025": _BEST,
    "ray": {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0"},
}
