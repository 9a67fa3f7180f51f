"""What is computed already is not computed again; what several tasks have travels once."""

from __future__ import annotations

import threading
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from dask import delayed
from dask._task_spec import (
    Alias,
    Task,
    TaskRef,
    _execute_subgraph,
    convert_legacy_graph,
    fuse_linear_task_spec,
)
from helpers import wait_until

from shoal import Client
from shoal.client.collections.graphs import Plan, materialize
from shoal.client.collections.lower import Lowering

RAN: list[Any] = []
GO = threading.Event()


def note(x: Any) -> Any:
    RAN.append(x)
    return x


def inc(x: int) -> int:
    return x + 1


def slow(x: int) -> int:
    RAN.append(x)
    GO.wait(20)
    return x


@pytest.fixture(autouse=True)
def _fresh() -> None:
    RAN.clear()
    GO.clear()


def lowered(client: Client, dsk: Any, keys: list[Any]) -> tuple[Lowering, list[Any], Plan]:
    graph, _, futures = materialize(dsk)
    plan = Plan(client._session, graph, keys, futures)
    lowering = Lowering(client._session, plan)
    tasks = [lowering.lower(key, node) for key, node in plan.tasks]
    plan.release()
    return lowering, tasks, plan


def test_known_keys_do_not_run_again(client: Client) -> None:
    x = delayed(note)(1, dask_key_name="known-x")
    y = delayed(inc)(delayed(note)(x, dask_key_name="known-y"), dask_key_name="known-z")
    kept = client.compute(x)
    assert y.compute() == 2 and RAN == [1, 1]
    future = client.compute(y)
    assert future.result() == 2 and y.compute() == 2
    assert RAN == [1, 1, 1], "y ran again, as nobody kept it; x did not"
    assert client.get({"known-z": (note, "other")}, "known-z") == 2
    assert client.get({}, "known-x") == 1 and kept.result() == 1
    del future
    wait_until(lambda: "known-z" not in client._session.records)


def test_released_keys_are_computed_again(client: Client) -> None:
    x = delayed(note)(7, dask_key_name="again-x")
    y = delayed(note)(x, dask_key_name="again-y")
    assert y.compute() == 7 and y.compute() == 7
    assert RAN == [7] * 4


def test_intermediate_keys_go(client: Client) -> None:
    machine = client.cluster.scheduler._machine
    total = sum(delayed(inc)(i) for i in range(20))
    assert total.compute() == 210
    wait_until(lambda: not machine.state.tasks)
    wait_until(lambda: not client._session.machine.state.records)
    assert not client._session.records


def test_graphs_in_several_parts_leave_nothing(client: Client) -> None:
    dsk: dict[Any, Any] = {("p", 0): 1}
    for i in range(1, 7000):
        dsk["p", i] = (inc, ("p", i // 2))
    keys = [("p", i) for i in range(6900, 7000)]
    assert client.get(dsk, keys) == [14] * 100
    wait_until(lambda: not client.cluster.scheduler._machine.state.tasks)
    assert not client._session.records


def test_computing_at_once_shares_tasks(client: Client) -> None:
    x = delayed(slow)(3, dask_key_name="once")
    futures = [client.compute(delayed(inc)(x, dask_key_name=f"user-{i}")) for i in range(3)]
    wait_until(lambda: RAN)
    futures.append(client.compute(x))
    GO.set()
    assert client.gather(futures) == [4, 4, 4, 3] and RAN == [3]


def test_a_large_constant_travels_once(client: Client) -> None:
    table = np.arange(100_000)
    dsk = {f"t-{i}": (lambda a, i: a[i], table, i) for i in range(50)}
    _, tasks, _ = lowered(client, dsk, list(dsk))
    assert sum(len(t.args) for t in tasks) < 50 * 200
    assert all(t.extras is None and len(t.deps) == 1 for t in tasks)
    parts = dask.compute(*[delayed(lambda a, i: a[i])(table, i) for i in range(50)])
    assert parts == tuple(range(50))


def test_a_constant_of_middle_size_travels_with_the_function(client: Client) -> None:
    table = {f"name-{i}": i for i in range(1000)}
    get = dict.__getitem__
    dsk = {f"m-{i}": (get, table, f"name-{i}") for i in range(50)}
    graph = {key: dask._task_spec.Task(key, *call) for key, call in dsk.items()}
    _, tasks, _ = lowered(client, graph, list(graph))
    assert len({t.function.id for t in tasks}) == 1
    assert max(len(t.args) for t in tasks) < 100
    assert client.get(graph, list(graph)) == list(range(50))


def test_fused_tasks_of_one_shape_share_a_program(client: Client) -> None:
    x = da.ones((20, 20), chunks=(1, 20)).map_blocks(lambda b: b + 1) * 3
    y = x.map_blocks(lambda b: b - 1).sum()
    expr = dask.base.collections_to_expr([y]).optimize()
    _, tasks, _ = lowered(client, expr, list(dask.core.flatten(expr.__dask_keys__())))
    assert len(tasks) > 20 and len({t.function.id for t in tasks}) < 8
    assert y.compute() == 2000


@pytest.mark.parametrize(("size", "literals"), [(10, 0), (1000, 0), (100_000, 1)])
def test_constants_inside_of_fused_tasks(client: Client, size: int, literals: int) -> None:
    table = np.arange(size)
    x = da.ones((20, 20), chunks=(1, 20)).map_blocks(
        lambda block, table: block + table[3], table=table
    )
    y = (x * 2).map_blocks(lambda block: block - 1)
    expr = dask.base.collections_to_expr([y]).optimize()
    keys = list(dask.core.flatten(expr.__dask_keys__()))
    _, tasks, _ = lowered(client, expr, keys)
    assert len(tasks) == 20 and len({t.function.id for t in tasks}) == 1
    assert sum(len(t.args) for t in tasks) < 20 * 300 and {len(t.deps) for t in tasks} == {literals}
    assert tasks[0].function.blob.nbytes() < 20_000
    assert (y.compute() == 7).all()


def test_the_inside_that_tasks_share_is_taken_once(client: Client) -> None:
    """All blocks of a layer have the same nodes; arguments in another order are another inside."""
    nodes = {
        "low": Task("low", min, TaskRef("a"), TaskRef("b")),
        "top": Task("top", inc, TaskRef("low")),
    }
    over = Task("over", divmod, TaskRef("a"), TaskRef("b"))
    fused = [_fused(f"f-{i}", nodes, "top", ("a", "b"), i, f"f-{i - 1}") for i in range(1, 9)]
    graph = {"f-0": Task("f-0", inc, 3), **{task.key: task for task in fused}}
    both = {"low": nodes["low"], "over": over}
    graph["left"] = _fused("left", both, "over", ("a", "b"), 7, "f-0")
    graph["right"] = _fused("right", both, "over", ("b", "a"), 7, "f-0")
    graph["one"] = _fused("one", both, "low", ("a", "b"), 7, "f-0")
    graph["alias"] = _fused("alias", {"x": Alias("x", "a"), **both}, "x", ("a", "b"), 7, "f-0")
    keys = list(graph)
    assert client.get(graph, keys) == list(dask.get(graph, keys))
    lowering, tasks, _ = lowered(client, graph, keys)
    assert lowering.constants.is_shared(fused[0]) and not lowering.constants.is_shared(graph["one"])
    assert len({t.function.id for t in tasks}) == 6


def _fused(key: str, nodes: dict[str, Any], out: str, inner: tuple[str, ...], *args: Any) -> Task:
    given = [TaskRef(arg) if isinstance(arg, str) else arg for arg in args]
    return Task(key, _execute_subgraph, nodes, out, inner, *given)


def test_small_data_is_put_where_it_is_used(client: Client) -> None:
    dsk = {"a": 5, "b": "a", "x": (inc, "b"), "long": "x" * 5000, "y": (len, "long")}
    _, tasks, plan = lowered(client, dsk, ["x", "y"])
    assert {key for key, _ in plan.tasks} == {"x", "y", "long"}
    assert sorted(len(t.deps) for t in tasks) == [0, 0, 1]
    assert client.get(dsk, ["x", "y", "a", "b"]) == [6, 5000, 5, 5]


def test_a_second_name_is_no_task_of_its_own(client: Client) -> None:
    dsk = {"x": (note, 1), "y": "x", "z": "y", "w": (inc, "z")}
    _, tasks, plan = lowered(client, dsk, ["z"])
    assert [key for key, _ in plan.tasks] == ["z"] and len(tasks) == 1
    assert client.get(dsk, ["z", "w", "x", "y"]) == [1, 2, 1, 1] and RAN == [1]
    assert client.get(dsk, ["w"]) == [2]


def test_nested_tasks_and_containers(client: Client) -> None:
    dsk = {
        "x": (note, 2),
        "l": [(inc, "x"), ["x", {"not": "looked into"}]],
        "d": (dict, [["kk", "x"], ["v", (inc, (inc, "x"))]]),
        "s": (lambda s, t: (sorted(s), t), {1, "x"}, ("plain", "x")),
        "k": (sorted, "l2"),
        "l2": ["x", 1],
    }
    expected = dask.get(dsk, list(dsk))
    RAN.clear()
    assert client.get(dsk, list(dsk)) == list(expected)
    assert RAN == [2]


def test_long_chains(client: Client) -> None:
    value = delayed(inc)(0)
    for _ in range(1500):
        value = delayed(inc)(value)
    assert value.compute() == 1501
    nested: Any = 0
    for _ in range(100):
        nested = (inc, nested)
    assert client.get({"deep": nested}, "deep") == 100
    fused = {f"f-{i}": (inc, f"f-{i - 1}") for i in range(1, 3000)} | {"f-0": (inc, 0)}
    graph = fuse_linear_task_spec(convert_legacy_graph(fused), {"f-2999"})
    assert len(graph) < 3 and client.get(graph, "f-2999") == 3000


def test_a_name_that_is_used_again_means_the_new_task(client: Client) -> None:
    for i in range(20):
        assert client.get({"x": (inc, i), "y": (inc, "x")}, "y") == i + 2
        assert client.get({"x": (inc, -i), "z": (inc, "x"), "y": (inc, i)}, ["z", "y"]) == [
            2 - i,
            i + 1,
        ]
