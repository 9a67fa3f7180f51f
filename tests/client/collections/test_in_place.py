"""dask's graphs of shuffles as tasks that read their inputs in place."""

from __future__ import annotations

from typing import Any

import dask
import pytest
from dask._task_spec import Task, fuse_linear_task_spec

from shoal import Client
from shoal.client.collections import in_place
from shoal.client.collections.graphs import materialize
from shoal.client.collections.in_place import ranges, read_in_place

np: Any = pytest.importorskip("numpy")
pd: Any = pytest.importorskip("pandas")
dd: Any = pytest.importorskip("dask.dataframe")


def frame(npartitions: int = 5, rows: int = 200) -> Any:
    rng = np.random.default_rng(0)
    made = pd.DataFrame({"k": rng.integers(0, 50, rows), "x": rng.random(rows)})
    return dd.from_pandas(made, npartitions=npartitions, sort=False)


def graph_of(collection: Any) -> dict[Any, Any]:
    graph, _, _ = materialize(collection.optimize().expr)
    return graph


def by_prefix(graph: dict[Any, Any], prefix: str) -> list[Any]:
    return [key for key in graph if type(key) is tuple and key[0].startswith(prefix)]


def test_outputs_depend_on_inputs(client: Client) -> None:
    graph = graph_of(frame().shuffle("k"))
    reads = read_in_place(graph)
    transfers = set(by_prefix(graph, "shuffle-transfer"))
    outputs = by_prefix(graph, "p2pshuffle")
    assert len(transfers) == len(outputs) == 5
    for key in outputs:
        assert graph[key].dependencies == reads[key] == transfers
    assert set(reads) == set(outputs)


def test_both_sides_of_a_join_meet_in_one_task(client: Client) -> None:
    df = frame()
    graph = graph_of(df.merge(frame(3), on="k", broadcast=False))
    reads = read_in_place(graph)
    assert {len(read) for read in reads.values()} == {8}


def test_tasks_that_dask_has_fused(client: Client) -> None:
    shuffled = frame().shuffle("k")
    graph = graph_of(shuffled + 1)
    keys = list(dask.core.flatten((shuffled + 1).optimize().__dask_keys__()))
    fused = fuse_linear_task_spec(graph, set(keys))
    assert len(fused) != len(graph)
    reads = read_in_place(fused)
    assert reads and all(read <= fused[key].dependencies for key, read in reads.items())
    got = pd.concat(client.get(fused, keys, sync=True))
    want = frame().compute(scheduler="sync") + 1
    pd.testing.assert_frame_equal(got.sort_index(), want.sort_index())


def test_some_of_the_outputs(client: Client) -> None:
    shuffled = frame().shuffle("k")
    want = [part.compute() for part in shuffled.partitions]
    some = shuffled.partitions[[3, 1]].compute()
    pd.testing.assert_frame_equal(some, pd.concat([want[3], want[1]]))


def test_very_many_go_by_way_of_groups(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    want = frame(7).shuffle("k", npartitions=11).compute()
    joined = frame(7).merge(frame(6), on="k", broadcast=False)
    wanted = joined.compute()
    monkeypatch.setattr(in_place, "MOST", 20)
    graph = graph_of(frame(7).shuffle("k", npartitions=11))
    reads = read_in_place(graph)
    assert len(by_prefix(graph, "shuffle-regroup")) == 3 * 3
    assert max(map(len, reads.values())) == 3
    pd.testing.assert_frame_equal(frame(7).shuffle("k", npartitions=11).compute(), want)
    pd.testing.assert_frame_equal(joined.compute(), wanted)


def test_plain_graphs_are_left_alone(client: Client) -> None:
    graph = {"a": Task("a", abs, -1)}
    same = dict(graph)
    assert read_in_place(graph) == {} and graph == same


def test_ranges() -> None:
    assert ranges([], frozenset()) == ()
    assert ranges(["a", "b"], frozenset("ab")) == (0, 2)
    assert ranges(["a", "x", "b", "y"], frozenset("ab")) == (0, 1, 2, 3)
    assert ranges(["x", "a", "b", "y"], frozenset("ab")) == (1, 3)


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_without_a_cluster_it_is_done_in_this_process(client: Client, scheduler: str) -> None:
    df = frame()
    shuffled = df.shuffle("k")
    pd.testing.assert_frame_equal(shuffled.compute(scheduler=scheduler), shuffled.compute())
    joined = df.merge(frame(3), on="k", broadcast=False)
    pd.testing.assert_frame_equal(joined.compute(scheduler=scheduler), joined.compute())
