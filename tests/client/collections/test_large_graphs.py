"""A graph of 100,000 tasks: sent in parts, while the loop goes on."""

from __future__ import annotations

import threading
from typing import Any

from helpers import wait_until

from shoal import Client
from shoal.client.collections import sending
from shoal.client.core.events import Submitted
from shoal.client.session import outbox
from shoal.wire.messages import Graph

GO = threading.Event()


def hold() -> int:
    GO.wait(60)
    return 1


def add(x: int, *others: int) -> int:
    return x + sum(others)


def test_100_000_tasks_are_sent_while_the_loop_goes_on(client: Client, monkeypatch: Any) -> None:
    GO.clear()
    dsk: dict[Any, Any] = {"first": (hold,)}
    dsk.update({("leaf", i): (add, "first", i) for i in range(90_000)})
    dsk.update({("sum", i): (add, *[("leaf", 9 * i + k) for k in range(9)]) for i in range(10_000)})
    dsk["total"] = (add, *[("sum", i) for i in range(10_000)])
    ticks: list[int] = []  # tasks that were told at each turn of the ticker
    told: list[int] = []
    over: list[bool] = []
    stream = client._session.stream
    send = stream.send

    def watch(messages: Any) -> None:
        told.extend(len(m.keys) for m in messages if isinstance(m, Graph))
        send(messages)

    def tick() -> None:
        if not over:
            ticks.append(sum(told))
            client.loop.call_later(0.001, tick)

    monkeypatch.setattr(stream, "send", watch)
    client.loop.call_soon_threadsafe(tick)
    future = client.get(dsk, "total", sync=False)
    wait_until(lambda: sum(told) == len(dsk))
    over.append(True)
    assert max(told) <= sending._PART, "no message holds all of it"
    assert len(set(ticks)) > 25, "the loop went on between the parts"
    assert ticks.count(0) > 50, "and while the graph was put in order"
    counts = client.cluster.scheduler._machine.state.tasks
    wait_until(lambda: len(counts) > 90_000, timeout=30)  # progress can be watched
    future.release()
    GO.set()
    wait_until(lambda: not counts, timeout=30)
    wait_until(lambda: not client._session.machine.state.records, timeout=30)


def test_work_begins_before_all_is_sent(client: Client, monkeypatch: Any) -> None:
    """The last part waits until a task of the first one has run."""
    ran = threading.Event()
    tell = sending._Sender._tell
    parts: list[int] = []

    def wait(self: Any, records: Any) -> None:
        if parts:
            assert ran.wait(20)
        parts.append(len(records))
        tell(self, records)

    monkeypatch.setattr(sending._Sender, "_tell", wait)
    Began.event = ran
    dsk: dict[Any, Any] = {("b", 0): (Began(),)}
    dsk.update({("b", i): (add, ("b", i - 1), 1) for i in range(1, 3000)})
    assert client.get(dsk, ("b", 2999)) == 3000
    assert parts == [64, 128, 256, 512, 1024, 1016]


def test_a_part_is_on_its_way_before_the_next_is_lowered(client: Client, monkeypatch: Any) -> None:
    """Or the thread that lowers would keep the loop from sending it, and workers wait for it."""
    monkeypatch.setattr(outbox, "_TIMEOUT", 20)
    tell = sending._Sender._tell
    left: list[int] = []

    def look(self: Any, records: Any) -> None:
        left.append(sum(type(item) is Submitted for item in list(self._session.outbox)))
        tell(self, records)

    monkeypatch.setattr(sending._Sender, "_tell", look)
    dsk: dict[Any, Any] = {("a", i): (add, i, 1) for i in range(1000)}
    assert client.get(dsk, list(dsk)) == list(range(1, 1001))
    assert left == [0, 0, 0, 0, 0]


class Began:
    """A function that says that it runs."""

    event: threading.Event

    def __call__(self) -> int:
        Began.event.set()
        return 1
