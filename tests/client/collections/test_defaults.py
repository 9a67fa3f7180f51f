"""Which client dask computes with, and what becomes of dask's configuration."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import dask
import dask.array as da
import pytest
from dask import delayed
from dask.utils import get_default_shuffle_method, get_scheduler_lock
from helpers import run

import shoal
from shoal import Client, LocalCluster, get_worker


def where() -> str:
    return str(get_worker().address)


def inc(x: int) -> int:
    return x + 1


@pytest.fixture(scope="module")
def clusters() -> Iterator[list[LocalCluster]]:
    with (
        LocalCluster(processes=False, n_workers=1) as one,
        LocalCluster(processes=False, n_workers=1) as two,
    ):
        yield [one, two]


def home(cluster: LocalCluster) -> str:
    return next(iter(cluster.workers.values())).address


def asked() -> str:
    return str(delayed(where, pure=False)().compute())


def test_the_newest_client_computes_and_gives_its_place_back(clusters: list[LocalCluster]) -> None:
    one, two = clusters
    assert dask.config.get("scheduler", None) is None
    with Client(one) as first:
        assert asked() == home(one)
        with Client(two):
            assert asked() == home(two)
            with first.as_current():
                assert asked() == home(one)
            assert delayed(where, pure=False)().compute(scheduler=first) == home(one)
        assert asked() == home(one)
    assert dask.config.get("scheduler", None) is None
    assert dask.config.get("dataframe.shuffle.method", None) is None
    assert delayed(inc)(1).compute() == 2  # dask's own threads


def test_a_client_that_is_no_default(clusters: list[LocalCluster]) -> None:
    with Client(clusters[0], set_as_default=False) as client:
        assert dask.config.get("scheduler", None) is None
        with client.as_current():
            assert asked() == home(clusters[0])
            with pytest.raises(ValueError, match="No worker"):  # other threads: dask's own
                raise _in_thread(asked)
        assert asked_locally()
    assert dask.config.get("scheduler", None) is None


def test_the_current_client_goes_before_a_scheduler_that_was_set(
    clusters: list[LocalCluster],
) -> None:
    with Client(clusters[0]) as client:
        with dask.config.set(scheduler="threads"):
            assert asked_locally()
            with client.as_current():
                assert asked() == home(clusters[0])
            assert asked_locally()
        assert asked() == home(clusters[0])
    assert dask.config.get("scheduler", None) is None


def _in_thread(function: Any) -> BaseException:
    errors: list[BaseException] = []

    def call() -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    return errors[0]


def asked_locally() -> bool:
    try:
        asked()
    except ValueError:
        return True
    return False


def test_the_users_settings_win(clusters: list[LocalCluster]) -> None:
    with dask.config.set({"dataframe.shuffle.method": "disk"}):
        with Client(clusters[0]):
            assert get_default_shuffle_method() == "disk"
            assert dask.config.get("array.rechunk.method", None) is None
            with dask.config.set(scheduler="synchronous"):
                assert asked_locally()
            assert asked() == home(clusters[0])
            with dask.config.set({"array.rechunk.method": "p2p"}):
                assert dask.config.get("array.rechunk.method") == "p2p"
        assert get_default_shuffle_method() == "disk"


def test_a_scheduler_of_before_comes_back(clusters: list[LocalCluster]) -> None:
    with dask.config.set(scheduler="synchronous"):
        with Client(clusters[0]):
            assert asked() == home(clusters[0])
        assert dask.config.get("scheduler") == "synchronous"
        with Client(clusters[0]):
            dask.config.set(scheduler="threads")
        assert dask.config.get("scheduler") == "threads"
    dask.config.set(scheduler=None)


def test_the_best_method_is_the_default(clusters: list[LocalCluster]) -> None:
    pytest.importorskip("dask.dataframe")
    with Client(clusters[0]):
        assert get_default_shuffle_method() == "p2p"
        x = da.ones((40, 40), chunks=(1, 40)).rechunk((40, 1))
        assert "p2p" in x.name
        assert x.sum().compute() == 1600


def test_tasks_compute_with_the_client_of_their_worker(clusters: list[LocalCluster]) -> None:
    """One thread: the task that waits makes room for those it waits for."""

    def outer() -> tuple[int, bool]:
        shoal.get_client()
        values = dask.compute(*[delayed(inc)(i) for i in range(5)])
        return sum(values), asked() == where()

    with Client(processes=False, n_workers=1, threads_per_worker=1) as client:
        assert client.submit(outer).result(timeout=20) == (15, True)


def test_await_a_collection(clusters: list[LocalCluster], monkeypatch: Any) -> None:
    """dask finds `futures_of` and `wait` under the name that shoal answers to."""
    name = types.ModuleType("distributed")
    name.futures_of, name.wait = shoal.futures_of, shoal.wait  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "distributed", name)

    async def main() -> None:
        async with Client(clusters[0].scheduler_address, asynchronous=True) as client:
            x = client.persist(da.ones(10, chunks=5) + 1)
            assert await x is x
            assert all(f.done() for f in client.futures_of(x))
            assert await client.compute(x.sum()) == 20
            assert await client.get({"x": (inc, 1)}, ["x"]) == [2]
            assert await client.compute([x.sum(), x.max()], sync=True) == [20, 2]
            assert await client.gather(client.get({"y": (inc, 4)}, ["y"], sync=False)) == [5]

    run(main())


def test_what_dask_finds_is_a_method_of_the_client(clusters: list[LocalCluster]) -> None:
    with Client(clusters[0]) as client:
        # xarray chooses its locks by this.
        assert dask.base.get_scheduler().__self__ is client


def test_dask_persists_in_coroutines(clusters: list[LocalCluster]) -> None:
    """It does not block, other than dask.compute, which says what to do instead."""

    async def main() -> None:
        async with Client(clusters[0].scheduler_address, asynchronous=True) as client:
            (x,) = dask.persist(da.ones(10, chunks=5) + 1)
            assert shoal.futures_of(x)
            assert await client.compute(x.sum()) == 20
            assert isinstance(get_scheduler_lock(x), shoal.Lock)
            with pytest.raises(RuntimeError, match=r"await client\.compute"):
                x.compute()
            with (
                dask.config.set({"admin.async-client-fallback": "synchronous"}),
                pytest.warns(UserWarning, match="synchronous"),
            ):
                assert (da.ones(10, chunks=5) + 1).sum().compute() == 20

    run(main())


def test_dask_persists_on_the_loop_of_a_client(clusters: list[LocalCluster]) -> None:
    """What dask-ml does: a coroutine on the loop of a client that is none of coroutines."""

    async def main() -> Any:
        (x,) = dask.persist(da.ones(10, chunks=5))
        with pytest.raises(RuntimeError, match=r"await client\.compute"):
            x.sum().compute()
        return await shoal.default_client().compute(x.sum())

    with Client(clusters[0]) as client:
        assert client.sync(main) == 10
