"""Getting keys from peers: which peer is asked, for how much at a time, and which one next.

A key that is not here and should be is a `MissingKey`. It is in the queue of one peer, part of one
request (`Flight`), waiting for a retry, or computed here: then its run is waited for. Requests are
limited in keys and bytes each, in number per peer, and in bytes over all peers; one value larger
than a limit still goes out, alone, while there is room at all, so that nothing starves.

A peer that cannot be reached is tried again after a pause only when it is the last holder left, so
that one broken connection does not make the scheduler compute data again.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from shoal.worker.core.effects import Fetch
from shoal.worker.core.state import Flight, MissingKey, Peer

if TYPE_CHECKING:
    from shoal.wire.messages import Priority
    from shoal.worker.core.budget import Budget
    from shoal.worker.core.state import TaskRun, WorkerState

__all__ = [
    "answered",
    "deadline",
    "failed",
    "forget_all",
    "forget_missing",
    "holds",
    "let_go",
    "named",
    "note_missing",
    "plan",
    "retry_due",
    "try_next",
]

_NO_LIMIT = 1 << 62


def holds(s: WorkerState, key: str, life: int) -> bool:
    """Whether data of this life of a key is here."""
    found = s.data.get(key)
    if found is None:
        return False
    mine = found[2]
    return mine == life or not life or not mine or (key in s.also and life in s.also[key])


def named(lives: list[int]) -> list[int]:
    """Return a column of lives; `[]` where none is known."""
    return list(lives) if any(lives) else []


def note_missing(
    s: WorkerState, key: str, nbytes: int, holders: list[str], priority: Priority, life: int = 0
) -> MissingKey:
    """Return a missing key's record, with these holders to try besides those already known."""
    found = s.missing_keys.get(key)
    if found is None:
        found = s.missing_keys[key] = MissingKey(key, nbytes, priority, life)
        found.holders = list(holders)
        if not holders and key in s.tasks:
            found.here = True
        else:
            try_next(s, found)
        return found
    known = {*found.holders, *found.absent, *found.unreachable}
    if found.peer is not None:
        known.add(found.peer.address)
    new = [address for address in holders if address not in known]
    found.holders = new + found.holders
    if new and found.waits_for_retry:
        found.waits_for_retry = False
        try_next(s, found)
    if priority < found.priority:
        found.priority = priority
        if found.peer is not None and found.flight is None:
            _enqueue(s, found.peer, found)
    return found


def try_next(s: WorkerState, item: MissingKey) -> bool:
    """Queue a missing key at the least busy of its holders; return False when none is left."""
    holders = item.holders
    if not holders:
        return False
    if len(holders) == 1:
        address = holders.pop()
    else:
        s.serial += 1
        start = s.serial % len(holders)
        turn = holders[start:] + holders[:start]  # equals take turns
        address = min(turn, key=lambda a: s.peers[a].assigned if a in s.peers else 0)
        holders.remove(address)
    peer = s.peers.get(address)
    if peer is None:
        peer = s.peers[address] = Peer(address)
    item.peer = peer
    peer.assigned += item.nbytes
    _enqueue(s, peer, item)
    return True


def _enqueue(s: WorkerState, peer: Peer, item: MissingKey) -> None:
    s.serial += 1
    heappush(peer.queue, (item.priority, s.serial, item))


def plan(s: WorkerState) -> None:
    """Send out as many requests as the limits allow, none while paused; forget idle peers."""
    settings = s.settings
    idle: list[str] = []
    for peer in s.peers.values():
        while not s.paused and len(peer.flights) < settings.fetches_per_peer:
            flight = _fill(s, peer) if s.guard is None else _fill_guarded(s, s.guard, peer)
            if flight is None:
                break
            peer.flights.append(flight)
            nbytes = sum(flight.keys.values())
            s.fetching_bytes += nbytes
            s.effects.fetch.append(Fetch(peer.address, list(flight.keys), nbytes, flight.lives))
        if not peer.flights and not peer.queue:
            idle.append(peer.address)
    for address in idle:
        del s.peers[address]


def _fill_guarded(s: WorkerState, b: Budget, peer: Peer) -> Flight | None:
    """While memory is short: `_fill`, as far as memory goes; one value where nothing else goes on.

    A run whose inputs are here already goes first, unless what is fetched is wanted before it.
    """
    first = next((item for _, _, item in sorted(peer.queue) if _is_queued(s, peer, item)), None)
    if first is None:
        return _fill(s, peer)  # which drops what is stale
    goes_on = bool(b.running or s.fetching_bytes or b.evicting or s.effects.execute)
    held = [entry for entry in b.held if entry[2].state == "held"]
    if held and goes_on and b.lacking and min(held)[0] <= first.priority:
        return None
    lacks = b.lacks(first.nbytes, s.now, s.fetching_bytes)
    if not lacks:
        return _fill(s, peer, max(1, b.line - b.planned(s.now, s.fetching_bytes)))
    b.lacking = max(b.lacking, lacks)
    if goes_on or held or not b.exhausted or (b.full and b.process + first.nbytes > b.hard):
        return None
    return _fill(s, peer, 1)


def _is_queued(s: WorkerState, peer: Peer, item: MissingKey) -> bool:
    return item.peer is peer and item.flight is None and s.missing_keys.get(item.key) is item


def _fill(s: WorkerState, peer: Peer, most: int = _NO_LIMIT) -> Flight | None:
    """Take from a peer's queue what fits into one request; the first fits if any room is left."""
    total = min(s.settings.fetch_bytes - s.fetching_bytes, most)
    room = min(s.settings.fetch_message_bytes, total)
    keys: dict[str, int] = {}
    lives: dict[str, int] = {}
    flight = Flight(peer, keys, lives)
    queue = peer.queue
    while queue and len(keys) < s.settings.fetch_message_keys:
        item = queue[0][2]
        if not _is_queued(s, peer, item):
            heappop(queue)
            continue
        if item.nbytes > room and (keys or total <= 0):
            break
        heappop(queue)
        room -= item.nbytes
        keys[item.key] = item.nbytes
        if item.life:
            lives[item.key] = item.life
        item.flight = flight
    return flight if keys else None


def answered(s: WorkerState, address: str, key: str, life: int) -> MissingKey | None:
    """Note that a peer answered for a key; return it if this was what it waited for."""
    item = s.missing_keys.get(key)
    flight = None if item is None else item.flight
    if (
        item is not None
        and flight is not None
        and flight.peer.address == address
        and flight.lives.get(key, 0) == life
    ):
        item.flight = None
        item.peer = None
    else:
        item = None
        peer = s.peers.get(address)
        flights = () if peer is None else peer.flights
        for flight in flights:
            if key in flight.keys and flight.lives.get(key, 0) == life:
                break
        else:
            return None
    _land(s, flight, key)
    return item


def _land(s: WorkerState, flight: Flight, key: str) -> None:
    nbytes = flight.keys.pop(key)
    flight.peer.assigned -= nbytes
    s.fetching_bytes -= nbytes
    if not flight.keys:
        flight.peer.flights.remove(flight)


def failed(s: WorkerState, item: MissingKey, address: str, absent: bool) -> bool:
    """A holder could not serve a key: try the next one. Return False when none is left."""
    if absent:
        item.absent.append(address)
    if try_next(s, item):
        if not absent:
            item.unreachable.append(address)
        return True
    if not absent:
        if item.retries < s.settings.fetch_retries:
            item.retries += 1
            item.holders.append(address)
            s.serial += 1
            item.waits_for_retry = True
            heappush(s.retries, (s.now + s.settings.fetch_retry_delay, s.serial, item))
            return True
        item.unreachable.append(address)
    return False


def retry_due(s: WorkerState) -> None:
    """Try again what waited long enough."""
    while s.retries and s.retries[0][0] <= s.now:
        item = heappop(s.retries)[2]
        if s.missing_keys.get(item.key) is item and item.waits_for_retry:
            item.waits_for_retry = False
            try_next(s, item)


def deadline(s: WorkerState) -> float | None:
    """When the next retry is due."""
    while s.retries and s.missing_keys.get(s.retries[0][2].key) is not s.retries[0][2]:
        heappop(s.retries)
    return s.retries[0][0] if s.retries else None


def forget_missing(s: WorkerState, item: MissingKey) -> None:
    """Stop wanting a key; an answer that is under way will find nobody."""
    del s.missing_keys[item.key]
    if item.peer is not None and item.flight is None:
        item.peer.assigned -= item.nbytes
    item.peer = None


def let_go(s: WorkerState, task: TaskRun) -> None:
    """A waiting run ends: nothing is fetched for it any more."""
    for dep in task.compute.deps:
        item = s.missing_keys.get(dep)
        if item is not None and task in item.tasks:
            del item.tasks[task]
            if not item.tasks and not item.acquire:
                forget_missing(s, item)
    task.lacking = 0


def forget_all(s: WorkerState) -> None:
    """Stop wanting everything (there is no scheduler to want it for)."""
    for item in list(s.missing_keys.values()):
        forget_missing(s, item)
