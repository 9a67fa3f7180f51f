"""Graphs that a thread lowers: what depends on them waits for its turn, or fails as they do."""

from __future__ import annotations

import pytest

from shoal.client.core import events as e
from shoal.client.core.state import CLOSED, HELD_UP, OPEN, Extras, Failure, PendingGraph, Record
from shoal.wire import messages as m
from shoal.wire.blob import Blob

from .model import INC, Duet, task

FAILURE = Failure(Blob(b"error"), Blob(b"traceback"), "")


@pytest.fixture
def duet() -> Duet:
    made = Duet()
    made.connect()
    return made


def announce(duet: Duet, *keys: str) -> PendingGraph:
    graph = PendingGraph({key: Record(key) for key in keys})
    duet.handle(e.GraphAnnounced(graph))
    return graph


def lowered(graph: PendingGraph, key: str, *deps: str) -> Record:
    """Return a task of a graph, as the thread that lowers it makes it."""
    record = graph.records.get(key)
    if record is None:
        return task(key, *deps, wanted=False)
    record.call, record.args, record.deps = INC, b"args", deps
    return record


def tell(duet: Duet, graph: PendingGraph, *records: Record) -> None:
    duet.handle(e.GraphPart(graph, list(records)))


def told(duet: Duet) -> list[str]:
    assert duet.scheduler is not None
    return list(duet.scheduler.tasks)


def test_what_does_not_depend_on_it_goes_past(duet: Duet) -> None:
    graph = announce(duet, "a")
    duet.submit(task("other"), task("next", "other"))
    assert told(duet) == ["other", "next"]
    tell(duet, graph, lowered(graph, "a"))
    assert told(duet) == ["other", "next", "a"]


def test_what_depends_on_it_waits_until_all_of_it_is_told(duet: Duet) -> None:
    graph = announce(duet, "a", "b")
    duet.submit(task("x", "a"), task("y"), task("z", "x"))
    assert told(duet) == ["y"]
    tell(duet, graph, lowered(graph, "a"))
    assert told(duet) == ["y", "a"]
    tell(duet, graph, lowered(graph, "b", "a"))
    duet.handle(e.GraphComplete(graph))
    assert told(duet) == ["y", "a", "b", "x", "z"]
    assert graph.state == CLOSED and not duet.machine.order.expected


def test_inputs_that_nobody_wants_come_with_what_needs_them(duet: Duet) -> None:
    graph = announce(duet, "a")
    duet.submit(task("input", wanted=False), task("x", "input", "a"))
    assert told(duet) == []
    tell(duet, graph, lowered(graph, "a"))
    duet.handle(e.GraphComplete(graph))
    assert told(duet) == ["a", "input", "x"]


def test_a_future_inside_an_argument_waits_too(duet: Duet) -> None:
    graph = announce(duet, "a")
    record = task("x")
    record.extras = Extras(keep=(object(),), mentioned=("a",))
    duet.submit(record)
    assert told(duet) == []
    tell(duet, graph, lowered(graph, "a"))
    duet.handle(e.GraphComplete(graph))
    assert told(duet) == ["a", "x"]


def test_a_graph_that_needs_another_is_held_up(duet: Duet) -> None:
    first, second = announce(duet, "a"), announce(duet, "b", "c")
    tell(duet, second, lowered(second, "b"))
    tell(duet, second, lowered(second, "c", "a"))
    duet.handle(e.GraphComplete(second))
    duet.submit(task("x", "c"))
    assert (first.state, second.state) == (OPEN, HELD_UP)
    assert told(duet) == ["b"]
    tell(duet, first, lowered(first, "a"))
    duet.handle(e.GraphComplete(first))
    assert told(duet) == ["b", "a", "c", "x"]
    assert second.state == CLOSED


def test_what_cannot_be_lowered_fails_and_all_that_waits_for_it(duet: Duet) -> None:
    graph, other = announce(duet, "a", "b"), announce(duet, "c")
    tell(duet, graph, lowered(graph, "a"))
    x, y, z = task("x", "b"), task("y", "x"), task("z", "a")
    duet.submit(x, y, z)
    tell(duet, other, lowered(other, "c", "b"))
    effects = duet.handle(e.GraphComplete(graph, FAILURE))
    b, c = graph.records["b"], other.records["c"]
    assert [record.status for record in (b, c, x, y, z)] == ["error"] * 4 + ["pending"]
    assert b.why is x.why is y.why is c.why is FAILURE
    assert effects.refused == effects.changed == [b, x, y, c]
    assert told(duet) == ["a", "z"]
    last = task("last", "c")
    duet.submit(last)
    duet.handle(e.GraphComplete(other))
    assert last.why is FAILURE
    assert not duet.machine.order.expected and not duet.machine.order.gone
    duet.effects.ignore("refused", why="the records' status is looked at")


def test_a_part_told_after_what_it_needs_failed_fails_too(duet: Duet) -> None:
    graph, other = announce(duet, "a"), announce(duet, "b")
    duet.handle(e.GraphComplete(graph, FAILURE))
    tell(duet, other, lowered(other, "b", "a"))
    assert other.records["b"].status == "error"
    duet.handle(e.GraphComplete(other))
    assert told(duet) == []
    duet.effects.ignore("refused", why="the records' status is looked at")


def test_tasks_of_the_part_that_failed_do_not_wait_for_ever(duet: Duet) -> None:
    graph = announce(duet, "a", "b")
    lowered(graph, "a")  # and the next task cannot be lowered, so the part is not told
    duet.handle(e.GraphComplete(graph, FAILURE))
    assert {record.status for record in graph.records.values()} == {"error"}
    duet.effects.ignore("refused", why="the records' status is looked at")


def test_who_asks_again_begins_anew(duet: Duet) -> None:
    graph = announce(duet, "a")
    again, later = task("a"), task("x", "a")
    duet.submit(task("before", "a"), again, later)
    duet.handle(e.GraphComplete(graph, FAILURE))
    assert (again.status, later.status) == ("pending", "pending")
    assert told(duet) == ["a", "x"]
    duet.effects.ignore("refused", why="the records' status is looked at")


def test_a_future_that_is_dropped_stays_until_all_is_told(duet: Duet) -> None:
    graph = announce(duet, "a", "b")
    duet.submit(task("x", "a"))
    duet.release("a")
    assert not graph.stopped
    tell(duet, graph, lowered(graph, "a"), lowered(graph, "b", "a"))
    assert duet.records["a"].wanted
    duet.handle(e.GraphComplete(graph))
    assert told(duet) == ["a", "b", "x"]
    assert not duet.records["a"].wanted


def test_dropping_all_of_it_stops_it_but_for_what_others_need(duet: Duet) -> None:
    graph, needed = announce(duet, "a", "b"), announce(duet, "c")
    duet.submit(task("x", "c"))
    duet.release("a", "c")
    assert not graph.stopped and not needed.stopped
    duet.release("b")
    assert graph.stopped and not needed.stopped
    duet.handle(e.GraphComplete(graph))
    assert graph.records["a"].status == "cancelled"
    tell(duet, needed, lowered(needed, "c"))
    duet.handle(e.GraphComplete(needed))
    assert told(duet) == ["c", "x"]
    duet.release("x")
    assert not duet.records
    duet.effects.ignore("refused", why="the records' status is looked at")


def test_an_input_outlives_who_waits_for_it(duet: Duet) -> None:
    duet.submit(task("data"))
    graph = announce(duet, "a")
    duet.submit(task("x", "a", "data"))
    duet.release("data")
    assert duet.records["data"].wanted
    again = task("data")
    duet.submit(again)  # with a new future: the release before it is not its own
    tell(duet, graph, lowered(graph, "a"))
    duet.handle(e.GraphComplete(graph))
    assert duet.records["data"] is again and again.wanted


def test_what_is_cancelled_before_it_is_told_is_so_at_once(duet: Duet) -> None:
    graph = announce(duet, "a", "b")
    later = task("x", "a")
    duet.submit(later)
    effects = duet.handle(e.CancelRequested(["a"], False, "enough"))
    a = graph.records["a"]
    assert effects.refused == [a] and (a.status, a.why) == ("cancelled", "enough")
    assert not graph.stopped
    tell(duet, graph, lowered(graph, "a"), lowered(graph, "b", "a"))
    duet.handle(e.GraphComplete(graph))
    assert (graph.records["b"].status, later.status) == ("cancelled", "cancelled")
    assert told(duet) == []
    duet.effects.ignore("refused", why="the records' status is looked at")


def test_a_task_that_is_fired_and_dropped_runs(duet: Duet) -> None:
    graph = announce(duet, "a")
    duet.handle(e.FireRequested(["a"]))
    duet.release("a")
    tell(duet, graph, lowered(graph, "a"))
    duet.handle(e.GraphComplete(graph))
    assert duet.scheduler is not None
    assert duet.scheduler.fired == {"a"} and duet.records["a"].wanted


@pytest.mark.parametrize("how", ["closed", "restarted"])
def test_the_end_cancels_what_is_to_come_and_what_waits(duet: Duet, how: str) -> None:
    graph, other = announce(duet, "a", "b"), announce(duet, "c")
    tell(duet, graph, lowered(graph, "a"))
    tell(duet, other, lowered(other, "c", "b"))
    waiting = task("x", "b")
    duet.submit(waiting)
    if how == "closed":
        assert duet.handle(e.Closed()).ended == "the client was closed"
    else:
        duet.hear(m.Restarted())
    records = [*graph.records.values(), *other.records.values(), waiting]
    assert {record.status for record in records} == {"cancelled"}
    assert graph.stopped and other.stopped
    late = task("late", "b")
    tell(duet, graph, lowered(graph, "b"), late)
    duet.handle(e.GraphComplete(graph))
    assert late.status == "cancelled"
    assert not duet.machine.order.graphs and not duet.machine.order.expected
    duet.effects.ignore("refused", why="the records' status is looked at")


def test_it_goes_on_while_there_is_no_scheduler(duet: Duet) -> None:
    graph = announce(duet, "a", "b")
    tell(duet, graph, lowered(graph, "a"))
    duet.disconnect()
    tell(duet, graph, lowered(graph, "b", "a"))
    duet.submit(task("x", "b"))
    duet.connect()
    assert told(duet) == ["a", "b"]
    duet.handle(e.GraphComplete(graph))
    assert told(duet) == ["a", "b", "x"]
