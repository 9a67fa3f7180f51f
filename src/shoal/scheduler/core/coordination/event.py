"""Events: a flag, and those who wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination.desk import Operation

if TYPE_CHECKING:
    from shoal.scheduler.core.coordination.desk import Asked, Desk, Token

__all__ = ["OPERATIONS", "Event"]


class Event:
    """One event; it is forgotten when it is not set and nobody waits."""

    __slots__ = ("flag", "name", "waiters")

    def __init__(self, name: str) -> None:
        self.name = name
        self.flag = False
        self.waiters: dict[Asked, None] = {}

    def withdraw(self, desk: Desk, asked: Asked) -> None:
        """Nobody waits for this any more."""
        del self.waiters[asked]
        if not self.flag and not self.waiters:
            del desk.places["event", self.name]

    def release(self, desk: Desk, token: Token) -> None:
        """Nobody holds an event."""

    def put_back(self, desk: Desk, items: Any) -> None:
        """Nothing is taken out of an event."""


def _event(desk: Desk, asked: Asked) -> Event:
    event: Event | None = desk.places.get(("event", asked.name))
    if event is None:
        event = desk.places["event", asked.name] = Event(asked.name)
    return event


def _set(desk: Desk, asked: Asked) -> None:
    event = _event(desk, asked)
    event.flag = True
    waiters, event.waiters = event.waiters, {}
    for waiter in waiters:
        desk.answer(waiter, True)
    desk.answer(asked)


def _clear(desk: Desk, asked: Asked) -> None:
    event: Event | None = desk.places.get(("event", asked.name))
    if event is not None and event.flag:  # so nobody waits
        del desk.places["event", asked.name]
    desk.answer(asked)


def _is_set(desk: Desk, asked: Asked) -> None:
    event: Event | None = desk.places.get(("event", asked.name))
    desk.answer(asked, event is not None and event.flag)


def _wait(desk: Desk, asked: Asked) -> None:
    event = _event(desk, asked)
    if event.flag:
        desk.answer(asked, True)
    else:
        desk.wait(asked, event)
        event.waiters[asked] = None


OPERATIONS = {
    "set": Operation(_set),
    "clear": Operation(_clear),
    "is_set": Operation(_is_set),
    "wait": Operation(_wait),
}
