"""Graphs in dask's plainest form become nodes as dask itself makes them."""

from __future__ import annotations

from collections import namedtuple
from typing import Any

import dask
import pytest
from dask._task_spec import Alias, DataNode, Task, convert_legacy_graph
from hypothesis import given
from hypothesis import strategies as st

from shoal.client.collections.graphs import converted

Pair = namedtuple("Pair", "left right")


def give(*args: Any) -> Any:
    return args


names = st.sampled_from(["a", "b", 1, 2.0, True, ("t", 0), "elsewhere"])
values = st.recursive(
    st.one_of(names, st.none(), st.booleans(), st.just(float("inf")), st.just(b"a")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.lists(inner, max_size=2).map(lambda args: (give, *args)),
        st.tuples(inner, inner).map(lambda two: Pair(*two)),
        st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
    ),
    max_leaves=8,
)


@given(st.lists(values, max_size=4), values)
def test_as_dask_converts(args: list[Any], data: Any) -> None:
    sources = {"a": (give, "left"), "b": (give, 2, "not a key"), 1: 10, ("t", 0): "a"}
    graph = {**sources, "call": (give, *args), "data": data}
    ours, theirs = converted(graph), convert_legacy_graph(graph)
    assert list(ours) == list(theirs)
    for key, node in theirs.items():
        assert type(ours[key]) is type(node) and ours[key].key == key
        assert ours[key].dependencies == node.dependencies
    if "elsewhere" not in ours["call"].dependencies | ours["data"].dependencies:
        assert repr(dask.get(ours, ["call", "data"])) == repr(dask.get(theirs, ["call", "data"]))


@pytest.mark.parametrize("arg", [("t", [0]), ("t", 0), (give, 1), [("t", 0)], {"x": ("t", 0)}])
def test_tuples_that_may_be_keys(arg: Any) -> None:
    graph = {("t", 0): 5, "x": (give, arg)}
    assert dask.get(converted(graph), "x") == dask.get(graph, "x")


def test_nodes_stay_what_they_are() -> None:
    task, data, itself = Task("task", give, 1), DataNode("data", 2), Alias("itself")
    nodes = converted(
        {"task": task, "data": data, "itself": itself, "other": Alias("other", "task")}
    )
    assert nodes["task"] is task and nodes["data"] is data
    assert "itself" not in nodes, "it says nothing; a future may have this key"
    assert isinstance(nodes["other"], Alias) and nodes["other"].target == "task"
