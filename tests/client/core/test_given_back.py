"""What an abandoned ask was answered goes back, though the connection that says so may break."""

from __future__ import annotations

from typing import Any

from shoal.client.core.asks import Asking, Asks
from shoal.wire import messages as m


def asks() -> Asks:
    found = Asks()
    found.connect()
    return found


def get(id: int) -> Asking:
    return Asking(m.Ask(id, "queue", "q", "get", [0, -1]), lambda asking: None)


def given_back(messages: list[Any]) -> list[int]:
    return [each.id for each in messages if type(each) is m.Unask and each.back]


def test_it_is_said_again_where_nobody_may_have_heard_it() -> None:
    mine, one = asks(), get(1)
    mine.ask(one)
    assert given_back(mine.abandon(one)) == [1]
    mine.disconnect()
    assert given_back(mine.connect()) == [1]
    mine.disconnect()
    assert given_back(mine.connect()) == [1], "nothing was heard on that connection either"


def test_it_is_said_once_where_a_later_ask_was_answered() -> None:
    mine, one, two = asks(), get(1), get(2)
    mine.ask(one)
    mine.abandon(one)
    mine.ask(two)
    mine.answered(m.Answer(2, []))
    mine.disconnect()
    assert given_back(mine.connect()) == []


def test_the_answer_of_an_earlier_ask_says_nothing_of_it() -> None:
    mine, one, two = asks(), get(1), get(2)
    mine.ask(one)
    mine.ask(two)
    mine.abandon(two)
    mine.answered(m.Answer(1, []))
    mine.disconnect()
    assert given_back(mine.connect()) == [2]
