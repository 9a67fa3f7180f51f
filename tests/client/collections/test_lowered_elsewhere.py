"""Coroutines compute large graphs: lowered in a thread, while the loop and all else goes on."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from dask.delayed import Delayed
from helpers import run, until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal import Client, futures_of
from shoal.client.collections import compute as work
from shoal.errors import FutureCancelledError

N = work._SMALL + 100  # tasks, more than are lowered on the loop
REFUSED = r"the task '(few|[ab]-total)' cannot be sent: .*not for the road"
GATES: dict[str, threading.Event] = {}


def inc(x: int) -> int:
    return x + 1


def total(*values: int) -> int:
    return sum(values)


class Gate:
    """A 1 that cannot be pickled before its gate is open."""

    def __init__(self, name: str) -> None:
        self.name = name
        GATES[name] = threading.Event()

    def __reduce__(self) -> Any:
        assert GATES[self.name].wait(30)
        return int, (1,)


class Sour:
    def __reduce__(self) -> Any:
        raise ValueError("not for the road")


def large(name: str, *extra: Any) -> Delayed:
    """N tasks and their total, which has further arguments."""
    dsk: dict[Any, Any] = {(name, i): (inc, i) for i in range(N)}
    dsk[f"{name}-total"] = (total, *[(name, i) for i in range(N)], *extra)
    return Delayed(f"{name}-total", dsk)


VALUE = sum(range(N)) + N


def asynchronously(test: Callable[[Client], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Client(
            processes=False, n_workers=1, threads_per_worker=2, asynchronous=True
        ) as client:
            await test(client)
            gc.collect()
            tasks = client.cluster.scheduler._machine.state.tasks
            await until(lambda: not client._session.machine.state.records, timeout=20)
            await until(lambda: not tasks, timeout=20)
            order = client._session.machine.order
            await until(lambda: not order.graphs)
            assert not (order.expected or order._waiting)

    GATES.clear()
    run(main())


@pytest.mark.parametrize("how", ["compute", "persist", "sync"])
def test_the_loop_goes_on(how: str) -> None:
    async def test(client: Client) -> None:
        x = large("a", Gate("g"))
        if how == "compute":
            future = client.compute(x)
        elif how == "persist":
            (future,) = futures_of(client.persist(x))
        else:
            future = asyncio.ensure_future(client.compute(x, sync=True))
        for i in range(20):
            await asyncio.sleep(0)
            assert await client.submit(inc, i) == i + 1
        if how != "sync":
            later = client.submit(inc, future)
            assert not future.done()
            GATES["g"].set()
            assert await later == VALUE + 2
        GATES["g"].set()
        assert await future == VALUE + 1

    asynchronously(test)


def test_small_graphs_are_lowered_at_once() -> None:
    async def test(client: Client) -> None:
        x = Delayed("few", {"few": (inc, Sour())})
        with pytest.raises(TypeError, match=REFUSED):
            client.compute(x)

    asynchronously(test)


def test_errors_reach_the_futures() -> None:
    async def test(client: Client) -> None:
        future = client.compute(large("a", Gate("g"), Sour()))
        later = client.submit(inc, future)
        rows = client.map(inc, [future, 1])
        GATES["g"].set()
        for failed in (future, later, rows[0]):
            with pytest.raises(TypeError, match=REFUSED):
                await failed
        assert future.status == "error" and await rows[1] == 2
        with pytest.raises(TypeError, match=REFUSED):
            await client.compute(large("b", Sour()), sync=True)
        kept = client.persist(large("b", Sour()))
        with pytest.raises(TypeError, match=REFUSED):
            await client.compute(kept)
        # Under the same name, what can be sent: it begins anew.
        assert await client.compute(large("a", 5)) == VALUE + 5

    asynchronously(test)


def test_dropping_futures_ends_it() -> None:
    async def test(client: Client) -> None:
        order = client._session.machine.order
        future = client.compute(large("a", Gate("g")))
        await asyncio.sleep(0)
        (pending_graph,) = order.graphs
        del future
        gc.collect()
        await until(lambda: pending_graph.stopped)
        GATES["g"].set()

    asynchronously(test)


def test_what_others_wait_for_is_kept() -> None:
    async def test(client: Client) -> None:
        data = client.submit(inc, 1)
        await data
        future = client.compute(large("a", Gate("g")))
        later = client.submit(total, future, data)
        del future, data
        gc.collect()
        assert await client.submit(inc, 1, pure=False) == 2
        GATES["g"].set()
        assert await later == VALUE + 3

    asynchronously(test)


def test_cancelling() -> None:
    async def test(client: Client) -> None:
        future = client.compute(large("a", Gate("g")))
        later = client.submit(inc, future)
        await future.cancel()
        assert future.cancelled()
        GATES["g"].set()
        with pytest.raises(FutureCancelledError):
            await later
        with pytest.raises(FutureCancelledError):
            await future

    asynchronously(test)


def test_closing() -> None:
    async def main() -> Any:
        async with Client(processes=False, n_workers=1, asynchronous=True) as client:
            future = client.compute(large("a", Gate("g")))
            await asyncio.sleep(0)
        GATES["g"].set()
        with pytest.raises(FutureCancelledError):
            await future

    run(main())


def test_graphs_share_what_is_to_come() -> None:
    async def test(client: Client) -> None:
        first = client.persist(large("a", Gate("g")))
        second = client.compute(Delayed("b", {**dict(first.dask), "b": (inc, "a-total")}))
        third = client.compute(large("c", Gate("h"), *futures_of(first)))
        del first
        GATES["h"].set()
        assert await client.submit(inc, 5) == 6
        assert not second.done()
        GATES["g"].set()
        assert await second == VALUE + 2
        assert await third == 2 * VALUE + 2

    asynchronously(test)


_STEP = st.one_of(
    st.tuples(st.just("graph"), st.booleans(), st.integers(0, 9)),
    st.tuples(st.just("submit"), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("map"), st.integers(0, 9), st.integers(0, 9)),
    st.tuples(st.just("drop"), st.integers(0, 9), st.just(0)),
    st.tuples(st.just("open"), st.integers(0, 9), st.just(0)),
    st.tuples(st.just("turn"), st.just(0), st.just(0)),
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_STEP, min_size=3, max_size=14))
def test_any_order_of_calls(steps: list[tuple[str, int, int]]) -> None:
    async def test(client: Client) -> None:
        held: list[tuple[Any, int]] = []  # futures, and what each is to give
        for i, (what, one, other) in enumerate(steps):
            if what == "graph":
                extra = [held[other % len(held)]] if held else []
                gate = [Gate(str(i))] if one else []
                x = large(f"g{i}", *gate, *[future for future, _ in extra])
                held.append((client.compute(x), VALUE + len(gate) + sum(v for _, v in extra)))
                del extra, x
            elif what in ("submit", "map") and held:
                (a, x1), (b, x2) = held[one % len(held)], held[other % len(held)]
                if what == "submit":
                    held.append((client.submit(total, a, b, i), x1 + x2 + i))
                else:
                    held += zip(client.map(inc, [a, b], pure=False), [x1 + 1, x2 + 1], strict=True)
                del a, b
            elif what == "drop" and held:
                del held[one % len(held)]
            elif what == "open" and GATES:
                GATES[list(GATES)[one % len(GATES)]].set()
            elif what == "turn":
                await asyncio.sleep(0)
        for gate in GATES.values():
            gate.set()  # type: ignore[attr-defined]
        results = await client.gather([future for future, _ in held])
        assert results == [value for _, value in held]

    asynchronously(test)
