"""What clients' messages about primitives mean, and what lost clients and time do to them."""

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
from shoal.scheduler.core.coordination.desk import Asked, Desk, Operation

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


def _desk(s: SchedulerState) -> Desk:
    desk: Desk | None = s.coordination
    if desk is None:
        desk = s.coordination = Desk(s)
    return desk


def on_ask(s: SchedulerState, client: ClientState, msg: Ask) -> None:
    """A client asks for something."""
    desk = _desk(s)
    asked = Asked(client.id, msg)
    operation = _OPERATIONS.get(msg.kind, {}).get(msg.op)
    if operation is None or not operation.fits(msg.args):
        text = f"this scheduler does not know {msg.kind}.{msg.op} with {msg.args!r}"
        desk.refuse(asked, "RuntimeError", text)
    elif msg.id in desk.waiting.get(client.id, ()):
        desk.refuse(asked, "RuntimeError", f"ask {msg.id} is waiting already")
    else:
        operation.do(desk, asked)


def on_unask(s: SchedulerState, client: ClientState, msg: Unask) -> None:
    """A client does not wait any longer."""
    desk = s.coordination
    if desk is None:
        return
    asked = desk.waiting.get(client.id, {}).get(msg.id)
    if asked is not None:
        desk.withdraw(asked)
        desk.refuse(asked, "TimeoutError")
    elif msg.back:
        desk.return_parcel(client.id, msg.id) or desk.take_away((client.id, msg.id))


def on_took(s: SchedulerState, client: ClientState, msg: Took) -> None:
    """What was handed over has arrived."""
    desk = s.coordination
    if desk is not None:
        for id in msg.ids:
            desk.arrived(client.id, id)


def on_resume(s: SchedulerState, client: ClientState, msg: Resume) -> None:
    """A client is back: it asks again, and claims what it held."""
    desk = _desk(s)
    if desk.gone.pop(client.id, None) is None and desk.claims_until is None:
        # This scheduler does not know it, so it is new: others may come with claims, too.
        until = s.started + s.settings.recovery_window
        if s.now < until:
            desk.claims_until = until
    asked_again = {ask.id for ask in msg.asks}
    for id in list(desk.parcels.get(client.id, ())):
        if id not in asked_again:
            desk.arrived(client.id, id)
    for ask in msg.asks:
        if not desk.repeat(Asked(client.id, ask)):
            on_ask(s, client, ask)


def on_publish(s: SchedulerState, client: ClientState, msg: Publish) -> None:
    """A client has values for the subscribers of a topic."""
    if s.coordination is not None:
        topic.on_publish(s.coordination, msg)


# ---------------------------------------------------------------------- lost clients, and time


def holder_lost(s: SchedulerState, client: str, graceful: bool) -> None:
    """A client is gone: nobody there waits any more, and what it held is free.

    One that may come back keeps what it holds for the grace time.
    """
    desk = s.coordination
    if desk is None:
        return
    for asked in list(desk.waiting.get(client, {}).values()):
        if asked.place is not None:  # withdrawing one may have answered another
            desk.withdraw(asked)
    if graceful or not s.settings.holder_grace:
        _forget(desk, client)
    elif client in desk.held or client in desk.parcels or client in desk.answered:
        desk.gone[client] = s.now + s.settings.holder_grace


def _forget(desk: Desk, client: str) -> None:
    desk.gone.pop(client, None)
    desk.answered.pop(client, None)
    for id in list(desk.parcels.get(client, ())):
        desk.return_parcel(client, id)
    for id in list(desk.held.get(client, ())):
        desk.take_away((client, id))


def on_tick(s: SchedulerState) -> None:
    """Do all that is due."""
    desk = s.coordination
    if desk is None:
        return
    now = s.now
    for client in [client for client, until in desk.gone.items() if until <= now]:
        _forget(desk, client)
    if desk.claims_until is not None and now >= desk.claims_until:
        desk.claims_until = None
        for place in list(desk.places.values()):
            if isinstance(place, lock.Locks):
                place.serve_all(desk)
            elif isinstance(place, semaphore.Semaphore):
                place.serve(desk)
    _expire(s, desk)


def _expire(s: SchedulerState, desk: Desk) -> None:
    """Take locks and leases from clients that were not heard of for too long."""
    for id in list(desk.held):
        client = s.clients.get(id)
        if client is None or s.now - client.last_seen <= s.settings.lease_timeout:
            continue
        leases = [n for n, place in desk.held[id].items() if _expires(place)]
        for number in leases:
            desk.take_away((id, number))
        if leases:
            s.log_event("all", {"action": "leases-expired", "client": id, "count": len(leases)})


def _expires(place: Any) -> bool:
    return isinstance(place, (lock.Locks, semaphore.Semaphore))


def next_deadline(s: SchedulerState) -> float | None:
    """Return when something of this is due."""
    desk = s.coordination
    if desk is None:
        return None
    due: list[float] = []
    if desk.gone:
        due.append(min(desk.gone.values()))
    if desk.claims_until is not None:
        due.append(desk.claims_until)
    if desk.held:
        due.append(s.now + min(s.settings.lease_validation, s.settings.lease_timeout / 4))
    return min(due, default=None)
