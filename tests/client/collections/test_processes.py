"""Collections on worker processes, some of which die."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask import delayed
from helpers import wait_until

from shoal import Client, LocalCluster

pytestmark = pytest.mark.process


def slowly(x: Any) -> Any:
    end = time.monotonic() + 0.02
    while time.monotonic() < end:  # busy, as tests do not sleep
        pass
    return x


class Point:
    def __init__(self, x: int) -> None:
        self.x = x


def shift(point: Point) -> Point:
    return Point(point.x + 1)


def test_collections_survive_workers_that_die() -> None:
    x = da.arange(400, chunks=10).map_blocks(slowly)
    frame = pd.DataFrame({"a": np.arange(300) % 5, "b": np.arange(300.0)})
    df = dd.from_pandas(frame, npartitions=20).map_partitions(slowly)
    bag = db.from_sequence(range(200), npartitions=40).map_partitions(slowly)
    wanted = [(x + x.sum()).sum(), df.groupby("a").b.sum(), bag.frequencies(), bag.sum()]
    expected = dask.compute(*wanted[2:], scheduler="sync")
    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster, Client(cluster) as client:
        client.wait_for_workers(2)
        pids = client.run(os.getpid)
        kept = client.persist(x)
        futures = client.compute(wanted)
        wait_until(lambda: sum(map(len, client.has_what().values())) > 10)
        os.kill(next(iter(pids.values())), signal.SIGKILL)
        results = client.gather(futures)
        assert results[0] == 400 * 79800 + 79800
        pd.testing.assert_series_equal(
            results[1].sort_index(), frame.groupby("a").b.sum(), check_dtype=False
        )
        assert sorted(results[2]) == sorted(expected[0]) and results[3] == expected[1]
        assert kept.sum().compute() == 79800


def test_functions_and_classes_of_tests_travel() -> None:
    with LocalCluster(n_workers=1, threads_per_worker=1) as cluster, Client(cluster):
        factor = 3
        assert db.from_sequence([1, 2], npartitions=2).map(lambda x: x * factor).compute() == [3, 6]
        point = delayed(shift)(delayed(shift)(Point(1)))
        assert point.x.compute() == 3
        big = np.arange(50_000)
        parts = [delayed(lambda a, i: int(a[i]))(big, i) for i in range(20)]
        assert list(dask.compute(*parts)) == list(range(20))
        zero = delayed(lambda: 1 / 0)(dask_key_name="zero")
        with pytest.raises(ZeroDivisionError) as info:
            delayed(abs)(zero).compute()
        assert info.value.__notes__ == ["Raised by the task 'zero'"]
        with pytest.raises(ZeroDivisionError, match=r"^division by zero$"):  # notes would be seen
            zero.compute()
