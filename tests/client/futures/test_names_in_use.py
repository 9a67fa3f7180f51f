"""Futures of names that are used again: when they end, and which of them a name in a graph is."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator

import pytest
from dask import delayed

from shoal import Client, Future


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(processes=False, n_workers=1, dashboard_address=None) as client:
        yield client


def inc(x: int) -> int:
    return x + 1


def test_data_under_a_name_that_is_in_use(client: Client) -> None:
    first = client.scatter({"name": 1})["name"]
    second = client.scatter({"name": 2})["name"]
    assert (first.result(), second.result()) == (1, 2)
    assert client.gather([delayed(inc)(first).persist(), delayed(inc)(second).persist()])
    assert (delayed(inc)(first).compute(), delayed(inc)(second).compute()) == (2, 3)
    assert client.get({"y": (inc, second)}, "y") == 3
    assert Future(second, client=client).result() == 2
    assert client.submit(lambda x: x["a"][0] + 1, {"a": [second]}).result() == 3
    del first, second
    assert client.scatter({"name": 3})["name"].result() == 3


@pytest.mark.skipif(
    sys.version_info[:2] == (3, 12),
    reason="a generator that is closed is linked to who closes it: it ends with the collector",
)
def test_a_failed_future_ends_though_its_error_was_looked_at(client: Client) -> None:
    future = client.submit(divmod, 1, 0)
    error = future.exception(timeout=10)
    assert isinstance(error, ZeroDivisionError)
    alive = weakref.ref(future)
    gc.disable()
    try:
        del future, error
        assert alive() is None
    finally:
        gc.enable()


def test_equal_data_is_scattered_again_and_again(client: Client) -> None:
    """While results of it are held, and in the moment in which the last of it is dropped."""
    held: list[Future] = []
    for i in range(40):
        data = client.scatter([7] * 50)
        future = client.submit(lambda *values: sum(values), *data, i, pure=False)
        del data
        assert future.result(timeout=10) == 350 + i
        if i % 3:
            held.append(future)
    assert client.gather(held) == [350 + i for i in range(40) if i % 3]


def test_a_key_is_used_again_after_its_future_is_gone(client: Client) -> None:
    for i in range(20):
        assert client.submit(lambda i: i, i, key="same").result(timeout=10) == i
        futures = client.map(lambda x, i: x + i, [0, 100], i=i, key=["same-0", "same-1"])
        assert client.gather(futures) == [i, 100 + i]
        del futures


def test_a_key_is_used_again_while_tasks_wait_for_what_it_meant(client: Client) -> None:
    made = []
    for i in range(20):
        first = client.submit(lambda i: i, i, key="meant")
        made.append(client.submit(inc, first, pure=False))
        del first
    assert client.gather(made) == list(range(1, 21))
