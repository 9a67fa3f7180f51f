"""Whatever dask's synchronous scheduler says of a graph or a collection, a cluster says."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import numpy as np
import pytest
from dask import delayed
from dask._task_spec import (
    Alias,
    DataNode,
    Dict,
    List,
    Set,
    Task,
    TaskRef,
    Tuple,
    convert_legacy_graph,
    fuse_linear_task_spec,
)
from dask.highlevelgraph import HighLevelGraph
from helpers import wait_until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal import Client, wait

_SETTINGS = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def total(*values: Any, start: int = 0) -> int:
    """Add up all numbers anywhere inside."""
    result = start
    for value in values:
        if isinstance(value, dict):
            result += total(*value.keys(), *value.values())
        elif isinstance(value, (list, tuple, set, frozenset)):
            result += total(*value)
        elif isinstance(value, str):
            result += len(value)
        else:
            result += int(value)
    return result % 1_000_003


def pair(x: Any, y: Any) -> tuple[Any, Any]:
    return (x, y)


def picky(x: Any) -> Any:
    if total(x) % 5 == 0:
        raise ValueError(f"picky: {total(x)}")
    return x


FUNCTIONS: list[Callable[..., Any]] = [total, pair, picky, lambda *args: list(args), dict]
_scalars = st.one_of(st.integers(0, 20), st.text("ab", max_size=2), st.booleans(), st.none())
_number = st.integers(0, 20)


@st.composite
def legacy_graphs(draw: st.DrawFn) -> tuple[dict[Any, Any], Any]:
    """Dicts of literals, second names, lists and (nested) tuples; keys nested to ask for."""
    keys: list[Any] = []
    dsk: dict[Any, Any] = {}

    def leaf() -> Any:
        if keys and draw(st.booleans()):
            return draw(st.sampled_from(keys))
        return draw(_number)

    def value(depth: int) -> Any:
        kind = draw(st.sampled_from(["leaf", "leaf", "list", "call", "set"]))
        if kind == "list" and depth:
            return [value(depth - 1) for _ in range(draw(st.integers(0, 3)))]
        if kind == "call" and depth:
            return call(depth - 1)
        if kind == "set" and depth:
            return {draw(_number)}
        return leaf()

    def call(depth: int) -> Any:
        function = draw(st.sampled_from(FUNCTIONS[:4]))
        count = {pair: 2, picky: 1}.get(function) or draw(st.integers(0, 3))
        return (function, *[value(depth) for _ in range(count)])

    for i in range(draw(st.integers(1, 9))):
        key = draw(st.sampled_from([f"k-{i}", ("t-1", i), ("u", f"{i}", 1.5)]))
        dsk[key] = draw(st.sampled_from([value, call]))(2)
        keys.append(key)
    asked = draw(st.lists(st.sampled_from(keys), min_size=1, max_size=4))
    return dsk, draw(st.sampled_from([asked, [asked, asked[0]], asked[0]]))


@st.composite
def task_graphs(draw: st.DrawFn) -> tuple[dict[Any, Any], Any]:
    """Graphs of dask's own nodes, some of them fused."""
    keys: list[Any] = []
    dsk: dict[Any, Any] = {}

    def value(depth: int) -> Any:
        kind = draw(
            st.sampled_from(["ref", "ref", "scalar", "list", "tuple", "dict", "set", "task"])
        )
        if kind == "ref" and keys:
            return TaskRef(draw(st.sampled_from(keys)))
        if not depth or kind in ("ref", "scalar"):
            return draw(_scalars.filter(lambda x: x is not None))
        items = [value(depth - 1) for _ in range(draw(st.integers(1, 3)))]
        if kind == "list":
            return List(*items)
        if kind == "tuple":
            return Tuple(*items)
        if kind == "dict":
            return Dict({f"d{i}": item for i, item in enumerate(items)})
        if kind == "set":
            return Set(*items)
        return Task(None, total, *items, start=value(0) if draw(st.booleans()) else 1)

    for i in range(draw(st.integers(1, 9))):
        key = ("n", i) if draw(st.booleans()) else f"n-{i}"
        kind = draw(st.sampled_from(["task", "task", "task", "alias", "data", "picky", "list"]))
        if kind == "alias" and keys:
            dsk[key] = Alias(key, draw(st.sampled_from(keys)))
        elif kind == "data":
            dsk[key] = DataNode(key, draw(st.one_of(_scalars, st.lists(_number))) or 0)
        elif kind == "picky":
            dsk[key] = Task(key, picky, value(1))
        else:
            dsk[key] = Task(key, total, *[value(2) for _ in range(draw(st.integers(0, 3)))])
        keys.append(key)
    asked = draw(st.lists(st.sampled_from(keys), min_size=1, max_size=3))
    if draw(st.booleans()):
        dsk = fuse_linear_task_spec(dsk, set(asked))
    return dsk, asked


def outcome(call: Callable[[], Any]) -> tuple[str, str]:
    try:
        return "value", repr(call())
    except Exception as error:
        return "error", f"{type(error).__name__}: {error}"


def check(ours: tuple[str, str], theirs: tuple[str, str]) -> None:
    """Where several tasks fail, which of the errors is raised is chance."""
    if theirs[0] == "error" and theirs[1].startswith("ValueError: picky"):
        assert ours[0] == "error" and ours[1].startswith("ValueError: picky")
    elif theirs[0] == "error":
        assert ours[0] == "error"
    else:
        assert ours == theirs


@_SETTINGS
@given(legacy_graphs())
def test_legacy_graphs(client: Client, case: tuple[dict[Any, Any], Any]) -> None:
    dsk, keys = case
    expected = outcome(lambda: _as_lists(dask.get(dsk, keys)))
    check(outcome(lambda: _as_lists(client.get(dsk, keys))), expected)


def _as_lists(value: Any) -> Any:
    return [_as_lists(item) for item in value] if isinstance(value, (list, tuple)) else value


@_SETTINGS
@given(task_graphs())
def test_task_graphs(client: Client, case: tuple[dict[Any, Any], Any]) -> None:
    dsk, keys = case
    expected = outcome(lambda: _as_lists(dask.get(dsk, keys)))
    check(outcome(lambda: _as_lists(client.get(dsk, keys))), expected)
    assert not convert_legacy_graph(dsk).keys() - dsk.keys()


@_SETTINGS
@given(legacy_graphs(), st.sets(st.integers(0, 8)), st.booleans())
def test_futures_as_leaves(
    client: Client, case: tuple[dict[Any, Any], Any], chosen: set[int], layered: bool
) -> None:
    """Some keys were computed before: futures stand for them, in a dict or in layers."""
    # These graphs mean different things by the same keys: what was dropped must be gone.
    wait_until(lambda: not client._session.records)
    dsk, keys = case
    expected = outcome(lambda: _as_lists(dask.get(dsk, keys)))
    done = [key for i, key in enumerate(dsk) if i in chosen]
    futures = dict(zip(done, client.get(dsk, done, sync=False), strict=True))
    wait(list(futures.values()))
    futures = {key: future for key, future in futures.items() if future.status == "finished"}
    graph: Any = {key: futures.get(key, value) for key, value in dsk.items()}
    if layered:
        layers = {str(i): {key: value} for i, (key, value) in enumerate(graph.items())}
        graph = HighLevelGraph(layers, {name: set() for name in layers})
    check(outcome(lambda: _as_lists(client.get(graph, keys))), expected)


_OPERATIONS = st.sampled_from([operator.add, operator.sub, operator.mul, operator.truediv])


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    rows, columns = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    data = np.arange(rows * columns, dtype=float).reshape(rows, columns)
    chunks = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    x = da.from_array(data, chunks=chunks)
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["op", "t", "slice", "rechunk", "sum", "dot", "map"]))
        if kind == "op":
            x = draw(_OPERATIONS)(x, draw(st.integers(1, 5)))
        elif kind == "t":
            x = x.T
        elif kind == "slice":
            x = x[:: draw(st.sampled_from([1, 2, -1]))]
        elif kind == "rechunk":
            x = x.rechunk(draw(st.integers(1, 5)))
        elif kind == "sum":
            x = x - x.sum(axis=draw(st.integers(0, 1)), keepdims=True)
        elif kind == "dot":
            x = x.dot(x.T)
        else:
            x = x.map_blocks(lambda block: np.sqrt(np.abs(block)), dtype=float)
    return x


def picky_block(block: Any) -> Any:
    if block.size and int(np.nan_to_num(block).sum()) % 3 == 0:
        raise ValueError("picky: a block")
    return block


@_SETTINGS
@given(arrays())
def test_errors_of_arrays(client: Client, x: Any) -> None:
    y = x.map_blocks(picky_block, dtype=float).sum()
    expected = outcome(lambda: y.compute(scheduler="sync"))
    check(outcome(y.compute), expected)
    check(outcome(lambda: client.compute(client.persist(y)).result()), expected)


@_SETTINGS
@given(arrays(), st.booleans())
def test_arrays(client: Client, x: Any, optimize: bool) -> None:
    expected = x.compute(scheduler="sync")
    np.testing.assert_array_equal(x.compute(optimize_graph=optimize), expected)
    np.testing.assert_array_equal(client.persist(x).compute(), expected)


@_SETTINGS
@given(
    st.lists(_number, min_size=1, max_size=20),
    st.integers(1, 5),
    st.lists(st.sampled_from(["map", "filter", "picky", "distinct", "pluck"]), max_size=4),
)
def test_bags(client: Client, items: list[int], npartitions: int, steps: list[str]) -> None:
    bag = db.from_sequence(items, npartitions=npartitions)
    for step in steps:
        if step == "map":
            bag = bag.map(lambda x, y: x + y, 3)
        elif step == "filter":
            bag = bag.filter(lambda x: x % 3)
        elif step == "picky":
            bag = bag.map(picky)
        elif step == "distinct":
            bag = bag.distinct()
        else:
            bag = bag.map(lambda x: (x, -x)).pluck(0)
    check(outcome(bag.compute), outcome(lambda: bag.compute(scheduler="sync")))
    both = outcome(lambda: dask.compute(bag.count(), bag.sum(), scheduler="sync"))
    check(outcome(lambda: dask.compute(bag.count(), bag.sum())), both)


@_SETTINGS
@given(st.lists(st.tuples(_number, _number), min_size=1, max_size=8), st.integers(0, 3))
def test_delayed(client: Client, calls: list[tuple[int, int]], nested: int) -> None:
    made: list[Any] = [delayed(1)]
    for which, value in calls:
        one = made[which % len(made)]
        made.append(delayed(total)(one, [one, {"k": value}], start=one) + math.pi * 0)
    wanted = {"all": made[-3:], "some": (made[0], nested), "error": delayed(picky)(made[-1])}
    check(
        outcome(lambda: dask.compute(wanted, made)),
        outcome(lambda: dask.compute(wanted, made, scheduler="sync")),
    )


@_SETTINGS
@given(
    st.integers(1, 5),
    st.lists(st.sampled_from(["filter", "assign", "shuffle", "merge", "sort"]), max_size=3),
    st.sampled_from(["sum", "groupby", "quantile", "value_counts", "all"]),
)
def test_dataframes(client: Client, npartitions: int, steps: list[str], end: str) -> None:
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame({"a": np.arange(30) % 4, "b": np.arange(30.0)})
    df = dd.from_pandas(frame, npartitions=npartitions)
    for step in steps:
        if step == "filter":
            df = df[df.b % 3 > 0]
        elif step == "assign":
            df = df.assign(b=df.a + df.b)
        elif step == "shuffle":
            df = df.shuffle("a")
        elif step == "merge":
            df = df.merge(df.groupby("a").b.sum().reset_index().rename(columns={"b": "s"}), on="a")
            df = df[["a", "b"]]
        else:
            df = df.sort_values(["b", "a"])
    ends = {
        "sum": lambda: df.b.sum(),
        "groupby": lambda: df.groupby("a").b.agg(["mean", "count"]),
        "quantile": lambda: df.b.quantile(0.5),
        "value_counts": lambda: df.a.value_counts(),
        "all": lambda: df,
    }
    result = ends[end]()
    with dask.config.set({"dataframe.shuffle.method": "tasks"}):
        expected = result.compute(scheduler="sync")
        got = result.compute()
    if hasattr(expected, "sort_index"):
        columns = list(expected.columns) if hasattr(expected, "columns") else None
        expected, got = expected.sort_index(), got.sort_index()
        if columns and end == "all":
            expected, got = expected.sort_values(columns), got.sort_values(columns)
        assert expected.equals(got)
    else:
        assert expected == got
