"""Examples of the docstrings of `Client` in `futures-api.txt`: data, where it is, and notes."""

from __future__ import annotations

import gc
import re
import sys
from operator import add
from time import time

import dask.dataframe as dd
from helpers import wait_until

from shoal import Client, Event, wait


def inc(x):
    return x + 1


FINISHED = "<Future: status: finished, type: int, key: .*>"


def test_scatter_docstring(c: Client) -> None:
    assert re.fullmatch(FINISHED, repr(c.scatter(1)))
    scattered = c.scatter([1, 2, 3])
    assert [re.fullmatch(FINISHED, repr(future)) is None for future in scattered] == [False] * 3
    scattered = c.scatter({"x": 1, "y": 2, "z": 3})
    assert {name: future.key for name, future in scattered.items()} == {
        "x": "x",
        "y": "y",
        "z": "z",
    }

    # Broadcast data to all workers
    element = "reference element"
    [future] = c.scatter([element], broadcast=True)
    assert set(c.who_has([future])[future.key]) == set(c.nthreads())

    # Send scattered data to parallelized function using client futures interface
    data = list(range(100))
    data = c.scatter([data], broadcast=True)[0]
    res = [c.submit(lambda data, i: data[i], data, i) for i in range(100)]
    assert c.gather(res) == list(range(100))


def test_scatter_to_hosts_and_ports() -> None:
    with Client(processes=False, n_workers=2, protocol="tcp", dashboard_address=None) as c:
        address, _ = c.nthreads()
        host, port = address.removeprefix("tcp://").rsplit(":", 1)
        # Constrain location of data to subset of workers
        futures = c.scatter([1, 2, 3], workers=[(host, int(port))])
        assert {tuple(found) for found in c.who_has(futures).values()} == {(address,)}


def test_gather(client: Client) -> None:
    x, y = client.map(inc, [1, 2])
    assert client.gather({"a": [x], "b": (y, 5)}) == {"a": [2], "b": (3, 5)}
    bad = client.submit(inc, "no number")
    assert client.gather([x, bad], errors="skip") == [2]
    assert client.gather([x, y], direct=True) == client.gather([x, y], direct=False) == [2, 3]


def test_gather_docstring(c: Client) -> None:
    x = c.submit(add, 1, 2)
    assert c.gather(x) == 3
    assert c.gather([x, [x], x]) == [3, [3], 3]  # support lists and dicts


def test_has_what_docstring(c: Client) -> None:
    x, y, z = c.map(inc, [1, 2, 3])
    wait([x, y, z])
    held = c.has_what()
    assert set(held) == set(c.nthreads())
    assert {x.key, y.key, z.key} <= {key for keys in held.values() for key in keys}


def test_who_has_docstring(c: Client) -> None:
    x, y, z = c.map(inc, [1, 2, 3])
    wait([x, y, z])
    assert {x.key, y.key, z.key} <= set(c.who_has())
    where = c.who_has([x, y])
    assert set(where) == {x.key, y.key}
    assert all(set(found) <= set(c.nthreads()) for found in where.values())


def test_nbytes_docstring() -> None:
    with Client(processes=False, n_workers=1, dashboard_address=None) as c:
        x, y, z = c.map(inc, [1, 2, 3])
        wait([x, y, z])
        size = sys.getsizeof(2)
        assert c.nbytes(summary=False) == {x.key: size, y.key: size, z.key: size}
        assert c.nbytes(summary=True) == {"inc": 3 * size}


def test_ncores_and_nthreads(c: Client) -> None:
    assert c.ncores() == c.nthreads()
    assert list(c.nthreads().values()) == [2, 2]
    first, _ = c.nthreads()
    assert c.nthreads([first]) == {first: 2}


def test_processing_docstring(c: Client) -> None:
    gate = Event("reference-processing")
    x, y, z = c.map(lambda x: gate.wait(), [1, 2, 3])
    keys = {x.key, y.key, z.key}

    def running():
        return {key for found in c.processing().values() for key in found}

    wait_until(lambda: running() == keys)
    assert set(c.processing()) == set(c.nthreads())

    def of_scheduler(dask_scheduler):  # `%scheduler scheduler.processing` in a notebook
        return dask_scheduler.processing

    found = c.run_on_scheduler(of_scheduler)
    assert {worker: set(keys) for worker, keys in c.processing().items()} == found
    gate.set()
    wait([x, y, z])


def test_replicate_docstring() -> None:
    args = (1,)
    with Client(processes=False, n_workers=3, dashboard_address=None) as c:
        addresses = list(c.nthreads())
        alice, bob = (worker["name"] for worker in list(c.scheduler_info()["workers"].values())[:2])

        def copies(x):
            return set(c.who_has([x])[x.key])

        x = c.submit(inc, *args)
        c.replicate([x])  # send to all workers
        assert copies(x) == set(addresses)
        c.replicate([x], n=1)  # reduce replications
        assert len(copies(x)) == 1
        c.replicate([x], n=3)  # send to three workers
        assert len(copies(x)) == 3
        c.replicate([x], n=1)
        c.replicate([x], workers=[alice, bob])  # send to specific
        assert set(addresses[:2]) <= copies(x)
        c.replicate([x], n=1, workers=[alice, bob])  # send to one of specific workers
        assert len(copies(x) & set(addresses[:2])) == 1


def test_rebalance(client: Client) -> None:
    futures = client.scatter(list(range(20)), workers=list(client.nthreads())[:1])
    client.rebalance(futures)
    assert client.gather(futures) == list(range(20))
    client.rebalance()


def test_datasets_docstring(c: Client, tmp_path) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n2\n")
    # Publishing client
    df = dd.read_csv(tmp_path / "a.csv")
    df = c.persist(df)
    c.publish_dataset(my_dataset=df)
    # What is alive here dask would take for what is read: the receiver is another process there.
    del df
    gc.collect()
    # Receiving client
    with Client(c.scheduler.address, set_as_default=False) as receiving:
        assert list(receiving.list_datasets()) == ["my_dataset"]
        df2 = receiving.get_dataset("my_dataset")
        assert receiving.compute(df2["x"].sum(), sync=True) == 3
    c.unpublish_dataset("my_dataset")
    assert list(c.list_datasets()) == []
    df = c.persist(dd.read_csv(tmp_path / "a.csv"))
    # Alternative invocation
    c.publish_dataset(df, name="my_dataset")
    assert list(c.list_datasets()) == ["my_dataset"]
    c.unpublish_dataset("my_dataset")
    assert c.get_dataset("my_dataset", default=None) is None


def test_metadata_docstring(client: Client) -> None:
    client.set_metadata(["a", "b", "c"], 123)

    def the_same_as(dask_scheduler):
        return dask_scheduler.task_metadata["a"]["b"]["c"]

    assert client.run_on_scheduler(the_same_as) == 123

    client.set_metadata("x", 123)
    assert client.get_metadata("x") == 123
    client.set_metadata(["x", "y"], 123)
    assert client.get_metadata("x") == {"y": 123}
    client.set_metadata(["x", "w", "z"], 456)
    assert client.get_metadata("x") == {"y": 123, "w": {"z": 456}}
    assert client.get_metadata(["x", "w"]) == {"z": 456}


def test_metadata_goes_with_its_task(client: Client) -> None:
    future = client.submit(inc, 1, key="reference-noted")
    future.result()
    client.set_metadata("reference-noted", "of a task")
    assert client.get_metadata("reference-noted") == "of a task"
    del future
    wait_until(lambda: client.get_metadata("reference-noted", default=None) is None)


def test_events_docstring(client: Client) -> None:
    heard = []
    client.subscribe_topic("current-time", heard.append)
    now = time()
    client.log_event("current-time", now)
    wait_until(lambda: heard)
    ((timestamp, message),) = client.get_events("current-time")
    assert message == now and abs(timestamp - now) < 60
    assert heard[0][1] == now
    assert "current-time" in client.get_events()
    client.unsubscribe_topic("current-time")
