"""Annotations and options of graphs reach the scheduler."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import pytest
from dask import delayed
from helpers import wait_until

from shoal import Client, LocalCluster, get_worker
from shoal.client.collections.options import Options
from shoal.scheduler.core.state import TaskState


def inc(x: Any) -> Any:
    return x + 1


def where(*args: Any) -> str:
    return str(get_worker().name)


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(processes=False, n_workers=2, threads_per_worker=1, resources={"R": 1}) as it:
        yield it


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    with Client(cluster) as client:
        yield client


def task(cluster: LocalCluster, key: str) -> TaskState:
    return cluster.scheduler._machine.state.tasks[key]


def test_annotations_of_layers(cluster: LocalCluster, client: Client) -> None:
    with dask.annotate(priority=7, retries=2, resources={"R": 1}, colour="red"):
        x = delayed(inc)(1, dask_key_name="noted")
    y = delayed(inc)(x, dask_key_name="plain")
    futures = client.compute([x, y])
    assert client.gather(futures) == [2, 3]
    noted, plain = task(cluster, "noted"), task(cluster, "plain")
    assert noted.priority[0] == -7 and plain.priority[0] == 0
    assert noted.options.retries == 2 and noted.options.resources == {"R": 1.0}
    assert noted.options.annotations == {"colour": "red"}
    assert not plain.options.retries and not plain.options.annotations


def test_annotations_by_key(cluster: LocalCluster, client: Client) -> None:
    with dask.annotate(priority=lambda key: key[1] + 10):
        x = da.ones(6, chunks=2)
    px = client.persist(x)
    assert px.sum().compute() == 6
    found = [task(cluster, f.key if isinstance(f.key, str) else repr(f.key)).priority[0]
             for f in client.futures_of(px)]  # fmt: skip
    assert sorted(found) == [-12, -11, -10]


def test_annotations_around_the_call(cluster: LocalCluster, client: Client) -> None:
    with dask.annotate(workers="1", priority=lambda key: 5 if key == "here-0" else 1):
        futures = client.compute([delayed(where)(dask_key_name=f"here-{i}") for i in range(4)])
    name = str(list(cluster.workers)[1])
    assert client.gather(futures) == [name] * 4
    assert [task(cluster, f"here-{i}").priority[0] for i in range(2)] == [-5, -1]


def test_workers_by_collection_and_key(cluster: LocalCluster, client: Client) -> None:
    x, y, z = (delayed(where)(dask_key_name=f"by-{name}") for name in "xyz")
    names = [str(name) for name in cluster.workers]
    by = {x: names[0], (y, z): [names[1]]}
    assert client.compute([x, y, z], workers=by, sync=True) == [names[0], names[1], names[1]]
    by_key = {"by-key-1": names[1], ("by-key", 2): names[0]}
    dsk = {"by-key-1": (where,), ("by-key", 2): (where,)}
    assert client.get(dsk, list(dsk), workers=by_key) == [names[1], names[0]]
    assert client.get({"by-all": (where,)}, "by-all", workers=[names[1]]) == names[1]


def test_arguments(cluster: LocalCluster, client: Client) -> None:
    futures = client.compute(
        [delayed(inc)(i, dask_key_name=f"arg-{i}") for i in range(2)],
        workers=["nobody"],
        allow_other_workers=True,
        retries={"arg-0": 3},
        priority=4,
        resources={"R": 1},
    )
    assert client.gather(futures) == [1, 2]
    first, second = task(cluster, "arg-0"), task(cluster, "arg-1")
    assert first.options.retries == 3 and second.options.retries == 0
    assert first.options.allow_other_workers and first.priority[0] == -4
    per_key = {"arg-2": {"R": 1}}
    assert client.get({"arg-2": (inc, 1)}, "arg-2", resources=per_key, sync=True) == 2


def test_an_argument_wins_over_a_layer_only_by_key() -> None:
    options = Options(priority={"x": 1}, retries=5)
    options.annotate({"priority": {"x": 9, "y": 8}, "retries": {"y": 2}})
    assert options.of("x")[0] == 1 and options.of("y")[0] == 8
    x, y = options.of("x")[1], options.of("y")[1]
    assert x is not None and y is not None and (x.retries, y.retries) == (5, 2)
    assert options.of("y")[1] is y


def test_defaults_cost_nothing() -> None:
    options = Options(workers=None, allow_other_workers=False, resources={}, retries=0, priority=0)
    assert options.of("x") == (0.0, None) and options.of("x") is options.of("y")


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"priority": "high"}, "priority="),
        ({"resources": 3}, "resources="),
        ({"retries": -1}, "retries="),
        ({"workers": [1.5]}, "workers="),
        ({"fifo_timeout": "soon"}, "soon"),
    ],
)
def test_bad_options(client: Client, asked: Any, match: str) -> None:
    with pytest.raises((TypeError, ValueError), match=match):
        client.compute(delayed(inc)(1), **asked)


def test_annotations_that_cannot_be_sent(client: Client) -> None:
    with pytest.raises(TypeError, match="annotation odd="), dask.annotate(odd=object()):
        client.compute(delayed(inc)(1))


def _annotated(n: int) -> Any:
    with dask.annotate(resources={"none of it": 1}):
        array = da.ones((4, 4), chunks=2).map_blocks(lambda block: block + n, dtype=float)
        bag = db.from_sequence(range(4), npartitions=2).map(lambda x: x + n)
        one = dask.delayed(abs)(-n)
    return array, bag, one


@pytest.mark.parametrize(
    "use",
    [
        lambda array, bag, one: array + 1,
        lambda array, bag, one: (da.ones((4, 4), chunks=2) + array).T.sum(),
        lambda array, bag, one: array[:1, :1],
        lambda array, bag, one: bag.map(abs).sum(),
        lambda array, bag, one: one + 1,
        lambda array, bag, one: da.from_delayed(one, (), float) + 1,
        lambda array, bag, one: dask.delayed([one, bag.sum()]),
    ],
)
@pytest.mark.parametrize("persisted", [False, True])
def test_what_is_made_of_annotated_tasks_waits_for_their_resource(
    client: Client, use: Any, persisted: bool
) -> None:
    made = use(*_annotated(1))
    future = client.compute(client.persist(made) if persisted else made)
    wait_until(lambda: client.run_on_scheduler(_no_worker))
    assert future.status == "pending"


def _no_worker(dask_scheduler: Any) -> bool:
    return any(ts.state == "no-worker" for ts in dask_scheduler.tasks.values())


@pytest.mark.parametrize("name, value", [("resources", {"R": 1}), ("priority", 5), ("mark", "x")])
def test_annotations_have_holes(client: Client, name: str, value: Any) -> None:
    with dask.annotate(**{name: value}):
        some = [dask.delayed(list)([i, i]) for i in range(3)]
    with dask.annotate(other="y"):
        item = some[0][0]
    assert dask.delayed(sum)([item, *(x[1] for x in some[1:])]).compute() == 3
    assert dask.delayed(sum)([dask.delayed(len)(x) + 1 for x in some]).compute() == 9
