"""Events: logged, remembered, pushed to those who subscribed to their topic."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

import pytest
from helpers import run, until, wait_until

from shoal import Client, Scheduler, Worker, get_worker


def test_events_are_pushed_in_order_to_functions_and_coroutine_functions() -> None:
    async def main() -> None:
        got: list[Any] = []
        slow: list[Any] = []

        async def later(event: tuple[float, Any]) -> None:
            await asyncio.sleep(0)
            slow.append(event[1])

        async with (
            Scheduler(protocol="inproc") as s,
            Worker(s.address, nthreads=1) as a,
            Client(s.address, asynchronous=True, set_as_default=False) as c,
            Client(s.address, asynchronous=True, set_as_default=False) as other,
        ):
            await c.subscribe_topic("news", got.append)
            await other.subscribe_topic("news", later)
            for i in range(5):
                await other.log_event("news", {"n": i})
            await c.log_event(["news", "more"], [1, "two"])
            await until(lambda: len(got) == 6 and len(slow) == 6)
            assert [message for _, message in got] == [*({"n": i} for i in range(5)), [1, "two"]]
            assert slow == [message for _, message in got]
            remembered = await c.get_events("news")
            assert [message for _, message in remembered] == slow
            assert remembered[0][0] == pytest.approx(got[0][0], abs=1)
            assert "more" in await c.get_events()

            def task() -> None:
                get_worker().log_event("news", "from a task")

            await c.submit(task)
            await until(lambda: got[-1][1] == "from a task")
            a.log_event("news", "from a worker")
            await until(lambda: got[-1][1] == "from a worker")
            await c.unsubscribe_topic("news")
            await c.log_event("news", "unheard")
            await until(lambda: slow[-1] == "unheard")
            assert got[-1][1] == "from a worker"
            with pytest.raises(ValueError, match="no handler for the topic 'news'"):
                await c.unsubscribe_topic("news")
            with pytest.raises(TypeError, match="only plain data"):
                await c.log_event("news", object())
            with pytest.raises(TypeError, match="a topic is named by text, got 3"):
                await c.log_event([3], 1)  # type: ignore[list-item]
            with pytest.raises(TypeError, match="a handler must be callable"):
                await c.subscribe_topic("news", 3)  # type: ignore[arg-type]
            await other.close()
            await until(lambda: "news" not in s.topics.subscribers)

    run(main())


def test_what_the_scheduler_logs_has_a_topic() -> None:
    async def main() -> None:
        got: list[Any] = []
        async with (
            Scheduler(protocol="inproc") as s,
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            await c.subscribe_topic("all", lambda event: got.append(event[1]))
            async with Worker(s.address, nthreads=1) as a:
                await until(lambda: {"action": "add-worker", "worker": a.address} in got)

    run(main())


def test_handlers_of_a_sync_client_may_wait_and_may_fail(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Client(processes=False, n_workers=1, dashboard_address=None) as client:
        got: list[Any] = []

        def handler(event: tuple[float, Any]) -> None:
            if event[1] == "bad":
                raise ValueError("no luck")
            got.append((client.submit(len, event[1]).result(), threading.current_thread().name))

        client.subscribe_topic("t", handler)
        with caplog.at_level(logging.ERROR, "shoal"):
            client.log_event("t", "bad")
            client.log_event("t", "four")
            wait_until(lambda: got)
        assert got == [(4, "shoal-callbacks")]
        assert "the handler of topic 't' failed" in caplog.text
        client.unsubscribe_topic("t")


def test_a_client_that_connects_again_subscribes_again() -> None:
    async def main() -> None:
        got: list[Any] = []
        async with (
            Scheduler(host="127.0.0.1") as s,
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            await c.subscribe_topic("t", lambda event: got.append(event[1]))
            stream = c._session.stream
            assert stream is not None
            forgotten: list[str] = []
            forget = s.topics.forget
            s.topics.forget = lambda client: (  # type: ignore[method-assign]
                forgotten.append(client),
                forget(client),
            )
            stream.abort()
            await until(lambda: forgotten)
            await until(lambda: c.id in s.topics.subscribers.get("t", {}))
            await c.log_event("t", 1)
            await until(lambda: got == [1])

    run(main())
