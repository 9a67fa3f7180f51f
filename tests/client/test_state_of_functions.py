"""Each task begins with what was sent: nothing that another task did to it is seen."""

from __future__ import annotations

import asyncio
import functools
import operator
import random
from collections.abc import Iterator
from typing import Any

import dask
import dask.array as da
import dask.bag as db
import numpy as np
import pytest
from dask import delayed

from shoal import Client

COUNTED = 0


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(processes=False, n_workers=2, threads_per_worker=2) as client:
        yield client


class Model:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def fit(self, x: Any) -> int:
        self.seen.append(x)
        return len(self.seen)

    async def fit_later(self, x: Any) -> int:
        self.seen.append(x)
        await asyncio.sleep(0)
        return len(self.seen)

    def __call__(self, x: Any) -> int:
        return self.fit(x)


def collecting() -> Any:
    seen: list[Any] = []

    def collect(x: Any) -> int:
        seen.append(x)
        return len(seen)

    return collect


def counting() -> Any:
    n = 0

    def count(x: Any) -> int:
        nonlocal n
        n += 1
        return n

    return count


def with_default() -> Any:
    def collect(x: Any, seen: list[Any] = []) -> int:  # noqa: B006
        seen.append(x)
        return len(seen)

    return collect


def with_keyword_default() -> Any:
    def collect(x: Any, *, seen: dict[Any, Any] = {}) -> int:  # noqa: B006
        seen[x] = x
        return len(seen)

    return collect


def nested() -> Any:
    inner = collecting()
    return lambda x: inner(x)


def with_attribute() -> Any:
    def count(x: Any) -> int:
        count.n += 1  # type: ignore[attr-defined]
        return count.n  # type: ignore[attr-defined,no-any-return]

    count.n = 0  # type: ignore[attr-defined]
    return count


def partial() -> Any:
    def collect(seen: list[Any], x: Any) -> int:
        seen.append(x)
        return len(seen)

    return functools.partial(collect, [])


def iterator() -> Any:
    numbers = iter(range(1, 10))
    return lambda x: next(numbers)


def array() -> Any:
    small = np.zeros(1)

    def count(x: Any) -> int:
        small[0] += 1
        return int(small[0])

    return count


def large_array() -> Any:
    large = np.zeros(20_000)

    def count(x: Any) -> int:
        large[0] += 1
        return int(large[0])

    return count


MAKERS = [
    *(lambda: Model().fit, lambda: Model().fit_later, Model),
    *(collecting, counting, with_default, with_keyword_default, nested, with_attribute),
    *(partial, iterator, array, large_array),
]


@pytest.mark.parametrize("make", MAKERS)
def test_tasks_of_one_function(client: Client, make: Any) -> None:
    function = make()
    assert client.gather(client.map(function, range(8))) == [1] * 8
    assert [client.submit(function, i).result() for i in range(8, 12)] == [1] * 4
    with dask.config.set(scheduler=client):
        assert dask.compute(*[delayed(function)(i) for i in range(20, 24)]) == (1, 1, 1, 1)


def _collect(x: Any, seen: Any) -> int:
    if isinstance(seen, np.ndarray):
        seen[0] += 1
        return int(seen[0])
    seen.append(x)
    return len(seen)


@pytest.mark.parametrize("make", [list, lambda: np.zeros(1), lambda: np.zeros(50_000)])
def test_arguments_that_several_tasks_have(client: Client, make: Any) -> None:
    shared = make()
    assert client.gather(client.map(_collect, range(8), seen=shared)) == [1] * 8
    assert client.gather(client.map(_collect, range(8, 16), [shared] * 8)) == [1] * 8
    futures = [client.submit(_collect, i, seen=shared) for i in range(16, 20)]
    assert client.gather(futures) == [1] * 4
    assert dask.compute(*[delayed(_collect)(i, seen=shared) for i in range(4)]) == (1,) * 4
    assert dask.compute(*[delayed(_collect)(i, shared) for i in range(4)]) == (1,) * 4
    kept = [delayed(_collect)(delayed(abs)(-i), [shared]) for i in range(4)]
    assert client.gather(client.compute(kept)) == [2] * 4
    assert len(shared) == len(make()), "the user's own object was changed"
    if len(shared):
        assert shared[0] == 0


def test_constants_of_fused_tasks(client: Client) -> None:
    options = {"seen": [], "more": list(range(100))}

    def note(block: Any, options: Any) -> Any:
        options["seen"].append(1)
        return block + len(options["seen"])

    like = np.zeros(0)
    x = da.zeros(8, chunks=1).map_blocks(note, options, meta=like)
    assert list(x.compute()) == [1] * 8
    # The two steps of a chain are one task: they have the options in common, others have not.
    assert list((x + 1).map_blocks(note, options, meta=like).compute()) in ([3] * 8, [4] * 8)
    assert options["seen"] == []


def test_bags(client: Client) -> None:
    bag = db.from_sequence(range(8), npartitions=8)
    assert bag.map(partial()).compute() == [1] * 8
    assert bag.map_partitions(lambda part, model: model.fit(part), Model()).compute() == [1] * 8


def test_generators_of_random_numbers_begin_where_they_stood(client: Client) -> None:
    for draw in (np.random.default_rng(1).random, random.Random(1).random):
        first = client.gather(client.map(lambda _, draw=draw: draw(), range(6), pure=False))
        assert len(set(first)) == 1


def test_a_retried_task_begins_anew(client: Client) -> None:
    seen: list[int] = []

    def fail_once(x: int, given: list[int]) -> Any:
        seen.append(x)
        given.append(x)
        if not hasattr(operator, "_failed_once"):
            operator._failed_once = True  # type: ignore[attr-defined]
            raise ValueError("once")
        return seen, given

    try:
        assert client.submit(fail_once, 1, [], retries=2).result() == ([1], [1])
    finally:
        del operator._failed_once  # type: ignore[attr-defined]


def test_what_cannot_carry_state_is_one_object(client: Client) -> None:
    def helper() -> None: ...

    ids = client.gather(client.map(lambda x: id(helper), range(20), workers=_one(client)))
    assert len(set(ids)) == 1


def _one(client: Client) -> list[str]:
    return list(client.scheduler_info()["workers"])[:1]
