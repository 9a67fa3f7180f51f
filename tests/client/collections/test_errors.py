"""Errors in graphs, computations that end early, and what cannot be sent."""

from __future__ import annotations

import asyncio
import signal
import threading
import traceback
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
from dask import delayed
from helpers import wait_until

from shoal import Client, futures_of
from shoal.errors import FutureCancelledError

GO = threading.Event()
RAN: list[Any] = []


def inc(x: int) -> int:
    return x + 1


def note(x: Any) -> Any:
    RAN.append(x)
    return x


def hold(x: Any) -> Any:
    RAN.append(x)
    GO.wait(30)
    return x


def fail(x: int) -> int:
    raise ZeroDivisionError(f"no {x}")


@pytest.fixture(autouse=True)
def _fresh() -> Any:
    GO.clear()
    RAN.clear()
    yield
    GO.set()


def frames(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def test_an_error_shows_the_users_frames_and_the_key(client: Client) -> None:
    bad = delayed(fail)(delayed(inc)(1), dask_key_name=("bad", 3))
    with pytest.raises(ZeroDivisionError, match="no 2") as info:
        delayed(inc)(bad).compute()
    text = frames(info.value)
    assert "in fail" in text and "test_errors.py" in text
    assert "Raised by the task ('bad', 3)" in text


def test_an_error_in_a_fused_task_shows_the_users_frames(client: Client) -> None:
    x = da.ones(4, chunks=2).map_blocks(lambda block: block / fail(block[0]), dtype=float)
    with pytest.raises(ZeroDivisionError) as info:
        (x + 1).compute()
    assert "in fail" in frames(info.value) and "Raised by the task" in frames(info.value)
    assert "shoal/worker" not in frames(info.value)


def test_an_error_of_an_inner_call(client: Client) -> None:
    with pytest.raises(ZeroDivisionError, match="no 1") as info:
        client.get({"x": 1, "y": (inc, (fail, "x"))}, "y")
    assert "in fail" in frames(info.value)


def test_what_cannot_be_sent_is_named(client: Client) -> None:
    lock = threading.Lock()
    with pytest.raises(TypeError, match=r"'keyed' cannot be sent.*lock"):
        delayed(inc)(lock, dask_key_name="keyed").compute()
    with pytest.raises(TypeError, match=r"cannot be sent.*lock"):
        client.get({f"x-{i}": (note, i) for i in range(5000)} | {"y": (note, lock)}, ["x-1", "y"])
    assert client.get({"x-1": (inc, 1)}, "x-1") == 2


def test_a_cycle(client: Client) -> None:
    with pytest.raises(RuntimeError, match=r"[Cc]ycle"):
        client.get({"x": (inc, "y"), "y": (inc, "x")}, "x")


def test_persisted_parts_that_were_cancelled(client: Client) -> None:
    x = client.persist(da.ones(4, chunks=2) + 7)
    client.cancel(futures_of(x)[0])
    with pytest.raises(FutureCancelledError):
        x.sum().compute()


def test_dropped_futures_cancel(client: Client) -> None:
    futures = client.compute([delayed(hold)(i) for i in range(50)])
    wait_until(lambda: RAN)
    del futures
    GO.set()
    client.submit(inc, 1, pure=False).result()
    wait_until(lambda: not any(client.processing().values()))
    assert len(RAN) < 50


def test_ctrl_c_cancels(client: Client) -> None:
    many = [delayed(hold)(i, dask_key_name=f"ctrl-c-{i}") for i in range(40)]

    def interrupt() -> None:
        wait_until(lambda: RAN)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        dask.compute(*many)
    thread.join()
    wait_until(lambda: not client._session.records.keys() & {f"ctrl-c-{i}" for i in range(40)})
    wait_until(lambda: sum(len(keys) for keys in client.processing().values()) <= 4)
    GO.set()
    wait_until(lambda: not any(client.processing().values()))
    assert len(RAN) < 40


def test_large_constants_warn_once(client: Client) -> None:
    big = np.zeros(11 * 2**20 // 8)
    with pytest.warns(UserWarning, match=r"11.00 MiB.*client\.scatter") as caught:
        total = dask.compute(*[delayed(lambda x, i: x[i])(big, i) for i in range(10)])
    assert total == (0.0,) * 10 and len(caught) == 1
    with pytest.warns(UserWarning, match="with what it refers to"):
        assert delayed(lambda: big[0])().compute() == 0


def test_errors_of_asynchronous_clients() -> None:
    async def main() -> None:
        async with Client(processes=False, asynchronous=True, n_workers=1) as client:
            with pytest.raises(RuntimeError, match="asynchronous"):
                delayed(inc)(1).compute(scheduler=client)
            with pytest.raises(ZeroDivisionError):
                await client.compute(delayed(fail)(1))
            with pytest.raises(ZeroDivisionError):
                await client.get({"x": (fail, 1)}, "x")
            with pytest.raises(ZeroDivisionError):
                await client.compute(delayed(fail)(2), sync=True)

    asyncio.run(main())
