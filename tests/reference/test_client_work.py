"""Examples of the docstrings of `Client` in `futures-api.txt`: start, submit, compute, persist."""

from __future__ import annotations

import re
from operator import add

import dask.dataframe as dd
import pandas as pd
import pytest
from dask import delayed
from helpers import wait_until

from shoal import Client, Event, Future, futures_of, get_client, wait


def inc(x):
    return x + 1


def test_client_docstring() -> None:
    with Client(
        processes=False,
        n_workers=1,
        protocol="tcp",
        dashboard_address=None,
        set_as_default=False,
    ) as cluster:
        address = cluster.scheduler.address.removeprefix("tcp://")
        client = Client(address)  # '127.0.0.1:8786' there: no scheme
        a = client.submit(add, 1, 2)
        b = client.submit(add, 10, 20)
        c = client.submit(add, a, b)
        assert client.gather(c) == 33
        assert Client.current() is client
        client.close()


@pytest.mark.process
def test_keywords_are_the_cluster_s() -> None:
    with Client(n_workers=2, threads_per_worker=4, dashboard_address=None) as client:
        assert list(client.nthreads().values()) == [4, 4]


def test_as_current(client: Client) -> None:
    with Client(client.scheduler.address, set_as_default=False) as other:
        assert Client.current() is client
        with other.as_current():
            assert Client.current() is other
            assert Client.current(allow_global=False) is other
        # The block of the fixture's own `with` is the context again.
        assert Client.current(allow_global=False) is client


def test_submit_docstring(client: Client) -> None:
    a, b = 1, 2
    c = client.submit(add, a, b)
    assert c.result() == 3


def test_map_docstring(client: Client) -> None:
    func, sequence = inc, range(5)
    L = client.map(func, sequence)
    assert client.gather(L) == [1, 2, 3, 4, 5]
    assert client.gather(
        client.map(func, sequence, batch_size=2, key="in-batches")
    ) == client.gather(L)


def test_compute_docstring(client: Client) -> None:
    x = delayed(add)(1, 2)
    y = delayed(add)(x, x)
    xx, yy = client.compute([x, y])
    wait([xx, yy])
    assert re.fullmatch("<Future: status: finished, type: int, key: add-[0-9a-f-]+>", repr(xx))
    assert xx.result() == 3
    assert yy.result() == 6

    xx = client.compute(x)
    assert isinstance(xx, Future) and xx.result() == 3
    assert client.compute(x, sync=True) == 3


def test_persist_docstring(client: Client) -> None:
    x, y = delayed(add)(1, 2), delayed(add)(3, 4)
    xx = client.persist(x)
    assert xx.compute() == 3
    xx, yy = client.persist([x, y])
    assert (xx.compute(), yy.compute()) == (3, 7)


def test_get_docstring(c: Client) -> None:
    assert c.get({"x": (add, 1, 2)}, "x") == 3
    assert c.get({"x": (add, 1, 2)}, "x", sync=False).result() == 3


def test_normalize_collection_docstring(client: Client) -> None:
    parts = [delayed(inc)(i, dask_key_name=f"part-{i}") for i in range(99)]
    x = delayed(sum)(parts)  # a dask collection with 100 tasks
    before = len(x.__dask_graph__())
    ten = client.compute(parts[:10], optimize_graph=False)
    # some overlap exists
    assert len(set(client.futures).intersection(x.__dask_graph__())) == 10
    assert {client.futures[future.key].status for future in wait(ten).done} == {"finished"}
    x = client.normalize_collection(x)
    assert len(x.__dask_graph__()) <= before  # computational graph, its known parts futures
    assert x.compute() == sum(range(1, 100))


def test_collections_to_dsk(client: Client) -> None:
    x = delayed(add)(1, 2)
    dsk = Client.collections_to_dsk([x])
    assert x.key in dict(dsk)


def test_call_stack_docstring(client: Client) -> None:
    gate = Event("reference-call-stack")

    def waiting(part):
        gate.wait()
        return part

    df = dd.from_pandas(pd.DataFrame({"x": range(4)}), npartitions=2)
    df = df.map_partitions(waiting, meta=df._meta).persist()

    def at_work(*args):
        return "waiting" in str(client.call_stack(*args))

    wait_until(lambda: at_work(df))  # call on collections
    assert at_work()  # Or call with no arguments for all activity
    gate.set()
    wait(df)
    wait_until(lambda: client.call_stack() == {})


def test_executor(client: Client) -> None:
    with client.get_executor(retries=1) as executor:
        assert executor.submit(pow, 2, 3).result() == 8
        assert list(executor.map(inc, range(3))) == [1, 2, 3]


def test_start_is_done_already(client: Client) -> None:
    client.start()
    assert client.submit(inc, 1).result() == 2


def test_retry(client: Client) -> None:
    switch = {"fails": True}

    def flaky():
        assert not get_client().get_metadata("reference-flaky"), "not yet"
        return "done"

    client.set_metadata("reference-flaky", switch["fails"])
    futures = [client.submit(flaky, pure=False) for _ in range(2)]
    assert {type(future.exception()) for future in futures} == {AssertionError}
    client.set_metadata("reference-flaky", False)
    client.retry(futures[:1])
    futures[1].retry()
    assert client.gather(futures) == ["done", "done"]


def test_a_data_frame_may_stand_for_its_futures(client: Client) -> None:
    df = dd.from_pandas(pd.DataFrame({"x": range(4)}), npartitions=2).persist()
    wait(df)
    futures = futures_of(df)
    assert set(client.who_has(df)) == {future.key for future in futures} and len(futures) == 2
    client.cancel(df)
    assert [future.status for future in futures] == ["cancelled"] * 2
