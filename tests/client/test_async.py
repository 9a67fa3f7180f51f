"""Clients in coroutines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from helpers import run

from shoal.client.client import Client
from shoal.client.futures.as_completed import as_completed
from shoal.client.futures.waiting import wait
from shoal.errors import CancelledError

from .little import Little


def inc(x):
    return x + 1


def div(x, y):
    return x / y


def on_loop(test: Callable[[Client, Little], Awaitable[None]], address: str = "inproc://") -> None:
    async def main() -> None:
        little = await Little().open(address)
        async with little, Client(little.address, asynchronous=True, set_as_default=False) as c:
            await test(c, little)

    run(main())


@pytest.mark.parametrize("address", ["inproc://", "tcp://127.0.0.1:0"])
def test_futures_are_awaited(address: str) -> None:
    async def test(c: Client, little: Little) -> None:
        future = c.submit(inc, 1)
        assert future.status == "pending"
        assert await future == 2
        assert await future.result() == 2
        assert await future.exception() is None
        bad = c.submit(div, 1, 0)
        assert isinstance(await bad.exception(), ZeroDivisionError)
        assert (await bad.traceback()) is not None
        with pytest.raises(ZeroDivisionError):
            await bad
        assert await c.gather(c.map(inc, range(100))) == list(range(1, 101))
        assert await c.gather([bad, future], errors="skip") == [2]
        little.inline = 0
        assert await c.gather({"a": c.submit(inc, 5), "b": [c.submit(inc, 6)]}) == {
            "a": 6,
            "b": [7],
        }
        assert await c.submit(inc, 10) == 11

    on_loop(test, address)


def test_waiting_has_limits() -> None:
    async def test(c: Client, little: Little) -> None:
        little.paused = True
        future = c.submit(inc, 1)
        with pytest.raises(TimeoutError, match="is pending"):
            await future.result(timeout=0.01)
        with pytest.raises(TimeoutError):
            await wait([future], timeout=0.01)
        assert future._record.watch == ()
        little.paused = False
        little.work()
        done, _ = await wait([future])
        assert done == {future}

    on_loop(test)


def test_as_completed() -> None:
    async def test(c: Client, little: Little) -> None:
        futures = c.map(inc, range(3))
        assert {await f async for f in as_completed(futures)} == {1, 2, 3}
        pairs = [pair async for pair in as_completed(futures, with_results=True)]
        assert sorted(result for _, result in pairs) == [1, 2, 3]
        little.paused = True
        late = as_completed([*futures, c.submit(inc, 10)], with_results=True).batches()
        first = await anext(late)
        assert len(first) == 3
        asyncio.get_running_loop().call_soon(little.resume)
        assert [result for _, result in await anext(late)] == [11]
        with pytest.raises(StopAsyncIteration):
            await anext(late)
        little.paused = True
        with pytest.raises(TypeError, match="async for"):
            next(as_completed([c.submit(inc, 20)]))

    on_loop(test)


def test_scatter_cancel_and_questions() -> None:
    async def test(c: Client, little: Little) -> None:
        data = await c.scatter({"x": 1})
        assert await c.submit(inc, data["x"]) == 2
        future = c.submit(inc, 5)
        await future
        await c.cancel([future])
        with pytest.raises(CancelledError):
            await future
        assert await c.nthreads() == {little.address: 2}
        assert c.scheduler_info()["address"] == little.address
        await c.wait_for_workers(1)
        with pytest.raises(TypeError, match="pass a list"):
            c.gather(iter([future]))

    on_loop(test)


def test_work_may_be_submitted_before_the_connection_is_there() -> None:
    async def main() -> None:
        async with Little() as little:
            await little.open()
            client = Client(little.address, asynchronous=True, set_as_default=False)
            future = client.submit(inc, 1)
            assert await future == 2
            await client.close()
            assert client.status == "closed"

    run(main())


def test_no_scheduler() -> None:
    async def main() -> None:
        client = Client(
            "tcp://127.0.0.1:1", timeout="50ms", asynchronous=True, set_as_default=False
        )
        future = client.submit(inc, 1)
        with pytest.raises(CancelledError, match=r"127\.0\.0\.1:1"):
            await future
        with pytest.raises(OSError, match=r"127\.0\.0\.1:1"):
            await client

    run(main())


def test_a_blocking_client_is_awaited_on_another_loop() -> None:
    """A notebook's loop, say."""
    from shoal._base.loop import LoopRunner

    runner = LoopRunner()
    runner.start()

    async def make() -> Little:
        return await Little().open()

    little: Any = runner.run_sync(make)
    try:
        with Client(little.address, set_as_default=False) as client:
            little.inline = 0
            future = client.submit(inc, 1)

            async def main() -> None:
                assert await future == 2
                assert await client.gather([future], asynchronous=True) == [2]

            run(main())
    finally:
        runner.run_sync(little.close)
