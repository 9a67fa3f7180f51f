"""Futures in values that are on their way into queues, variables and datasets."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.client.core import events as e
from shoal.client.core.asks import Asking
from shoal.client.core.invariants import check
from shoal.client.core.machine import Machine
from shoal.client.core.state import PendingGraph, Record
from shoal.wire import messages as m

from .model import INC, task


class Speaker:
    """A client's core, and what it said."""

    def __init__(self, connected: bool = True) -> None:
        INC.function.tasks = 0  # it is shared by all tests
        self.machine = Machine("client")
        self.said: list[Any] = []
        if connected:
            self.handle(e.Connected())

    def handle(self, event: Any) -> None:
        self.said += self.machine.handle(event, 0.0).messages
        check(self.machine)

    def submit(self, key: str) -> Record:
        record = task(key)
        self.handle(e.Submitted([record]))
        return record

    def put(self, *keys: str, id: int = 1) -> Asking:
        asking = Asking(m.Ask(id, "queue", "q", "put", [0, b""], list(keys)), lambda asking: None)
        self.handle(e.RequestMade(asking))
        return asking

    def answer(self, id: int = 1) -> None:
        self.handle(e.FromScheduler([m.Answer(id, None)]))

    def released(self) -> list[str]:
        return [key for each in self.said if type(each) is m.Release for key in each.keys]

    def knows(self, key: str) -> bool:
        return key in self.machine.state.records


def test_a_scheduler_that_is_found_later_is_told_of_the_task() -> None:
    client = Speaker(connected=False)
    client.submit("x")
    client.put("x")
    client.handle(e.Released(["x"]))
    client.handle(e.Connected())
    (graph,) = [each for each in client.said if type(each) is m.Graph]
    assert graph.keys == ["x"] and type(client.said[-1]) is m.Resume
    assert not client.released()
    client.answer()
    assert client.released() == ["x"] and not client.knows("x")


def test_another_scheduler_is_told_of_it_too() -> None:
    client = Speaker()
    client.submit("x")
    client.put("x")
    client.handle(e.Released(["x"]))
    client.handle(e.Disconnected())
    client.said.clear()
    client.handle(e.Connected())
    assert [each.keys for each in client.said if type(each) is m.Graph] == [["x"]]


def test_it_stays_until_the_last_value_arrived() -> None:
    client = Speaker()
    client.submit("x")
    client.put("x", "x")
    client.put("x", id=2)
    client.handle(e.Released(["x"]))
    client.answer(2)
    assert client.knows("x") and not client.released()
    client.answer(1)
    assert client.released() == ["x"]


def test_who_submits_it_again_keeps_it() -> None:
    client = Speaker()
    client.submit("x")
    client.put("x")
    client.handle(e.Released(["x"]))
    again = client.submit("x")
    client.answer()
    assert client.machine.state.records["x"] is again and not client.released()
    client.handle(e.Released(["x"]))
    assert client.released() == ["x"]


@pytest.mark.parametrize("back", [True, False])
def test_who_does_not_wait_for_it_lets_it_go(back: bool) -> None:
    client = Speaker(connected=False)
    client.submit("x")
    asking = client.put("x")
    client.handle(e.Released(["x"]))
    client.handle(e.Unasked(asking, back))
    assert not client.knows("x")


def test_a_time_limit_that_is_over_when_the_connection_breaks_lets_it_go() -> None:
    client = Speaker()
    client.submit("x")
    asking = client.put("x")
    client.handle(e.Released(["x"]))
    client.handle(e.Unasked(asking, False))
    client.handle(e.Disconnected())
    assert not client.knows("x")


@pytest.mark.parametrize(
    "end",
    [
        e.CancelRequested(["x"], False, ""),
        e.FromScheduler([m.Restarted()]),
        e.FromScheduler([m.KeysLost(["x"], "gone")]),
        e.Closed(),
    ],
)
def test_what_has_ended_is_not_released_again(end: Any) -> None:
    client = Speaker()
    client.submit("x")
    client.put("x")
    client.handle(e.Released(["x"]))
    client.handle(end)
    released = client.released()
    if client.machine.state.ended is None:
        again = client.submit("x")
        client.answer()
        assert client.machine.state.records["x"] is again
    assert client.released() == released


@pytest.mark.parametrize("first", ["unasked", "disconnected"])
def test_what_was_handed_over_while_nobody_waited_is_given_back(first: str) -> None:
    """Or the scheduler takes an item as arrived that nobody has seen, and a lock as held."""
    client = Speaker()
    asking = client.put()
    events = [e.Unasked(asking), e.Disconnected()]
    for event in events if first == "unasked" else reversed(events):
        client.handle(event)
    assert asking.answer is not None and asking.answer.error == "TimeoutError"
    client.said.clear()
    client.handle(e.Connected())
    assert client.said[-2:] == [m.Unask(1, back=True), m.Resume([])]


def test_a_key_of_a_graph_that_is_being_lowered_is_told_before_it_is_asked_with() -> None:
    client = Speaker()
    graph = PendingGraph({"x": Record("x")})
    client.handle(e.GraphAnnounced(graph))
    client.put("x")
    client.put("other", id=2)
    client.handle(e.Released(["x"]))
    record = graph.records["x"]
    record.call, record.args = INC, b"args"
    client.handle(e.GraphPart(graph, [record]))
    client.handle(e.GraphComplete(graph))
    kinds = [type(each) for each in client.said[-4:]]
    assert kinds == [m.Ask, m.DefineFunctions, m.Graph, m.Ask]
    assert client.knows("x") and not client.released()
    client.answer()
    assert client.released() == ["x"]


def test_who_waits_no_longer_is_not_asked_for() -> None:
    client = Speaker()
    graph = PendingGraph({"x": Record("x")})
    client.handle(e.GraphAnnounced(graph))
    asking = client.put("x")
    client.handle(e.Unasked(asking))
    assert asking.answer is not None and asking.answer.error == "TimeoutError"
    client.handle(e.GraphComplete(graph))
    assert not [each for each in client.said if type(each) is m.Ask]
