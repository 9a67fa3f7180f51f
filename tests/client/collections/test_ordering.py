"""The order of a graph's tasks: inputs first, and few results stored at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dask
import dask.array as da
import pytest
from dask.base import collections_to_expr
from dask.core import flatten
from dask.delayed import delayed
from hypothesis import given
from hypothesis import strategies as st

from shoal import Client
from shoal.client.collections import ordering
from shoal.client.collections.dask_private import FinalizeCompute
from shoal.client.collections.graphs import Plan, converted
from shoal.client.collections.ordering import find_cycle, order, peak

Inputs = list[list[int]]


def random_array(shape: tuple[int, ...], chunks: tuple[int, ...]) -> Any:
    return da.random.random(shape, chunks=chunks)


def transposed() -> Any:
    x = random_array((300, 300), (20, 20))
    return (x + x.T).sum()


def overlapping() -> Any:
    x = random_array((200, 200), (20, 20))
    return x.map_overlap(lambda block: block, depth=1, boundary="periodic").sum()


def rechunked() -> Any:
    return random_array((300, 300), (20, 20)).rechunk((50, 30)).sum(axis=0)


def turned() -> Any:
    x = random_array((60, 60, 60), (10, 10, 10)).rechunk((60, 10, 10))
    return abs(da.fft.fft(da.fft.fft(x, axis=0).rechunk((10, 60, 10)), axis=1)).sum()


def of_one_array() -> Any:
    x = random_array((300, 300), (20, 20))
    return delayed([x.mean(), x.std()])


def anomaly() -> Any:
    x = random_array((300, 300), (20, 20))
    return ((x - x.mean(axis=0)) / x.std(axis=0)).max(axis=1)


def products() -> Any:
    return random_array((120, 120), (20, 20)) @ random_array((120, 120), (20, 20))


def split_and_joined() -> Any:
    split = [
        [delayed(divmod)(source, k) for k in range(8)] for source in map(delayed(abs), range(30))
    ]
    return delayed([delayed(sum)([parts[k] for parts in split]) for k in range(8)])


def planned(client: Client, collection: Any) -> tuple[Inputs, list[int]]:
    """Return the tasks of a collection by number, and the order that they are sent in."""
    expr = FinalizeCompute(collections_to_expr([collection])).optimize()
    graph = converted(expr.__dask_graph__())
    plan = Plan(client._session, graph, list(flatten(expr.__dask_keys__())), [])
    numbers = {key: i for i, (key, _) in enumerate(plan.tasks)}
    names = {plan.aliases.get(key, key): i for key, i in numbers.items()}
    find = {**names, **{a: numbers[t] for a, t in plan.aliases.items() if t in numbers}}
    inputs = [sorted({find[d] for d in node.dependencies if d in find}) for _, node in plan.tasks]
    return inputs, list(range(len(inputs)))


@pytest.mark.parametrize(
    "make",
    [transposed, overlapping, rechunked, turned, of_one_array, anomaly, products, split_and_joined],
)
def test_no_more_is_stored_than_in_the_order_of_dask(
    client: Client, make: Callable[[], Any]
) -> None:
    inputs, ours = planned(client, make())
    # It was compared with another numbering, and equal tasks are chosen by number.
    assert peak(inputs, ours) <= max(ordering._FEW, 1.1 * peak(inputs, ordering._as_dask(inputs)))


def test_a_large_transposition_stores_little(client: Client) -> None:
    inputs, ours = planned(client, transposed())
    assert len(inputs) > 300 and peak(inputs, ours) <= 25


def grid(width: int, steps: int) -> Inputs:
    """A stencil: each task needs those around it in the step before."""
    inputs: Inputs = [[] for _ in range(width)]
    for step in range(1, steps):
        row = (step - 1) * width
        near = [range(max(0, p - 1), min(width, p + 2)) for p in range(width)]
        inputs += [[row + p for p in points] for points in near]
    return inputs


def test_a_grid_stays_as_it_was_made() -> None:
    inputs = grid(32, 32)
    assert order(inputs) == list(range(1024)) and peak(inputs, list(range(1024))) < 40


def test_what_was_made_in_an_order_that_stores_more_is_put_in_another() -> None:
    pairs: Inputs = [*([] for _ in range(200)), *([2 * i, 2 * i + 1] for i in range(100))]
    found = order(pairs)
    assert found is not None and peak(pairs, found) == 2 < peak(pairs, list(range(300)))


def test_a_tree_is_run_branch_by_branch_however_it_was_made() -> None:
    """There is nothing to wait for but the parent: a branch can stay on one worker."""
    steps = [
        [[] if not step else [32 * (step - 1) + p // 2] for p in range(32)] for step in range(32)
    ]
    inputs: Inputs = [needed for step in steps for needed in step]
    found = order(inputs)
    assert found is not None and found != list(range(1024))
    assert peak(inputs, list(range(1024))) < peak(inputs, found)


def test_the_order_of_dask_is_taken_where_it_stores_less(monkeypatch: Any) -> None:
    inputs = [[1023 - j for j in reversed(needed)] for needed in reversed(grid(32, 32))]
    rows = list(reversed(range(1024)))
    asked: list[int] = []

    def other(of: Inputs) -> list[int]:
        asked.append(len(of))
        return rows

    monkeypatch.setattr(ordering, "_as_dask", other)
    found = order(inputs)
    assert found is not None and not asked, "few results are stored"
    assert 40 < peak(inputs, found) <= 64 and peak(inputs, rows) < 40
    monkeypatch.setattr(ordering, "_PART", 100)
    assert order(inputs) == rows and asked == [1024]
    monkeypatch.setattr(ordering, "peak", lambda *_: 10_000)
    assert order(inputs) == found and asked == [1024] * 2, "the other one stores more"
    star: Inputs = [*([] for _ in range(200)), list(range(200))]
    assert order(star) == list(range(201)) and len(asked) == 2, "there is none that stores less"


@given(st.data())
def test_inputs_come_first(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 40))
    inputs = [
        sorted(data.draw(st.sets(st.integers(0, i - 1), max_size=4))) if i else []
        for i in range(count)
    ]
    shuffled = data.draw(st.permutations(range(count)))
    number = {old: new for new, old in enumerate(shuffled)}
    mixed = [sorted(number[j] for j in inputs[old]) for old in shuffled]
    found = order(mixed)
    assert found is not None and sorted(found) == list(range(count))
    place = {i: p for p, i in enumerate(found)}
    assert all(place[j] < place[i] for i in range(count) for j in mixed[i])
    walk = ordering._Walk(mixed)
    assert walk.measure()
    walked = walk.run()
    assert walked is not None and peak(mixed, walked) == walk.peak, "it counts what it stores"
    for most in range(max(0, walk.peak - 1), walk.peak + 1):
        again = ordering._Walk(mixed)
        assert again.measure() and again.run(most) == (walked if most == walk.peak else None)


def test_cycles_are_found() -> None:
    inputs = [[], [0, 3], [1], [2, 0], [3], [4, 0]]
    assert order(inputs) is None
    assert sorted(find_cycle(inputs)) == [1, 2, 3]
    assert order([[0]]) is None and find_cycle([[0]]) == [0]


def test_a_cycle_is_named(client: Client) -> None:
    with pytest.raises(RuntimeError, match=r"cycle.*'(x|y)' needs '(x|y)' needs '(x|y)'"):
        client.get({"x": (abs, "y"), "y": (abs, "x"), "z": (abs, "x")}, "z")
    with pytest.raises(RuntimeError, match="cycle"):
        client.get({"x": "y", "y": "x", "z": (abs, "x")}, "z")


def test_tasks_are_told_in_their_order(client: Client) -> None:
    dsk = {f"leaf-{i}": (abs, -i) for i in range(64)}
    level = list(dsk)
    while len(level) > 1:
        names = [f"sum-{len(level)}-{i}" for i in range(len(level) // 2)]
        dsk.update({n: (max, *level[2 * i : 2 * i + 2]) for i, n in enumerate(names)})
        level = names
    plan = Plan(client._session, converted(dsk), level, [])
    places = {key: i for i, (key, _) in enumerate(plan.tasks)}
    assert len(places) == 127
    for i, (key, node) in enumerate(plan.tasks):
        assert all(places[d] < i for d in node.dependencies)
        users = [places[k] for k in places if key in dict(plan.tasks)[k].dependencies]
        assert plan.last_use[i] == max(users, default=-1)
    assert client.get(dsk, level[0]) == dask.get(dsk, level[0]) == 63


class Counted(list[int]):
    """Counts how often it is gone through."""

    times = 0

    def __iter__(self) -> Any:
        self.times += 1
        return super().__iter__()


def test_tasks_with_many_inputs_are_not_looked_at_for_each_of_them() -> None:
    n = 500
    one_of_all = Counted(range(1, n + 1))
    inputs = [[], *([0] for _ in range(n)), one_of_all, *([i, n + 1] for i in range(1, n + 1))]
    alone: Inputs = [[] for _ in range(n)]
    found = order([*inputs, *alone])
    assert found is not None
    assert sorted(found) == list(range(3 * n + 2))
    assert found.index(n + 1) > max(found.index(i) for i in range(1, n + 1))
    assert one_of_all.times < 20
