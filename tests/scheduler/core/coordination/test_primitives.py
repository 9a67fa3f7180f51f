"""Each primitive on its own: who is served, in which order, and what is left behind."""

from __future__ import annotations

import pytest
from scheduler_harness import FUNCTION

from shoal.scheduler.core.coordination.queue import SOME
from shoal.wire import messages as m
from shoal.wire.blob import Blob

from .asking import ALL, Asking

# ---------------------------------------------------------------------- queues


def test_items_come_out_in_order() -> None:
    c = Asking()
    for value in (b"1", b"2", b"3"):
        assert c.value(c.put("a", value)) is None
    assert c.value(c.ask("b", "queue", "qsize")) == 3
    assert [c.value(c.get("b")) for _ in range(3)] == [[b"1"], [b"2"], [b"3"]]


def test_getters_are_served_in_order_and_by_a_message() -> None:
    c = Asking()
    first, second = c.get("a"), c.get("b")
    assert c.pending(first) and c.pending(second)
    c.put("c", b"1")
    assert c.value(first) == [b"1"] and c.pending(second)
    c.put("c", b"2")
    assert c.value(second) == [b"2"]
    c.took(first)
    c.took(second)
    assert c.is_clean


def test_a_full_queue_lets_putters_wait_in_order() -> None:
    c = Asking()
    puts = [c.put("a", b"%d" % i, maxsize=2) for i in range(4)]
    assert [c.pending(put) for put in puts] == [False, False, True, True]
    assert c.value(c.get("b")) == [b"0"]
    assert not c.pending(puts[2]) and c.pending(puts[3])
    c.unask(puts[3])
    assert c.error(puts[3])[0] == "TimeoutError"
    assert c.value(c.get("b", ALL)) == [b"1", b"2"]


def test_a_getter_of_what_there_is_waits_for_the_first() -> None:
    c = Asking()
    for value in (b"1", b"2"):
        c.put("a", value)
    assert c.value(c.get("b", SOME)) == [b"1", b"2"]
    some, late = c.get("b", SOME), c.get("c", SOME)
    puts = [c.put("a", b"%d" % i, maxsize=2) for i in range(4)]
    assert c.value(some) == [b"0"] and c.value(late) == [b"1"]
    assert not any(map(c.pending, puts))
    assert c.value(c.get("b", SOME)) == [b"2", b"3"]


def test_batches() -> None:
    c = Asking()
    assert c.value(c.get("a", ALL)) == []
    batch = c.get("a", 3)
    late = c.get("b")
    puts = [c.put("c", b"%d" % i, maxsize=2) for i in range(2)]
    assert c.pending(batch) and c.pending(late)
    assert c.value(c.get("c", ALL)) == []  # others wait for these
    # More than fits is asked for, so more may be put than fits.
    puts.append(c.put("c", b"2", maxsize=2))
    assert c.value(batch) == [b"0", b"1", b"2"]
    assert not any(map(c.pending, puts))
    c.put("c", b"3")
    assert c.value(late) == [b"3"]


def test_what_did_not_arrive_is_the_next_again() -> None:
    c = Asking()
    for i in range(4):
        c.put("a", b"%d" % i)
    first, second = c.get("b"), c.get("b", 2)
    c.unask(second, back=True)
    c.unask(first, back=True)
    assert c.value(c.get("a", ALL)) == [b"0", b"1", b"2", b"3"]


def test_an_item_comes_back_to_a_queue_made_anew() -> None:
    c = Asking()
    c.put("a", b"old")
    got = c.get("b")
    c.put("a", b"new")
    c.unask(got, back=True)
    assert c.value(c.get("a", ALL)) == [b"old", b"new"]


def test_a_client_that_dies_loses_no_item() -> None:
    c = Asking()
    c.put("a", b"1")
    arrived = c.get("b")
    c.took(arrived)
    c.put("a", b"2")
    lost = c.get("b")
    c.lose_client("b")
    assert c.value(lost) == [b"2"]
    waiting = c.get("a")
    c.advance(1.0)
    assert c.value(waiting) == [b"2"]


def test_a_closed_queue_tells_those_who_wait() -> None:
    c = Asking()
    getter = c.get("a")
    c.ask("b", "queue", "close")
    assert c.error(getter) == ("RuntimeError", "the queue 'x' was closed")
    c.put("a", b"1", maxsize=1)
    putter = c.put("a", b"2", maxsize=1)
    flying = c.get("c")
    c.put("a", b"3", maxsize=1)
    c.ask("b", "queue", "close")
    c.unask(flying, back=True)
    assert c.value(putter) is None
    assert c.is_clean


@pytest.mark.parametrize("kind", ["queue", "variable"])
def test_a_retired_name_is_not_made_again_by_a_late_request(kind: str) -> None:
    c = Asking()
    c.worker("w")
    finish(c, "k")
    put = ("put", 1, b"k") if kind == "queue" else ("set", b"k")
    assert c.value(c.ask("a", kind, *put, keys=["k"])) is None
    c.ask("b", kind, "retire")
    assert c.error(c.ask("a", kind, *put, keys=["k"])) == (
        "RuntimeError",
        f"the {kind} 'x' was closed",
    )
    c.release("a", "k")
    assert c.state("k") is None
    assert c.is_clean
    c.ignore(m.Free, why="the result is dropped with the place that it was in")


# ---------------------------------------------------------------------- futures as values


def finish(c: Asking, key: str, client: str = "a") -> None:
    c.graph(client, {key: []})
    c.done("w", *c.sent("w"))


def test_a_key_is_kept_while_it_is_in_a_queue_or_on_its_way() -> None:
    c = Asking()
    c.worker("w")
    finish(c, "k")
    c.put("a", b"k", keys=["k"])
    c.release("a", "k")
    assert c.state("k") == "memory"
    got = c.get("b")
    assert c.answers[got].keys == ["k"]
    assert c.state("k") == "memory"
    c.say("b", m.Want(["k"]), m.Took([got]))
    assert c.state("k") == "memory"
    c.release("b", "k")
    assert c.state("k") is None
    assert c.is_clean
    c.ignore(m.Free, why="the result is dropped when the last claim is gone")


def test_a_key_in_a_variable() -> None:
    c = Asking()
    c.worker("w")
    finish(c, "k")
    c.ask("a", "variable", "set", b"k", keys=["k"])
    c.release("a", "k")
    got = c.ask("b", "variable", "get")
    c.ask("a", "variable", "set", b"1")
    assert c.state("k") == "memory"  # it is on its way to b
    c.lose_client("b")
    assert c.value(got) == b"k"
    c.advance(1.0)
    assert c.state("k") is None
    c.ignore(m.Free, why="the result is dropped when nothing refers to it")


def test_a_task_whose_future_is_in_a_queue_is_computed() -> None:
    c = Asking()
    c.graph("a", {"k": []})
    c.put("a", b"k", keys=["k"])
    c.lose_client("a")
    c.advance(20.0)
    c.worker("w")
    c.done("w", *c.sent("w"))
    assert c.state("k") == "memory"


def test_a_key_in_a_queue_is_somebody_elses() -> None:
    """Who cancels a future that is in a queue gives up its own claim only, unless by force."""
    c = Asking()
    c.worker("w")
    finish(c, "k")
    c.put("a", b"k", keys=["k"])
    c.say("a", m.Cancel(["k"]))
    assert c.state("k") == "memory"
    c.say("a", m.Cancel(["k"], force=True))
    assert c.state("k") is None
    finish(c, "k")
    c.put("a", b"k", keys=["k"])
    c.release("a", "k")
    assert c.state("k") == "memory"
    c.ask("a", "queue", "close")
    assert c.state("k") is None
    c.ignore(m.Free, why="the result is dropped, by force and with the queue")


# ---------------------------------------------------------------------- variables and events


def test_a_variable_is_waited_for_set_and_deleted() -> None:
    c = Asking()
    waiting = [c.ask(client, "variable", "get") for client in "ab"]
    c.ask("c", "variable", "set", b"1")
    assert [c.value(id) for id in waiting] == [b"1", b"1"]
    c.ask("c", "variable", "set", b"2")
    assert c.value(c.ask("a", "variable", "get")) == b"2"
    c.ask("c", "variable", "delete")
    late = c.ask("a", "variable", "get")
    c.ask("c", "variable", "delete")
    c.unask(late)
    assert c.error(late)[0] == "TimeoutError"
    assert c.is_clean


def test_an_event_wakes_all() -> None:
    c = Asking()
    waiting = [c.ask(client, "event", "wait") for client in "ab"]
    given_up = c.ask("c", "event", "wait")
    c.unask(given_up)
    assert not c.value(c.ask("c", "event", "is_set"))
    c.ask("c", "event", "set")
    assert all(c.value(id) for id in waiting)
    assert c.value(c.ask("c", "event", "is_set")) and c.value(c.ask("c", "event", "wait"))
    c.ask("a", "event", "clear")
    c.ask("a", "event", "clear")
    assert not c.value(c.ask("c", "event", "is_set"))
    assert c.is_clean


# ---------------------------------------------------------------------- asks as such


@pytest.mark.parametrize(
    ("kind", "op", "args"),
    [
        ("stack", "put", [0, b""]),
        ("queue", "peek", []),
        ("queue", "put", [0]),
        ("queue", "put", [0, "text"]),
        ("semaphore", "acquire", ["two"]),
        ("lock", "acquire", ["name", 1]),
    ],
)
def test_an_ask_that_makes_no_sense_is_refused(kind: str, op: str, args: list[object]) -> None:
    c = Asking()
    error, text = c.error(c.ask("a", kind, op, *args))
    assert error == "RuntimeError" and f"{kind}.{op}" in text
    assert c.s.clients.keys() == {"a", "b", "c"}


def test_messages_about_nothing_are_ignored() -> None:
    c = Asking()
    c.say("a", m.Unask(7), m.Took([7]), m.Publish("t", [Blob(b"")], True))
    assert c.s.coordination is None
    id = c.ask("a", "event", "set")
    c.say("a", m.Unask(id), m.Unask(id, True), m.Took([id, 99]))
    c.say("a", m.Publish("t", [Blob(b"")], True))
    assert FUNCTION in c.s.functions


def test_a_cluster_without_primitives_pays_nothing() -> None:
    c = Asking()
    c.worker("w")
    finish(c, "k")
    c.lose_client("b")
    c.advance(1.0)
    assert c.s.coordination is None
