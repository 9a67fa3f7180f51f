"""Events: a flag, and the requests that wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination.state import Operation
from shoal.scheduler.core.journal import recorder as r

if TYPE_CHECKING:
    from shoal.scheduler.core.coordination.state import CoordinationState, PendingRequest, Token

__all__ = ["OPERATIONS", "Event"]


class Event:
    """One event; it is forgotten when it is not set and nobody waits."""

    __slots__ = ("flag", "name", "waiters")

    def __init__(self, name: str) -> None:
        self.name = name
        self.flag = False
        self.waiters: dict[PendingRequest, None] = {}

    def withdraw(self, coordination: CoordinationState, request: PendingRequest) -> None:
        """Forget a request whose caller waits no more."""
        del self.waiters[request]
        if not self.flag and not self.waiters:
            del coordination.places["event", self.name]

    def release(self, coordination: CoordinationState, token: Token) -> None:
        """Do nothing: no client holds an event."""

    def put_back(self, coordination: CoordinationState, items: Any) -> None:
        """Nothing is taken out of an event."""


def _event(coordination: CoordinationState, request: PendingRequest) -> Event:
    event: Event | None = coordination.places.get(("event", request.name))
    if event is None:
        event = coordination.places["event", request.name] = Event(request.name)
    return event


def _set(coordination: CoordinationState, request: PendingRequest) -> None:
    event = _event(coordination, request)
    event.flag = True
    if coordination.recorder is not None:
        coordination.recorder.put(r.FLAG, request.name)
    waiters, event.waiters = event.waiters, {}
    for waiter in waiters:
        coordination.answer(waiter, True)
    coordination.answer(request)


def _clear(coordination: CoordinationState, request: PendingRequest) -> None:
    event: Event | None = coordination.places.get(("event", request.name))
    if event is not None and event.flag:  # so nobody waits
        del coordination.places["event", request.name]
        if coordination.recorder is not None:
            coordination.recorder.drop(r.FLAG, request.name)
    coordination.answer(request)


def _is_set(coordination: CoordinationState, request: PendingRequest) -> None:
    event: Event | None = coordination.places.get(("event", request.name))
    coordination.answer(request, event is not None and event.flag)


def _wait(coordination: CoordinationState, request: PendingRequest) -> None:
    event = _event(coordination, request)
    if event.flag:
        coordination.answer(request, True)
    else:
        coordination.wait(request, event)
        event.waiters[request] = None


OPERATIONS = {
    "set": Operation(_set, lasting=True),
    "clear": Operation(_clear, lasting=True),
    "is_set": Operation(_is_set),
    "wait": Operation(_wait, lasting=True),
}
