"""A worker is killed in the middle of each example; the result is that of one process all the same.

The workers have little memory, as in the examples themselves, so that a part of what is lost was on
disk.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import dask
import dask.dataframe as dd
import pandas as pd
import pytest
import zarr
from helpers import ROOT, wait_until

from shoal import Client, LocalCluster, as_completed

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(120),
    # dask calls pandas in ways that the newest one warns of.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

UNFINISHED = ("waiting", "processing", "queued", "no-worker")


def example(name: str) -> ModuleType:
    """Load an example. It is not put among the modules, so its functions travel by value."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextmanager
def little_memory(limit: str = "300 MB", target: float = 0.05) -> Iterator[tuple[Client, Client]]:
    """A cluster with nannies, its client, and another client that looks on."""
    with (
        dask.config.set({"distributed.worker.memory.terminate": False}),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            memory_limit=limit,
            memory_target_fraction=target,
            memory_spill_fraction=False,
            memory_pause_fraction=False,
        ) as cluster,
        Client(cluster, set_as_default=False) as watcher,
        Client(cluster) as client,
    ):
        yield client, watcher


def states(dask_scheduler: Any) -> dict[str, int]:
    return Counter(task.state for task in dask_scheduler.tasks.values())


def holders(dask_scheduler: Any) -> dict[str, int]:
    """Return the workers that hold results of tasks that were run, and how many."""
    return {w.address: len(w.has_what) for w in dask_scheduler.workers.values() if w.has_what}


class Killer:
    """Kills a worker as soon as some tasks are finished and others are not."""

    def __init__(self, watcher: Client, finished: int, unfinished: int = 4) -> None:
        self.watcher = watcher
        self.least = finished, unfinished
        self.pids = watcher.run(os.getpid)
        self.killed: int | None = None
        self.seen: dict[str, int] = {}
        self._thread = threading.Thread(target=self._kill)

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._thread.join()

    def _in_the_middle(self) -> bool:
        self.seen = self.watcher.run_on_scheduler(states)
        unfinished = sum(self.seen.get(state, 0) for state in UNFINISHED)
        return self.seen.get("memory", 0) >= self.least[0] and unfinished >= self.least[1]

    def _kill(self) -> None:
        wait_until(self._in_the_middle, timeout=60)
        held = self.watcher.run_on_scheduler(holders)
        pid = self.pids[max(held, key=lambda address: held[address])]
        os.kill(pid, signal.SIGKILL)
        self.killed = pid

    def check(self) -> None:
        """A worker that held results died before all was done, and another process came."""
        assert self.killed is not None, self.seen
        wait_until(lambda: len(self.watcher.run(os.getpid)) == 2, timeout=30)
        pids = set(self.watcher.run(os.getpid).values())
        assert self.killed not in pids and len(pids & set(self.pids.values())) == 1


def run_and_kill(
    work: Callable[[], Any], watcher: Client, finished: int, on_disk: Any = None
) -> tuple[Any, int]:
    """Return what the work returns, and how many bytes were on the workers' disks at its end."""
    with Killer(watcher, finished) as killer:
        result = work()
        killer_was_late = killer.killed is None
    assert not killer_was_late, f"all was done before anything was killed: {killer.seen}"
    killer.check()
    return result, sum(watcher.run(on_disk).values()) if on_disk else 0


def test_wordcount(tmp_path):
    module = example("wordcount")
    for i in range(400):
        text = " ".join(f"word{chr(97 + n % 26)}{chr(97 + n % 17)}" for n in range(i, i + 20_000))
        (tmp_path / f"{i:03}.txt").write_text(text)
    paths = module.texts(tmp_path)
    with little_memory() as (_, watcher):
        (counts, total, _), on_disk = run_and_kill(
            lambda: module.ask(paths), watcher, 5, module.spilled
        )
    expected = module.count_alone(paths)
    assert counts == expected
    assert total == sum(expected.values())
    assert on_disk > 0


@pytest.fixture(scope="module")
def zarr_loop() -> None:
    """The thread of zarr's, which lives as long as the process, is there before the test."""
    zarr.zeros(1)[:]


@pytest.mark.usefixtures("zarr_loop")
def test_climate(tmp_path):
    module = example("climate")
    with little_memory() as (_, watcher):
        module.write(tmp_path / "climate.zarr", module.grid(0.04))
        (answer, _), on_disk = run_and_kill(
            lambda: module.ask(tmp_path / "climate.zarr"), watcher, 20, module.spilled
        )
    module.check(tmp_path / "climate.zarr", answer)
    assert on_disk > 0


def test_flights_frame(tmp_path):
    module = example("flights_frame")
    folder = module.data_folder()
    flights = module.read(folder, "flights", usecols=[*module.COLUMNS, *module.DELAYS])
    weather = module.read(folder, "weather").drop_duplicates(module.HOUR)
    planes = module.read(folder, "planes")
    with little_memory() as (_, watcher):
        dd.from_pandas(flights, npartitions=24).to_parquet(tmp_path / "flights")
        pieces = dd.read_parquet(tmp_path / "flights")
        (answers, quantiles, written, _), on_disk = run_and_kill(
            lambda: module.ask(pieces, weather, planes, str(tmp_path)), watcher, 5, module.spilled
        )
    module.check(answers, quantiles, written, module.joined(flights, weather, planes))
    assert on_disk > 0


def test_flights():
    module = example("flights")
    flights = pd.read_csv(module.data_folder() / "flights.csv.zip", usecols=module.COLUMNS)
    with little_memory() as (client, watcher):
        results, _ = run_and_kill(
            lambda: module.compute(client, flights, as_completed, lambda done, total: None),
            watcher,
            500,
        )
    for column, table in results.items():
        pd.testing.assert_frame_equal(table, module.sum_delays(column, flights))
