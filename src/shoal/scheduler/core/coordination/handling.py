"""Handlers of clients' messages about primitives, and of lost clients and passed time for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination import (
    dataset,
    event,
    lock,
    queue,
    semaphore,
    topic,
    variable,
)
from shoal.scheduler.core.coordination.state import (
    CoordinationState,
    Operation,
    PendingRequest,
    coordination_of,
)

if TYPE_CHECKING:
    from shoal.scheduler.core.state import ClientState, SchedulerState
    from shoal.wire.messages import Ask, Publish, Resume, Took, Unask

__all__ = [
    "holder_lost",
    "next_deadline",
    "on_ask",
    "on_publish",
    "on_resume",
    "on_tick",
    "on_took",
    "on_unask",
]

_OPERATIONS: dict[str, dict[str, Operation]] = {
    "queue": queue.OPERATIONS,
    "variable": variable.OPERATIONS,
    "lock": lock.OPERATIONS,
    "event": event.OPERATIONS,
    "semaphore": semaphore.OPERATIONS,
    "topic": topic.OPERATIONS,
    "dataset": dataset.OPERATIONS,
}


def _coordination(s: SchedulerState) -> CoordinationState:
    coordination = coordination_of(s)
    if coordination is None:
        coordination = s.coordination = CoordinationState(s)
    return coordination


def on_ask(s: SchedulerState, client: ClientState, msg: Ask) -> None:
    """A client asks for something."""
    coordination = _coordination(s)
    operation = _OPERATIONS.get(msg.kind, {}).get(msg.op)
    request = PendingRequest(client.id, msg, operation is not None and operation.lasting)
    if operation is None or not operation.fits(msg.args):
        text = f"this scheduler does not know {msg.kind}.{msg.op} with {msg.args!r}"
        coordination.refuse(request, "RuntimeError", text)
    elif msg.id in coordination.waiting.get(client.id, ()):
        coordination.refuse(request, "RuntimeError", f"ask {msg.id} is waiting already")
    else:
        # Asked once more: what it was given before goes back first.
        coordination.return_delivery(client.id, msg.id) or coordination.take_away(request.token)
        operation.do(coordination, request)


def on_unask(s: SchedulerState, client: ClientState, msg: Unask) -> None:
    """A client does not wait any longer."""
    coordination = coordination_of(s)
    if coordination is None:
        return
    request = coordination.waiting.get(client.id, {}).get(msg.id)
    if request is not None:
        coordination.withdraw(request)
        coordination.refuse(request, "TimeoutError")
    elif msg.back:
        coordination.return_delivery(client.id, msg.id) or coordination.take_away(
            (client.id, msg.id)
        )


def on_took(s: SchedulerState, client: ClientState, msg: Took) -> None:
    """An answer's value has arrived."""
    coordination = coordination_of(s)
    if coordination is not None:
        for id in msg.ids:
            coordination.arrived(client.id, id)


def on_resume(s: SchedulerState, client: ClientState, msg: Resume) -> None:
    """A client is back: it asks again, and claims what it held."""
    coordination = _coordination(s)
    if coordination.gone.pop(client.id, None) is None and coordination.claims_until is None:
        # This scheduler does not know it, so it is new: others may come with claims, too.
        until = s.started + s.settings.recovery_window
        if s.now < until:
            coordination.claims_until = until
    asked_again = {ask.id for ask in msg.asks}
    for id in list(coordination.unacked.get(client.id, ())):
        if id not in asked_again:
            coordination.arrived(client.id, id)
    for ask in msg.asks:
        if not coordination.repeat(PendingRequest(client.id, ask)):
            on_ask(s, client, ask)


def on_publish(s: SchedulerState, client: ClientState, msg: Publish) -> None:
    """A client has values for the subscribers of a topic."""
    coordination = coordination_of(s)
    if coordination is not None:
        topic.on_publish(coordination, msg)


# ---------------------------------------------------------------------- lost clients, and time


def holder_lost(s: SchedulerState, client: str, graceful: bool) -> None:
    """A client is gone: nobody there waits any more, and what it held is free.

    A client that may come back keeps what it holds for the grace time.
    """
    coordination = coordination_of(s)
    if coordination is None:
        return
    for request in list(coordination.waiting.get(client, {}).values()):
        if request.place is not None:  # withdrawing one may have answered another
            coordination.withdraw(request)
    if graceful or not s.settings.holder_grace:
        _forget(coordination, client)
    elif (
        client in coordination.held
        or client in coordination.unacked
        or client in coordination.answered
    ):
        coordination.gone[client] = s.now + s.settings.holder_grace


def _forget(coordination: CoordinationState, client: str) -> None:
    coordination.gone.pop(client, None)
    coordination.forget_answers(client)
    for id in list(coordination.unacked.get(client, ())):
        coordination.return_delivery(client, id)
    for id in list(coordination.held.get(client, ())):
        coordination.take_away((client, id))


def on_tick(s: SchedulerState) -> None:
    """Do all that is due."""
    coordination = coordination_of(s)
    if coordination is None:
        return
    now = s.now
    for client in [client for client, until in coordination.gone.items() if until <= now]:
        _forget(coordination, client)
    if coordination.claims_until is not None and now >= coordination.claims_until:
        coordination.claims_until = None
        for place in list(coordination.places.values()):
            if isinstance(place, lock.Locks):
                place.serve_all(coordination)
            elif isinstance(place, semaphore.Semaphore):
                place.serve(coordination)
    if coordination.leases_until is not None and now >= coordination.leases_until:
        coordination.leases_until = None
        for client in [client for client in coordination.gone if client not in s.clients]:
            _take_leases(s, coordination, client)
    _expire(s, coordination)


def _expire(s: SchedulerState, coordination: CoordinationState) -> None:
    """Take locks and leases from clients that were not heard of for too long."""
    for id in list(coordination.held):
        client = s.clients.get(id)
        if client is None or s.now - client.last_seen <= s.settings.lease_timeout:
            continue
        _take_leases(s, coordination, id)


def _take_leases(s: SchedulerState, coordination: CoordinationState, client: str) -> None:
    held = coordination.held.get(client, {})
    leases = [number for number, place in held.items() if _expires(place)]
    for number in leases:
        coordination.take_away((client, number))
    if leases:
        s.log_event("all", {"action": "leases-expired", "client": client, "count": len(leases)})


def _expires(place: Any) -> bool:
    return isinstance(place, (lock.Locks, semaphore.Semaphore))


def next_deadline(s: SchedulerState) -> float | None:
    """Return when something of this is due."""
    coordination = coordination_of(s)
    if coordination is None:
        return None
    due: list[float] = []
    if coordination.gone:
        due.append(min(coordination.gone.values()))
    if coordination.claims_until is not None:
        due.append(coordination.claims_until)
    if coordination.leases_until is not None:
        due.append(coordination.leases_until)
    if coordination.held:
        due.append(s.now + min(s.settings.lease_validation, s.settings.lease_timeout / 4))
    return min(due, default=None)
