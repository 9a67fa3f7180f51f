"""Primitives with an asynchronous client: methods return awaitables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from helpers import run, until

from shoal import Client, Event, Lock, MultiLock, Pub, Queue, Scheduler, Semaphore, Sub, Variable
from shoal.scheduler.core.coordination.state import coordination_of


@asynccontextmanager
async def clients() -> AsyncIterator[tuple[Scheduler, Client, Client]]:
    async with (
        Scheduler(host="127.0.0.1", validate=True) as scheduler,
        Client(scheduler.address, asynchronous=True) as one,
        Client(scheduler.address, asynchronous=True, set_as_default=False) as two,
    ):
        yield scheduler, one, two


def waiting(scheduler: Scheduler) -> int:
    coordination = coordination_of(scheduler.core.state)
    return 0 if coordination is None else sum(map(len, coordination.waiting.values()))


def test_all_of_them() -> None:
    async def main() -> None:
        async with clients():
            queue = await Queue("q")
            await queue.put(1)
            assert await queue.qsize() == 1 and await queue.get() == 1
            with pytest.raises(TimeoutError):
                await queue.get(timeout=0.01)
            await queue.close()
            variable = Variable("v")
            await variable.set((1, 2))
            assert await variable.get() == (1, 2)
            await variable.delete()
            event = await Event("e")
            assert await event.wait(timeout=0.01) is False
            await event.set()
            assert await event.wait() and await event.is_set()
            await event.clear()
            async with Lock("l") as lock:
                assert await lock.locked()
                assert await Lock("l").acquire(blocking=False) is False
            async with MultiLock(["l", "m"]) as locks:
                assert locks.names == ["l", "m"]
            semaphore = await Semaphore(2, "s")
            async with semaphore:
                assert await semaphore.get_value() == 1
            assert await semaphore.acquire() and await semaphore.release()
            with pytest.raises(RuntimeError, match="async with"), lock:
                pass

    run(main())


def test_first_come_first_served() -> None:
    async def main() -> None:
        async with clients() as (scheduler, one, two):
            order: list[int] = []

            async def work(i: int) -> None:
                async with Lock("l", client=(one, two)[i % 2]):
                    order.append(i)

            holder = Lock("l")
            await holder.acquire()
            tasks = []
            for i in range(6):
                tasks.append(asyncio.ensure_future(work(i)))
                await until(lambda i=i: waiting(scheduler) == i + 1)
            await holder.release()
            await asyncio.gather(*tasks)
            assert order == list(range(6))

    run(main())


def test_a_cancelled_waiter_takes_nothing() -> None:
    async def main() -> None:
        async with clients() as (scheduler, _, two):
            queue, lock = Queue("q"), Lock("l")
            for _ in range(20):
                get = asyncio.ensure_future(queue.get())
                acquire = asyncio.ensure_future(lock.acquire())
                await asyncio.sleep(0)
                await Queue("q", client=two).put(1)
                get.cancel()
                acquire.cancel()
                done = await asyncio.gather(get, acquire, return_exceptions=True)
                if done[0] == 1:
                    await queue.put(1)
                if done[1] is True:
                    await lock.release()
                assert await Queue("q", client=two).get(timeout=5) == 1
                other = Lock("l", client=two)
                assert await other.acquire(timeout=5)
                await other.release()
            assert waiting(scheduler) == 0

    run(main())


def test_futures_change_hands() -> None:
    async def main() -> None:
        async with clients() as (scheduler, one, two):
            future = (await one.scatter([5])) if scheduler.workers else one.submit(int, key="k")
            await Queue("q").put(future)
            future.release()
            got = await Queue("q", client=two).get()
            assert got.key == "k" and got.client is two
            await until(lambda: [c.id for c in scheduler.tasks["k"].who_wants] == [two.id])

    run(main())


def test_pubsub() -> None:
    async def main() -> None:
        async with clients() as (_, one, two):
            sub = await Sub("t", client=two)
            again = Sub("t", client=two)
            pub = await Pub("t", client=one)
            await again
            pub.put({"a": [1]})
            assert await sub.get() == {"a": [1]} and await again.get(timeout=5) == {"a": [1]}
            with pytest.raises(TimeoutError, match=r"nothing came from 't' within 0\.01 s"):
                await sub.next(timeout="10ms")
            for i in range(3):
                pub.put(i)
            seen = []
            async for message in sub:
                seen.append(message)
                if message == 2:
                    break
            assert seen == [0, 1, 2]
            waiter = asyncio.ensure_future(sub.get())
            await asyncio.sleep(0)
            sub.close()
            with pytest.raises(RuntimeError, match="it was closed"):
                await waiter
            pub.close()
            with pytest.raises(RuntimeError, match="is closed"):
                pub.put(1)

    run(main())


def test_a_pub_that_is_not_awaited_loses_nothing() -> None:
    async def main() -> None:
        async with clients() as (_, one, two):
            sub = await Sub("t", client=two)
            pub = Pub("t", client=one)
            for i in range(3):
                pub.put(i)
            assert [await sub.get(timeout=5) for _ in range(3)] == [0, 1, 2]

    run(main())


def test_cancelled_subscribers_pass_on_what_they_were_given() -> None:
    async def main() -> None:
        async with clients() as (_, one, two):
            sub, pub = await Sub("t", client=two), await Pub("t", client=one)
            for i in range(20):
                first = asyncio.ensure_future(sub.get())
                await asyncio.sleep(0)
                pub.put(i)
                for _ in range(i):
                    await asyncio.sleep(0)
                first.cancel()
                (got,) = await asyncio.gather(first, return_exceptions=True)
                assert got == i or await sub.get(timeout=5) == i

    run(main())


def test_a_connection_that_breaks_costs_nothing() -> None:
    """The client is back at once: it holds what it held, and what it waits for comes once."""

    async def main() -> None:
        async with clients() as (scheduler, one, two):
            lock = Lock("l", client=one)
            await lock.acquire()
            acquire = asyncio.ensure_future(Lock("l", client=two).acquire())
            get = asyncio.ensure_future(Queue("q", client=one).get())
            sub = await Sub("t", client=one)
            await until(lambda: waiting(scheduler) == 2)
            before = scheduler.clients[one.id]
            assert one._connection is not None and one._connection._stream is not None
            one._connection._stream.comm.abort()
            await until(lambda: scheduler.clients.get(one.id, before) is not before)
            await until(lambda: waiting(scheduler) == 2)
            await Queue("q", client=two).put(1)
            assert await get == 1
            await asyncio.wait([acquire], timeout=1.2)  # longer than lost holders have
            assert not acquire.done() and await Queue("q", client=two).qsize() == 0
            await lock.release()
            assert await acquire is True
            (await Pub("t", client=two)).put(2)
            assert await sub.get(timeout=5) == 2

    run(main())


def test_what_gives_something_back_need_not_be_awaited() -> None:
    async def main() -> None:
        async with clients() as (scheduler, one, _):
            variable, future = Variable("v"), one.submit(abs, -1)
            await variable.set(future)
            key = future.key
            del future
            await one.scheduler.identity()
            assert key in scheduler.core.state.tasks
            variable.delete()
            await until(lambda: key not in scheduler.core.state.tasks)
            queue = Queue("q")
            await queue.put(1)
            queue.close()
            assert await queue.qsize() == 0
            event = Event("e")
            event.set()
            assert await event.wait(timeout=5)
            event.clear()
            assert not await event.is_set()
            lock = Lock("l")
            assert await lock.acquire()
            lock.release()
            assert not await lock.locked()
            semaphore = await Semaphore(1, "s")
            assert await semaphore.acquire()
            semaphore.release()
            assert await semaphore.get_value() == 0

    run(main())
