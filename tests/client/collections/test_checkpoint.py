"""Results of graphs that outlive their cluster: by annotation, by argument, as checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from shoal import Client, LocalCluster, Store, checkpoint
from shoal.cache.store import _backends
from shoal.client.collections.graphs import materialize
from shoal.client.collections.structure import Structure


class Calls:
    """What was noted; it counts as nothing where a function refers to it."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def __dask_tokenize__(self) -> str:
        return "calls"

    def append(self, value: Any) -> None:
        self.made.append(value)

    def clear(self) -> None:
        self.made.clear()

    def __len__(self) -> int:
        return len(self.made)

    def __eq__(self, other: object) -> bool:
        return self.made == other

    __hash__ = None  # type: ignore[assignment]


CALLS = Calls()


@pytest.fixture
def client() -> Iterator[Client]:
    CALLS.clear()
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def note(x: Any) -> Any:
    CALLS.append(x)
    return x


def calls_of(function: Any) -> int:
    """How often tasks ran while a function is called."""
    for backend in _backends.values():
        backend.writer.flush()
        backend.reader.forget()
    before = len(CALLS)
    function()
    return len(CALLS) - before


def test_calls_of_submit_and_map(client: Client, tmp_path: Path) -> None:
    def run() -> None:
        futures = client.map(note, range(10), cache=tmp_path, pure=False)
        assert client.gather(futures) == list(range(10))

    assert calls_of(run) == 10
    assert calls_of(run) == 0
    assert calls_of(lambda: client.submit(note, 3, cache=Store(tmp_path), pure=False).result()) == 0
    with dask.annotate(cache=str(tmp_path)):
        assert calls_of(lambda: client.submit(note, 3, pure=False).result()) == 0
        assert calls_of(lambda: client.gather(client.map(note, [3, 4], pure=False))) == 0
    assert client.submit(note, 3, cache=tmp_path).key.startswith("note-")


def test_of_futures_the_values_count(client: Client, tmp_path: Path) -> None:
    for _ in range(2):
        future = client.submit(np.arange, 1000, pure=False)
        found = client.submit(note, future, cache=tmp_path, pure=False).result()
        assert found.sum() == 499500
        calls_of(lambda: None)
    assert len(CALLS) == 1


def test_a_function_that_takes_a_cache_itself_is_given_it(client: Client) -> None:
    assert client.submit(lambda x, cache: cache, 1, cache="mine").result() == "mine"


def test_annotated_tasks_are_kept_and_what_only_they_need_does_not_run(
    client: Client, tmp_path: Path
) -> None:
    def run() -> None:
        source = dask.delayed(note, pure=False)(1)
        with dask.annotate(cache=str(tmp_path)):
            middle = dask.delayed(lambda x: note(x) + 1, pure=False)(source)
        end = dask.delayed(lambda x: note(x) * 10, pure=False)(middle)
        assert client.compute(end, sync=True) == 20

    assert calls_of(run) == 3
    assert calls_of(run) == 1


@pytest.mark.parametrize("verb", ["compute", "persist", "get"])
def test_the_call_says_where_its_results_are_kept(
    client: Client, tmp_path: Path, verb: str
) -> None:
    def run() -> None:
        x = dask.delayed(note, pure=False)(dask.delayed(note, pure=False)(5))
        if verb == "compute":
            assert client.compute(x, sync=True, cache=tmp_path) == 5
        elif verb == "persist":
            assert client.compute(client.persist(x, cache=tmp_path), sync=True) == 5
        else:
            assert client.get({"a": (note, 5), "b": (note, "a")}, "b", cache=tmp_path) == 5

    assert calls_of(run) == 2
    assert calls_of(run) == 0


def make_array() -> Any:
    return da.arange(100, chunks=10).map_blocks(note, dtype=int, meta=np.array([], dtype=int)) + 1


def make_frame() -> Any:
    frame = pd.DataFrame({"a": range(20)})
    return dd.from_pandas(frame, npartitions=4).map_partitions(note, meta=frame)


def make_bag() -> Any:
    return db.from_sequence(range(20), npartitions=4).map_partitions(note)


@pytest.mark.parametrize("make", [make_array, make_frame, make_bag])
def test_checkpoints_of_collections(client: Client, tmp_path: Path, make: Any) -> None:
    def value() -> Any:
        return checkpoint(make(), tmp_path).compute()

    before = make().compute()
    found: list[Any] = []
    assert calls_of(lambda: found.append(value())) > 0
    assert calls_of(lambda: found.append(value())) == 0
    for each in found:
        assert type(each) is type(before)
        assert np.array_equal(np.asarray(each), np.asarray(before))


def test_a_part_that_is_there_is_not_computed(client: Client, tmp_path: Path) -> None:
    x = make_array()
    assert calls_of(lambda: checkpoint(x[:30], tmp_path).compute()) == 3
    kept = checkpoint(make_array(), tmp_path)
    assert calls_of(lambda: kept.sum().compute()) == 10
    assert calls_of(lambda: checkpoint(make_array(), tmp_path).mean().compute()) == 0


def test_it_works_without_a_cluster(tmp_path: Path) -> None:
    CALLS.clear()
    for _ in range(2):
        assert checkpoint(make_array(), tmp_path).sum().compute(scheduler="sync") == 5050
        calls_of(lambda: None)
    assert len(CALLS) == 10


def test_what_needs_a_future_is_computed_and_it_is_said(
    client: Client, tmp_path: Path, caplog: Any
) -> None:
    caplog.set_level(logging.WARNING)
    x = client.persist(make_array())
    assert client.compute((x + 1).sum(), sync=True, cache=tmp_path) == 5150
    assert "is not kept" in caplog.text


def test_names_say_what_is_computed() -> None:
    def name(value: Any) -> str:
        graph, _, _ = materialize(value)
        [key] = value.__dask_keys__()
        return Structure(graph).name(key)

    def one(x: Any = 1) -> Any:
        return dask.delayed(note, pure=False)(dask.delayed(abs, pure=False)(x))

    assert name(one()) == name(one())
    assert name(one()) != name(one(2))
    assert name(one()) != name(dask.delayed(abs)(dask.delayed(abs)(1)))
    assert name(dask.delayed(sum)([one(), 2])) == name(dask.delayed(sum)([one(), 2]))
    assert name(dask.delayed(sum)([one(), 2])) != name(dask.delayed(sum)([2, one()]))


def test_what_is_no_collection_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="takes a dask collection, not int"):
        checkpoint(5, tmp_path)
