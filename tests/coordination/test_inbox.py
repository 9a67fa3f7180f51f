"""`Inbox`: what came is taken at once by who finds it, in order, and by who waits otherwise."""

from __future__ import annotations

from shoal.coordination.topics import Inbox, Waiter, wait_blocking
from shoal.wire.pickling import dumps, loads


def test_what_is_there_is_taken_in_order_without_waiting() -> None:
    inbox = Inbox("topic")
    inbox.receive([dumps(1), dumps(2)])
    values = [wait_blocking(inbox, 0), wait_blocking(inbox, 0)]
    assert [loads(value) for value in values if value is not None] == [1, 2]
    assert wait_blocking(inbox, 0) is None


def test_who_waits_comes_before_who_comes_later() -> None:
    inbox = Inbox("topic")
    woken: list[Waiter] = []
    first = Waiter(lambda: woken.append(first))
    inbox.ask(first)
    inbox.receive([dumps("a")])
    assert inbox.take() is None
    assert woken == [first]
    assert first.value is not None and loads(first.value) == "a"
