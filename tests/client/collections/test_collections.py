"""dask's own collections, unchanged, on a cluster."""

from __future__ import annotations

import operator
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask import delayed
from dask.highlevelgraph import HighLevelGraph

from shoal import Client, Future, futures_of, wait


def inc(x: int) -> int:
    return x + 1


def add(x: Any, y: Any) -> Any:
    return x + y


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"a": np.arange(60) % 7, "b": np.arange(60.0), "c": ["x", "y", "z"] * 20})


def test_array(client: Client) -> None:
    x = da.arange(100, chunks=7).reshape(10, 10).rechunk((3, 4))
    total = (x + x.T).sum(axis=0)
    assert (total.compute() == total.compute(scheduler="sync")).all()
    assert x.std().compute() == pytest.approx(np.arange(100).std())


def test_dataframe(client: Client, frame: pd.DataFrame) -> None:
    df = dd.from_pandas(frame, npartitions=5)
    grouped = df.groupby("c").b.mean()
    pd.testing.assert_series_equal(grouped.compute(), grouped.compute(scheduler="sync"))
    merged = df.merge(df, on="a").compute()
    assert len(merged) == len(frame.merge(frame, on="a"))
    shuffled = df.set_index("b").shuffle("a").map_partitions(lambda part: part + part).compute()
    assert shuffled.a.sum() == 2 * frame.a.sum()


def test_bag(client: Client) -> None:
    bag = db.from_sequence(range(50), npartitions=7)
    assert bag.map(lambda x: x * 2).filter(lambda x: x % 3 == 0).sum().compute() == 816
    assert dict(bag.frequencies(split_every=2).compute())[7] == 1
    assert sorted(bag.groupby(lambda x: x % 3).compute())[0][0] == 0


def test_delayed(client: Client) -> None:
    total = delayed(sum)([delayed(inc)(i) for i in range(10)])
    nested = delayed(lambda d: d["x"][0] + d["y"])({"x": [total, 1], "y": delayed(inc)(1)})
    assert nested.compute() == 57
    first, second = delayed(divmod, nout=2)(17, 5)
    assert dask.compute(first, second, 3) == (3, 2, 3)


class Tuple_:
    """A custom collection, by the documented protocol."""

    def __init__(self, dsk: Any, keys: list[str]) -> None:
        self._dsk = dsk
        self._keys = keys

    def __dask_graph__(self) -> Any:
        return self._dsk

    def __dask_keys__(self) -> list[str]:
        return self._keys

    def __dask_layers__(self) -> Any:
        return tuple(self._dsk.layers)

    @staticmethod
    def __dask_optimize__(dsk: Any, keys: Any, **kwargs: Any) -> Any:
        return dsk

    __dask_scheduler__ = staticmethod(dask.get)

    def __dask_postcompute__(self) -> Any:
        return tuple, ()

    def __dask_postpersist__(self) -> Any:
        return Tuple_._rebuild, (self._keys,)

    @staticmethod
    def _rebuild(dsk: Any, keys: list[str], rename: Any = None) -> Tuple_:
        return Tuple_(HighLevelGraph.from_collections("t", dsk), keys)

    def __dask_tokenize__(self) -> Any:
        return self._keys

    def compute(self, **kwargs: Any) -> Any:
        return dask.compute(self, **kwargs)[0]


def test_custom_collection(client: Client) -> None:
    dsk = {"t-a": 1, "t-b": (inc, "t-a"), "t-c": (add, "t-a", (inc, "t-b"))}
    own = Tuple_(HighLevelGraph.from_collections("t", dsk), ["t-b", "t-c"])
    assert own.compute() == (2, 4)
    persisted = client.persist(own)
    assert [f.key for f in futures_of(persisted)] == ["t-b", "t-c"]
    assert persisted.compute() == (2, 4)


def test_compute_gives_futures(client: Client) -> None:
    x = da.ones(10, chunks=5)
    future = client.compute(x.sum())
    assert isinstance(future, Future) and future.result() == 10
    one, two, three = client.compute([x.sum(), 5, {"d": delayed(inc)(1)}])
    assert (one.result(), two, three.result()) == (10, 5, {"d": 2})
    assert client.compute([x.sum(), delayed(inc)(1), x.max()], sync=True) == [10, 2, 1]
    assert client.compute(5) == 5
    assert client.compute([{"d": delayed(inc)(1)}], traverse=False)[0].keys() == {"d"}


def test_order_of_mixed_collections(client: Client) -> None:
    """dask itself mixes these results up."""
    x = da.arange(10, chunks=5)
    parts = [delayed(inc)(1), x.sum(), delayed(inc)(2), x.max(), db.from_sequence([4]).sum()]
    assert [f.result() for f in client.compute(parts)] == [2, 45, 3, 9, 4]
    assert client.gather(client.compute(client.persist(parts))) == [2, 45, 3, 9, 4]


def test_persist(client: Client, frame: pd.DataFrame) -> None:
    x = da.arange(20, chunks=5)
    df = dd.from_pandas(frame, npartitions=3)
    px, pdf, pd_, pbag = client.persist(
        [x + 1, df[df.a > 2], delayed(inc)(1), db.from_sequence([1, 2, 3]).map(inc)]
    )
    for collection, parts in ((px, 4), (pdf, 3), (pd_, 1)):
        futures = client.futures_of(collection)
        assert len(futures) == parts and all(isinstance(f, Future) for f in futures)
        wait(futures)
    assert px.sum().compute() == 210
    assert len(pdf) == len(frame[frame.a > 2])
    assert pdf.b.sum().compute() == frame[frame.a > 2].b.sum()
    assert pd_.compute() == 2 and pbag.compute() == [2, 3, 4]
    assert (x.persist() + 1).sum().compute() == 210
    (again,) = dask.persist(px)
    assert {f.key for f in futures_of(again)} == {f.key for f in futures_of(px)}


def test_futures_in_collections(client: Client, frame: pd.DataFrame) -> None:
    future = client.submit(inc, 1)
    assert delayed(add)(future, delayed(inc)(future)).compute() == 5
    assert delayed(sum)([future, [future, 1][0]]).compute() == 4
    parts = client.map(lambda i: frame.iloc[i * 20 : (i + 1) * 20], range(3))
    df = dd.from_delayed(parts, meta=frame.iloc[:0])
    assert df.b.sum().compute() == frame.b.sum()
    assert client.submit(operator.itemgetter(0), client.compute(da.ones(4, chunks=2))).result() == 1


def test_get(client: Client) -> None:
    dsk = {"x": 1, "y": (inc, "x"), ("z", 0): (add, "y", (inc, "x")), "a": "x", "l": ["x", "y"]}
    assert client.get(dsk, ["y", [("z", 0), "x"], "a", "l"]) == [2, [4, 1], 1, [1, 2]]
    assert client.get(dsk, ("z", 0)) == 4
    future = client.get(dsk, [["y"]], sync=False)
    assert isinstance(future[0][0], Future) and client.gather(future) == [[2]]
    layers = HighLevelGraph.from_collections("own", {"own": (inc, 4)})
    assert client.get(layers, "own") == 5
    assert client.get(da.ones(3, chunks=3).sum().__dask_graph__(), []) == []
    with pytest.raises(KeyError, match="'nope' is not in the graph"):
        client.get(dsk, ["nope"])
    with pytest.raises(TypeError, match="not a graph but a int"):
        client.get(3, ["x"])


def test_collections_to_dsk_and_normalize_collection(client: Client) -> None:
    x = delayed(inc)(1, dask_key_name="norm-x")
    y = delayed(inc)(x, dask_key_name="norm-y")
    assert set(Client.collections_to_dsk([y])) >= {"norm-x", "norm-y"}
    assert client.normalize_collection(y) is y
    future = client.compute(x)
    normal = client.normalize_collection(y)
    graph = dict(normal.__dask_graph__())
    assert isinstance(graph["norm-x"], Future) and graph["norm-x"].key == future.key
    assert normal.compute() == 3
