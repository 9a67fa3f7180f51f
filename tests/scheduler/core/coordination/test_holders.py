"""Locks, leases and topics: what is held, by whom, and what becomes of it when holders are lost."""

from __future__ import annotations

from typing import Any

from shoal.wire import messages as m
from shoal.wire.blob import Blob

from .asking import Asking


def test_a_lock_goes_from_one_to_the_next() -> None:
    c = Asking()
    first, second, third = (c.acquire(client) for client in "abc")
    assert c.value(first) == ["x"] and c.pending(second)
    assert c.value(c.ask("b", "lock", "locked", "x"))
    assert c.value(c.unlock("b", first)) is False  # it is a's
    assert c.value(c.unlock("a", first)) is True
    assert c.value(c.unlock("a", first)) is False
    assert c.value(second) == ["x"] and c.pending(third)
    c.unlock("b", second)
    c.unlock("c", third)
    assert not c.value(c.ask("b", "lock", "locked", "x"))
    assert c.is_clean


def test_who_gives_up_is_left_out_and_an_answer_on_its_way_is_taken_back() -> None:
    c = Asking()
    first, second, third = (c.acquire(client) for client in "abc")
    c.unask(second)
    assert c.error(second)[0] == "TimeoutError"
    c.unask(first)  # it was answered: nothing happens
    assert c.pending(third)
    c.unask(first, back=True)
    assert c.value(third) == ["x"]


def test_several_locks_all_or_nothing() -> None:
    c = Asking()
    one = c.acquire("a", "x")
    both = c.acquire("b", "x", "y")
    assert c.pending(both)
    behind = c.acquire("c", "y")  # nobody passes by who came before
    assert c.pending(behind)
    c.unlock("a", one)
    assert c.value(both) == ["x", "y"] and c.pending(behind)
    c.unlock("b", both)
    assert c.value(behind) == ["y"]


def test_some_of_several_locks() -> None:
    c = Asking()
    c.acquire("a", "x")
    some = c.acquire("b", "x", "y", "z", needed=2)
    assert c.value(some) == ["y", "z"]
    more = c.acquire("c", "x", "y", "z", needed=1)
    assert c.pending(more)
    c.unlock("b", some)
    assert c.value(more) == ["y"]
    assert c.error(c.acquire("a", "x", needed=2))[0] == "ValueError"
    assert c.error(c.acquire("a", "x", "x"))[0] == "ValueError"


def test_leases() -> None:
    c = Asking()
    ids = [c.lease("a") for _ in range(4)]
    assert [c.pending(id) for id in ids] == [False, False, True, True]
    assert c.value(c.ask("b", "semaphore", "value")) == 2
    error, text = c.error(c.lease("b", max_leases=3))
    assert error == "ValueError" and "has 2 leases at most, not 3" in text
    assert c.value(c.ask("a", "semaphore", "release", ids[0]))
    assert c.value(ids[2]) and c.pending(ids[3])
    c.ask("b", "semaphore", "close")
    assert c.error(ids[3]) == ("RuntimeError", "the semaphore 'x' was closed")
    assert c.error(c.lease("b")) == ("RuntimeError", "the semaphore 'x' was closed")
    assert c.value(c.ask("a", "semaphore", "release", ids[1])) is False
    c.ask("b", "semaphore", "register", 3)
    assert c.value(c.lease("b", max_leases=3))


def test_a_holder_that_vanishes_frees_all_after_a_moment() -> None:
    c = Asking()
    c.acquire("a")
    c.lease("a", max_leases=1)
    waits = c.acquire("b"), c.lease("b", max_leases=1)
    c.lose_client("a")
    assert all(map(c.pending, waits))
    c.advance(1.0)
    assert c.value(waits[0]) == ["x"] and c.value(waits[1]) is True


def test_a_holder_that_says_goodbye_frees_all_at_once() -> None:
    c = Asking()
    c.acquire("a")
    waiting = c.acquire("b")
    c.say("a", m.ClientGoodbye())
    assert c.value(waiting) == ["x"]
    c.say("b", m.ClientGoodbye())
    assert c.is_clean


def test_a_silent_holder_loses_its_leases() -> None:
    c = Asking(lease_timeout=30.0, worker_ttl=None)
    held, lease = c.acquire("a"), c.lease("a", max_leases=1)
    waiting = c.acquire("b")
    for _ in range(4):
        c.advance(10.0)
        c.say("b", m.ClientHeartbeat())
        assert c.effects.next_deadline is not None
    assert c.value(waiting) == ["x"]
    assert c.value(c.unlock("a", held)) is False
    assert c.value(c.ask("a", "semaphore", "release", lease)) is False


def test_locks_outlast_a_stop_of_the_scheduler() -> None:
    c = Asking(lease_timeout=30.0, worker_ttl=None)
    held = c.acquire("a")
    c.advance(1000.0, stopped=True)
    assert c.value(c.unlock("a", held)) is True


def test_heartbeats_keep_leases() -> None:
    c = Asking(lease_timeout=30.0, worker_ttl=None)
    held = c.acquire("a")
    for _ in range(10):
        c.advance(10.0)
        c.say("a", m.ClientHeartbeat())
    assert c.value(c.unlock("a", held)) is True


# ---------------------------------------------------------------------- coming back


def hello(c: Asking, client: str, *asks: m.Ask) -> None:
    c.say(client, m.ClientHello(client, None, {}, True, []), m.Resume(list(asks)))


def claim(id: int, of: int, *names: str) -> m.Ask:
    return m.Ask(id, "lock", "", "claim", [list(names), of])


def test_a_client_that_comes_back_soon_holds_what_it_held() -> None:
    c = Asking()
    held = c.acquire("a")
    waiting = c.acquire("b")
    c.lose_client("a")
    c.advance(0.5)
    hello(c, "a", claim(100, held, "x"))
    assert c.value(100) is True
    c.advance(10.0)
    assert c.pending(waiting)
    c.unlock("a", held)
    assert c.value(waiting) == ["x"]


def test_a_claim_that_comes_too_late_fails() -> None:
    c = Asking()
    held = c.acquire("a")
    waiting = c.acquire("b")
    c.lose_client("a")
    c.advance(1.0)
    assert c.value(waiting) == ["x"]
    hello(c, "a", claim(100, held, "x"))
    assert c.value(100) is False


def test_an_ask_that_comes_again_is_answered_as_before() -> None:
    """The answer was lost with the connection: nothing is done twice."""
    c = Asking()
    put = c.put("a", b"1")
    got = c.get("a")
    held = c.acquire("a")
    c.lose_client("a")
    c.to_clients["a"] = []
    hello(c, "a", *(c.asks[id][1] for id in (put, got, held)))
    again = c.told("a", m.Answer)
    assert [(answer.id, answer.value) for answer in again] == [
        (put, None),
        (got, [b"1"]),
        (held, ["x"]),
    ]
    assert c.value(c.ask("b", "queue", "qsize")) == 0
    c.took(got)
    assert c.pending(c.acquire("b"))


def test_what_is_not_asked_again_has_arrived() -> None:
    c = Asking()
    c.put("a", b"1")
    c.get("a")
    c.lose_client("a")
    hello(c, "a")
    c.advance(5.0)
    assert c.value(c.ask("b", "queue", "qsize")) == 0
    assert c.is_clean


def test_a_new_scheduler_lets_holders_claim_before_others_are_served() -> None:
    c = Asking("fresh", recovery_window=3.0)
    hello(c, "late")
    waiting = c.acquire("late", "x"), c.lease("late", max_leases=1)
    assert all(map(c.pending, waiting))
    c.advance(1.0)
    hello(c, "holder", claim(100, 7, "x"), m.Ask(101, "semaphore", "x", "claim", [1, 8]))
    assert c.value(100) is True and c.value(101) is True
    c.advance(2.0)
    assert all(map(c.pending, waiting))
    c.unlock("holder", 7)
    c.ask("holder", "semaphore", "release", 8)
    assert c.value(waiting[0]) == ["x"] and c.value(waiting[1]) is True
    c.advance(5.0)


def test_waiters_of_a_new_scheduler_are_served_when_nobody_claims() -> None:
    c = Asking("fresh", recovery_window=3.0)
    hello(c, "a")
    waiting = c.acquire("a", "x"), c.lease("a")
    c.advance(3.0)
    assert not any(map(c.pending, waiting))


# ---------------------------------------------------------------------- topics


def heard(c: Asking, client: str) -> list[Any]:
    return [value for msg in c.told(client, m.Published) for value in msg.values]


def test_publishers_are_told_who_subscribes() -> None:
    c = Asking()
    publisher = c.ask("a", "topic", "publish")
    assert [(t.workers, t.others) for t in c.told("a", m.Subscribers)] == [([], 0)]
    subscriber = c.ask("b", "topic", "subscribe", "tcp://w")
    c.ask("b", "topic", "subscribe", "tcp://w")
    c.ask("c", "topic", "subscribe", "")
    told = c.told("a", m.Subscribers)
    assert [(t.workers, t.others) for t in told] == [
        (["tcp://w"], 0),
        (["tcp://w"], 0),
        (["tcp://w"], 1),
    ]
    c.ask("b", "topic", "leave", subscriber)
    c.lose_client("b")
    c.advance(1.0)
    assert [(t.workers, t.others) for t in c.told("a", m.Subscribers)][-1] == ([], 1)
    c.ask("a", "topic", "leave", publisher)
    c.say("c", m.ClientGoodbye())
    assert c.is_clean


def test_values_reach_each_client_once() -> None:
    c = Asking()
    c.ask("a", "topic", "publish")
    c.ask("b", "topic", "subscribe", "tcp://w")
    for _ in range(2):
        c.ask("c", "topic", "subscribe", "")
    value = Blob(b"1")
    c.say("a", m.Publish("x", [value], False))
    assert heard(c, "b") == [] and heard(c, "c") == [value]
    c.say("a", m.Publish("x", [value], True))
    assert heard(c, "b") == [value] and heard(c, "c") == [value]
    c.ignore(m.Subscribers, why="publishers hear who listens; here it is about the values")


def test_subscriptions_are_claimed_again() -> None:
    c = Asking("fresh")
    hello(
        c,
        "a",
        m.Ask(100, "topic", "x", "resubscribe", ["", 3]),
        m.Ask(101, "topic", "x", "republish", [4]),
    )
    assert c.told("a", m.Subscribers)[-1].others == 1
    c.say("a", m.Publish("x", [Blob(b"1")], True))
    assert len(heard(c, "a")) == 1
    c.ask("a", "topic", "leave", 3)
    c.ask("a", "topic", "leave", 4)
    c.advance(4.0)
    assert c.is_clean
    c.ignore(m.Subscribers, why="publishers hear of those that leave at the end")
