"""Shuffles on clusters of processes: by shared memory, over the network, with workers that die."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
from helpers import wait_until

from shoal import Client, LocalCluster
from shoal.shuffle.counters import COUNTERS

np: Any = pytest.importorskip("numpy")
pd: Any = pytest.importorskip("pandas")
dd: Any = pytest.importorskip("dask.dataframe")
pytestmark = pytest.mark.process

ROWS = 60_000  # three columns of it are over 1 MiB, so that they are shared


def part(i: int, folder: str, rows: int = ROWS) -> Any:
    """Make one input, and note that it was made."""
    path = Path(folder) / f"{i}-{os.getpid()}"
    path.write_text(path.read_text() + "x" if path.exists() else "x")
    rng = np.random.default_rng(i)
    columns = {f"c{j}": rng.random(rows) for j in range(4)}
    return pd.DataFrame({"k": rng.integers(0, 1000, rows), "i": i, **columns})


def made(folder: Path) -> int:
    return sum(len(path.read_text()) for path in folder.iterdir())


def frame(folder: Path, count: int = 12) -> Any:
    meta = pd.DataFrame({"k": [1], "i": [1], **{f"c{j}": [0.5] for j in range(4)}})
    return dd.from_map(part, range(count), folder=str(folder), meta=meta, enforce_metadata=False)


def sums(frame: Any) -> Any:
    return frame.groupby("k")[["i", "c0"]].sum()


def expected(folder: Path, count: int = 12) -> Any:
    return sums(pd.concat([part(i, str(folder)) for i in range(count)]))


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


def counted(client: Client) -> dict[str, float]:
    """Return the counters of all workers together."""
    found = client.run(_snapshot)
    return {name: sum(one[name] for one in found.values()) for name in COUNTERS.snapshot()}


def _snapshot() -> dict[str, float]:
    return COUNTERS.snapshot()


def test_no_bytes_are_sent_on_one_host(cluster: LocalCluster, tmp_path: Path) -> None:
    with Client(cluster) as client:
        out = sums(frame(tmp_path).shuffle("k")).compute()
        numbers = counted(client)
    pd.testing.assert_frame_equal(out.sort_index(), expected(tmp_path))
    assert numbers["written"] == 12 and numbers["shared"] > 0 and numbers["own"] > 0
    assert numbers["sent"] == numbers["files"] == 0


def test_a_worker_that_dies_costs_its_share(cluster: LocalCluster, tmp_path: Path) -> None:
    with Client(cluster) as client:
        df = frame(tmp_path)
        future = client.compute(df.shuffle("k").map_partitions(slowly, meta=df._meta))
        wait_until(lambda: counted(client)["read"] >= 2)  # all inputs are there, outputs run
        victim, held = max(
            (
                (a, sum("transfer" in str(key) for key in keys))
                for a, keys in client.has_what().items()
            ),
            key=lambda row: row[1],
        )
        os.kill(client.run(os.getpid, workers=[victim])[victim], signal.SIGKILL)
        out = sums(future.result(timeout=60))
    assert made(tmp_path) <= 12 + held + 1
    pd.testing.assert_frame_equal(out.sort_index(), expected(tmp_path))


def slowly(frame: Any) -> Any:
    time.sleep(0.1)  # so that some outputs are still to come
    return frame


def test_hosts_that_share_no_memory(tmp_path: Path) -> None:
    with (
        dask.config.set({"shoal.shared-memory.from": None}),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        df = frame(tmp_path, 3)
        out = sums(df.shuffle("k")).compute()
        both = df[["k", "i"]].merge(df[["k", "c0"]], on="k", broadcast=False)
        count = both.map_partitions(len, meta=("n", "i8")).compute().sum()
        numbers = counted(client)
    pd.testing.assert_frame_equal(out.sort_index(), expected(tmp_path, 3))
    keys = pd.concat([part(i, str(tmp_path)).k for i in range(3)]).value_counts()
    assert count == (keys**2).sum()
    assert numbers["sent"] > 0 and numbers["shared"] == 0


def test_workers_come_and_go_meanwhile(cluster: LocalCluster, tmp_path: Path) -> None:
    with Client(cluster) as client:
        df = frame(tmp_path)
        future = client.compute(df.shuffle("k").map_partitions(slowly, meta=df._meta))
        wait_until(lambda: counted(client)["read"] >= 2)
        cluster.scale(4)
        leaving = next(iter(client.has_what()))
        client.retire_workers([leaving])
        out = sums(future.result(timeout=60))
    assert made(tmp_path) == 12  # data moved before its worker left
    pd.testing.assert_frame_equal(out.sort_index(), expected(tmp_path))


def test_more_than_memory(tmp_path: Path) -> None:
    """Inputs go to disk, and their parts are read from there."""
    count, rows = 30, 400_000  # 576 MB
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit="400MB", dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        df = frame(tmp_path, count).map_partitions(enlarge, rows)
        total = df.shuffle("k").map_partitions(len, meta=("n", "i8")).compute()
        numbers = counted(client)
        assert len(client.scheduler_info()["workers"]) == 2
    assert total.sum() == count * rows
    assert made(tmp_path) == count  # no worker died
    assert numbers["files"] > 0


def enlarge(frame: Any, rows: int) -> Any:
    return pd.concat([frame] * (-(-rows // len(frame))), ignore_index=True).iloc[:rows]
