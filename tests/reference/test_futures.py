"""Examples of `futures-api.txt`: Start Dask Client, Submit Tasks, Move Data, References."""

from __future__ import annotations

import gc
import re

import numpy as np
import pandas as pd
import pytest
from helpers import wait_until

from shoal import CancelledError, Client, Event


def inc(x):
    return x + 1


def add(x, y):
    return x + y


def div(x, y):
    return x / y


def my_function(df):
    return len(df)


KEY = "-[0-9a-f]{32}"


@pytest.mark.process
def test_start_client_with_processes() -> None:
    client = Client(dashboard_address=None)  # start local workers as processes
    try:
        assert client.submit(inc, 10).result() == 11
        assert client.cluster is not None
    finally:
        client.close()


def test_start_client_with_threads() -> None:
    client = Client(processes=False)  # start local workers as threads
    assert client.submit(inc, 10).result() == 11
    client.close()
    assert client.status == "closed"


def test_submit(client: Client) -> None:
    gate = Event("reference-submit")

    def inc(x):
        gate.wait()
        return x + 1

    a = client.submit(inc, 10)  # calls inc(10) in background thread or process
    b = client.submit(inc, 20)  # calls inc(20) in background thread or process
    assert re.fullmatch(f"<Future: status: pending, key: inc{KEY}>", repr(a))
    gate.set()
    assert a.result() == 11  # blocks until task completes and data arrives
    assert re.fullmatch(f"<Future: status: finished, type: int, key: inc{KEY}>", repr(a))

    c = client.submit(add, a, b)  # calls add on the results of a and b
    assert c.result() == 32


def test_map(client: Client) -> None:
    futures = client.map(inc, range(1000))
    assert client.gather(futures) == list(range(1, 1001))


def test_gather(client: Client) -> None:
    futures = client.map(inc, range(5))
    results = [future.result() for future in futures]
    assert client.gather(futures) == results == [1, 2, 3, 4, 5]


def test_local_data(client: Client, tmp_path) -> None:
    (tmp_path / "training-data.csv").write_text("name,amount\nAlice,1\nBob,2\n")
    df = pd.read_csv(tmp_path / "training-data.csv")
    future = client.submit(my_function, df)
    assert future.result() == 2

    remote_df = client.scatter(df)
    shown = "<Future: status: finished, type: (pandas.*)?DataFrame, key: .*>"
    assert re.fullmatch(shown, repr(remote_df))
    future = client.submit(my_function, remote_df)
    assert future.result() == 2


def test_scatter_a_list(client: Client) -> None:
    futures = client.scatter([1, 2, 3])
    assert isinstance(futures, list)
    for future in futures:
        assert re.fullmatch("<Future: status: finished, type: int, key: .*>", repr(future))
    assert client.gather(futures) == [1, 2, 3]
    # "spread evenly throughout workers in a round-robin fashion"
    holders = client.who_has(client.scatter([np.arange(10) + i for i in range(4)]))
    assert sorted(map(list, holders.values())) == sorted([[w] for w in client.nthreads()] * 2)


def test_del_future(client: Client) -> None:
    future = client.submit(inc, 10, key="reference-del")
    future.result()
    key = future.key
    assert client.who_has()[key]
    del future  # deletes remote data once future is garbage collected
    gc.collect()
    wait_until(lambda: not client.who_has().get(key))


def test_cancel(client: Client) -> None:
    future = client.submit(inc, 10, key="reference-cancel")
    future.result()
    future.cancel()  # deletes data even if other futures point to it
    wait_until(lambda: not client.who_has().get("reference-cancel"))
    assert future.cancelled()
    with pytest.raises(CancelledError):
        future.result()
    futures = client.map(inc, [100, 101])
    client.cancel(futures)
    assert all(future.cancelled() for future in futures)


def test_errors(client: Client) -> None:
    a = client.submit(div, 1, 0)  # 1 / 0 raises a ZeroDivisionError
    with pytest.raises(ZeroDivisionError, match="division by zero") as info:
        a.result()
    assert re.fullmatch(f"<Future: status: error, key: div{KEY}>", repr(a))
    assert "return x / y" in [str(line.statement).strip() for line in info.traceback]

    # All futures that depend on an erred future also err with the same exception
    b = client.submit(inc, a)
    assert isinstance(b.exception(), ZeroDivisionError)
    assert re.fullmatch(f"<Future: status: error, key: inc{KEY}>", repr(b))
    assert b.traceback() is not None
