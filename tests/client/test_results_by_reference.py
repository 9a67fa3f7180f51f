"""Results that are in this process are the very objects; those that cannot be sent say so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from shoal import Client, LocalCluster, as_completed, get_client, get_worker, wait


class Sealed:
    """No pickle of it can be made."""

    def __reduce__(self) -> str:
        raise RuntimeError("not to be pickled")


def sealed() -> Sealed:
    return Sealed()


def generator() -> Any:
    return (i for i in range(3))


def here() -> list[str]:
    return [get_worker().address]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(n_workers=2, processes=False) as client:
        yield client


def test_on_sockets_a_result_is_a_copy() -> None:
    with (
        LocalCluster(n_workers=2, processes=False, protocol="tcp") as cluster,
        Client(cluster) as client,
    ):
        future = client.submit(np.zeros, 100_000)
        future.result()[:] = 1
        assert future.result().sum() == 0


@pytest.mark.parametrize("make", [list, lambda: np.zeros(100_000), lambda: [None] * 5000, sealed])
def test_of_workers_in_this_process(client: Client, make: Any) -> None:
    future = client.submit(make, pure=False)
    result = future.result()
    assert result is future.result() and result is client.gather(future)
    [(_, again)] = as_completed([future], with_results=True, timeout=20)
    assert again is result
    workers = list(client.scheduler_info()["workers"])
    same = [
        client.submit(lambda x: id(x), future, workers=[worker], pure=False).result()
        for worker in workers
    ]
    assert same == [id(result)] * 2, "between workers, too"
    assert client.submit(list, pure=False).result() is not client.submit(list, pure=False).result()


def test_futures_in_results_are_those_of_the_client(client: Client) -> None:
    def nested() -> list[Any]:
        return [get_client().submit(abs, -4)]

    [inner] = client.submit(nested).result()
    assert inner.client is client and inner.result() == 4


@pytest.fixture(scope="module")
def remote() -> Iterator[Client]:
    with Client(n_workers=1, threads_per_worker=2) as client:
        yield client


def one_object(make: Any) -> list[bool]:
    client = get_client()
    future = client.submit(make, pure=False, workers=here())
    result = future.result()
    [(_, second)] = as_completed([future], with_results=True)
    return [result is future.result(), client.gather(future) is result, second is result]


@pytest.mark.process
@pytest.mark.parametrize("make", [list, sealed, generator, threading.Lock])
def test_in_a_task_of_the_same_worker(remote: Client, make: Any) -> None:
    assert remote.submit(one_object, make).result() == [True] * 3


@pytest.mark.process
def test_what_cannot_be_sent_fails_alone(remote: Client) -> None:
    bad, good = remote.submit(generator), remote.submit(abs, -1)
    large = remote.submit(bytes, 100_000)
    wait([bad, good, large])
    for direct in (True, False, None):
        with pytest.raises(TypeError, match="cannot pickle 'generator'"):
            remote.gather([bad, large], direct=direct)
        assert len(remote.gather(large, direct=direct)) == 100_000
    every = [bad, good, large]
    found = dict(as_completed(every, with_results=True, raise_errors=False, timeout=20))
    assert isinstance(found[bad], TypeError) and found[good] == 1 and len(found[large]) == 100_000
    batches = as_completed(every, with_results=True, timeout=20).batches()
    seen, failed = [], 0
    while len(seen) + failed < 3:
        try:
            seen += next(batches)
        except TypeError as error:
            failed += 1
            assert "generator" in str(error)
    assert {future.key for future, _ in seen} == {good.key, large.key} and failed == 1

    async def collect() -> list[Any]:
        return [pair async for pair in as_completed(every, with_results=True)]

    with pytest.raises(TypeError, match="generator"):
        asyncio.run(asyncio.wait_for(collect(), 20))
    assert remote.submit(type, bad).result().__name__ == "generator"
