"""Tasks of a graph: inputs that nobody wants for themselves, and places in the graph."""

from __future__ import annotations

import pytest

from shoal.client.core import events as e
from shoal.client.core.state import Record
from shoal.wire import messages as m

from .model import Duet, data, task


@pytest.fixture
def duet() -> Duet:
    duet = Duet()
    duet.connect()
    return duet


def graphs(messages: list[object]) -> list[m.Graph]:
    return [message for message in messages if isinstance(message, m.Graph)]


def test_inputs_go_with_what_needs_them(duet: Duet) -> None:
    x, y, z = task("x", wanted=False), task("y", "x", wanted=False), task("z", "y")
    (graph,) = graphs(duet.submit(x, y, z).messages)
    assert graph.keys == ["x", "y", "z"] and graph.wanted == [2]
    assert duet.release("z").messages == [m.Release(["z"])]
    assert not duet.records


def test_inputs_that_nothing_needs_are_left_out(duet: Duet) -> None:
    effects = duet.submit(task("x", wanted=False), task("y", "x", wanted=False), task("z"))
    (graph,) = graphs(effects.messages)
    assert graph.keys == ["z"] and list(duet.records) == ["z"]


def test_a_known_input_stays_as_it_is(duet: Duet) -> None:
    known = task("x")
    duet.submit(known)
    (graph,) = graphs(duet.submit(task("x", wanted=False), task("y", "x")).messages)
    assert graph.keys == ["y"] and graph.deps == [["x"]]
    assert duet.records["x"] is known and known.wanted
    scattered = data("d", "w1")
    duet.submit(scattered)
    duet.submit(task("d", wanted=False), task("z", "d"))
    assert duet.records["d"] is scattered and scattered.call is None


def test_a_graph_says_what_a_key_is_that_was_only_wanted(duet: Duet) -> None:
    record = Record("x")
    duet.submit(record)
    duet.submit(task("w", wanted=False), task("x", "w", wanted=False), task("y", "x"))
    assert duet.records["x"] is record and record.deps == ("w",) and record.wanted
    duet.disconnect()
    duet.connect()  # the check of the duet: all of it is told anew
    duet.release("y")
    assert set(duet.records) == {"x", "w"}


def test_a_key_does_not_become_its_own_input(duet: Duet) -> None:
    duet.submit(Record("x"), task("y", "x"))
    duet.submit(task("x", "y", wanted=False), task("z", "x"))
    assert duet.records["x"].call is None


def test_places_are_told_and_told_again(duet: Duet) -> None:
    records = [task("x", wanted=False), task("y", "x")]
    for record, position in zip(records, (7, 9), strict=True):
        record.position = position
    (graph,) = graphs(duet.submit(*records, task("plain")).messages)
    assert graph.order == [7, 9, 2]
    duet.disconnect()
    (again,) = graphs(duet.connect().messages)
    assert dict(zip(again.keys, again.order, strict=True))["y"] == 9


def test_tasks_in_order_need_no_places(duet: Duet) -> None:
    (graph,) = graphs(duet.submit(task("a"), task("b")).messages)
    assert graph.order == []


def test_a_refused_graph_leaves_no_inputs(duet: Duet) -> None:
    duet.handle(e.Closed())
    effects = duet.submit(task("x", wanted=False), task("y", "x"))
    assert [record.status for record in effects.changed] == ["cancelled"] * 2
    assert not duet.records
    duet.effects.ignore("ended", why="the test closed it")
