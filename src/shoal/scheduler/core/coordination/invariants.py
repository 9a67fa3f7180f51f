"""Invariants of all primitives between any two events: nothing is lost, nothing leaks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.coordination.dataset import Dataset
from shoal.scheduler.core.coordination.event import Event
from shoal.scheduler.core.coordination.lock import Locks
from shoal.scheduler.core.coordination.queue import Queue
from shoal.scheduler.core.coordination.semaphore import Semaphore
from shoal.scheduler.core.coordination.topic import Topic
from shoal.scheduler.core.coordination.variable import Variable

if TYPE_CHECKING:
    from shoal.scheduler.core.coordination.state import CoordinationState, PendingRequest, Token
    from shoal.scheduler.core.state import SchedulerState

__all__ = ["check_coordination"]


def check_coordination(s: SchedulerState, coordination: CoordinationState) -> None:
    """Raise `AssertionError`, naming what is wrong, unless all of it is consistent."""
    waiting: set[PendingRequest] = set()
    held: set[Token] = set()
    keys: Counter[str] = Counter()
    for (kind, name), place in coordination.places.items():
        where = f"{kind} {name!r}"
        if isinstance(place, Queue):
            _check_queue(place, where)
            waiting.update(place.getters, place.putters)
            keys.update(key for item in place.items for key in item.keys)
            keys.update(key for putter in place.putters for key in putter.keys)
        elif isinstance(place, Variable):
            assert place.value is not None or place.getters, f"{where} is of no use"
            assert place.value is None or not place.getters, f"{where} is set, but they wait"
            waiting.update(place.getters)
            keys.update(place.keys)
        elif isinstance(place, Dataset):
            keys.update(place.keys)
        elif isinstance(place, Event):
            assert place.flag != bool(place.waiters), f"{where}: {place.flag}, {place.waiters}"
            waiting.update(place.waiters)
        elif isinstance(place, Semaphore):
            assert place.leases or place.waiters, f"{where} is of no use"
            assert len(place.leases) <= place.max_leases, f"{where}: {place.leases}"
            idle = place.waiters and len(place.leases) < place.max_leases
            assert not idle or coordination.claims_until is not None, (
                f"{where}: a waiter is forgotten"
            )
            waiting.update(place.waiters)
            held.update(place.leases)
        elif isinstance(place, Locks):
            _check_locks(coordination, place)
            waiting.update(request for lock in place.by_name.values() for request in lock.line)
            held.update(place.taken)
        else:
            assert isinstance(place, Topic), where
            assert place.publishers or place.subscribers, f"{where} is of no use"
            held.update(place.publishers, place.subscribers)
    for unacked in coordination.unacked.values():
        keys.update(key for delivery in unacked.values() for key in delivery.keys)
    _check_requests(s, coordination, waiting, held)
    assert keys == Counter(coordination.kept), (
        f"keys kept: {coordination.kept}, keys in values: {keys}"
    )
    for ts in coordination.retaining_client.wants.values():
        assert ts.key in coordination.kept, f"{ts!r} is kept for ever"


def _check_queue(queue: Queue, where: str) -> None:
    assert queue.items or queue.getters or queue.putters, f"{where} is of no use"
    first = next(iter(queue.getters.values()), None)
    assert first is None or len(queue.items) < first, f"{where}: a getter is forgotten"
    assert not (queue.putters and queue.room), f"{where}: a putter is forgotten"
    numbers = [item.number for item in queue.items]
    assert numbers == sorted(numbers), f"{where}: out of order {numbers}"


def _check_locks(coordination: CoordinationState, locks: Locks) -> None:
    for name, lock in locks.by_name.items():
        assert lock.line or lock.holder is not None, f"lock {name!r} is of no use"
        if lock.holder is not None:
            assert name in locks.taken[lock.holder], f"lock {name!r}: {lock.holder}"
    for token, names in locks.taken.items():
        for name in names:
            assert locks.by_name[name].holder == token, f"lock {name!r}: {token}"
    if coordination.claims_until is not None:
        return
    for lock in locks.by_name.values():
        request = next(iter(lock.line), None)
        if request is None:
            continue
        names, needed = request.args
        mine = [
            name
            for name in names
            if locks.by_name[name].holder is None
            and next(iter(locks.by_name[name].line)) is request
        ]
        assert len(mine) < needed, f"{request.token} could have {mine}"


def _check_requests(
    s: SchedulerState,
    coordination: CoordinationState,
    waiting: set[PendingRequest],
    held: set[Token],
) -> None:
    known = {request for mine in coordination.waiting.values() for request in mine.values()}
    assert waiting == known, f"waiting: {waiting ^ known}"
    for client in coordination.waiting:
        assert client in s.clients, f"nobody at {client} waits any more"
    tokens = {(client, id) for client, mine in coordination.held.items() for id in mine}
    assert held == tokens, f"held: {held ^ tokens}"
    owners = [*coordination.held, *coordination.unacked, *coordination.answered]
    for client in owners:
        assert client in s.clients or client in coordination.gone, f"{client} is gone for good"
    tables: list[dict[str, Any]] = [coordination.held, coordination.unacked, coordination.waiting]
    assert all(all(table.values()) for table in tables), "empty tables"
