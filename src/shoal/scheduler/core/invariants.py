"""Invariants between any two events. Tests and the simulator check them after every one."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from shoal.scheduler.core.coordination.invariants import check_coordination
from shoal.scheduler.core.coordination.state import coordination_of
from shoal.scheduler.core.policies.load import has_room
from shoal.scheduler.core.slices import unfinished
from shoal.scheduler.core.transitions.table import ACTIVE, STATES

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState, TaskState, WorkerState

__all__ = ["check"]

_TOLERANCE = 1e-6
_KNOWN = frozenset(STATES) - {"forgotten"}


def check(s: SchedulerState) -> None:
    """Raise `AssertionError`, naming what is wrong, unless the whole state is consistent."""
    assert not s.outbox.stale_functions or s.budget <= 0, "workers were told what to forget"
    assert not s.touched_workers and not s.outbox.clients, "all has been said"
    settled = not unfinished(s)  # else some things are as they should not stay
    assert not s.ahead_candidates, "what can be sent ahead was sent"
    assert settled or s.budget <= 0, "the rest is left to the next event, but there was time"
    for key, ts in s.tasks.items():
        assert ts.key == key
        _check_task(s, ts, settled)
    for address, ws in s.workers.items():
        assert ws.address == address
        _check_worker(s, ws)
    _check_clients(s)
    _check_queues(s, settled)
    _check_groups(s)
    _check_functions(s)
    coordination = coordination_of(s)
    if coordination is not None:
        check_coordination(s, coordination)


def _check_task(s: SchedulerState, ts: TaskState, settled: bool) -> None:
    state, worker = ts.state, ts.worker
    assert state in _KNOWN, _told(ts)
    _check_relations(s, ts)
    assert (state == "memory") == bool(ts.who_has), f"{_told(ts)}: held by {ts.who_has}"
    assert ts.value is None or ts.who_has, f"{_told(ts)}: a value that nobody holds"
    if settled and not (ts.wanted_by or ts.waiters):
        assert state in ("released", "erred"), f"{_told(ts)}: kept, but nobody needs it"
        assert ts.dependents is not None, f"{_told(ts)}: known, but nobody can ask for it"
    elif settled and state == "released":
        assert ts in s.recovery.awaited, f"{_told(ts)}: needed, but nothing is done for it"
    if state == "waiting":
        missing = [dep for dep in ts.deps if dep.state != "memory"]
        assert ts.waiting_on == len(missing), f"{_told(ts)}: waits for {missing}"
        if not missing and settled:
            assert ts in s.sleeping or s.recovery.until is not None, f"{_told(ts)}: not placed"
        if worker is not None:
            assert missing and ts in worker.ahead and ts.run, f"{_told(ts)}: sent ahead"
            assert ts not in s.sleeping, f"{_told(ts)}: sent ahead while it is to rest"
    elif state in ("queued", "no-worker"):
        for dep in ts.deps:
            assert dep.state == "memory", f"{_told(ts)}: misses {dep}"
    if state == "processing":
        assert worker is not None and ts in worker.processing and ts.run, _told(ts)
    elif worker is not None:
        assert state in ("waiting", "queued"), f"{_told(ts)}: still on {worker}"
    assert (state == "no-worker") == (ts in s.unrunnable), _told(ts)
    if state == "erred":
        assert ts.rare is not None and ts.rare.error is not None, _told(ts)


def _check_relations(s: SchedulerState, ts: TaskState) -> None:
    """Check that what a task refers to knows the task, and is what is known under its name."""
    get = s.tasks.get
    for dep in ts.deps:
        assert get(dep.key) is dep, f"{_told(ts)}: input {dep!r} is unknown"
        assert dep.dependents is not None and ts in dep.dependents, _told(ts)
    waiters, dependents = 0, ts.dependents
    if dependents is not None:
        assert dependents, f"{_told(ts)}: an empty set of dependents"
        for dependent in dependents:
            waiters += dependent.state in ACTIVE
            assert get(dependent.key) is dependent and ts in dependent.deps, _told(ts)
    assert ts.waiters == waiters, f"{_told(ts)}: {waiters} dependents are active"
    holders, serial = ts.who_has, ts.serial
    if len(holders) > 1:
        assert ts in s.replicated, f"{_told(ts)}: its copies are not counted"
    for ws in holders:
        assert ws.held.get(serial) is ts, _told(ts)
        assert s.workers.get(ws.address) is ws or (ws.status == "closed" and s.work), _told(ts)
    for client in ts.wanted_by:
        assert client.wants.get(serial) is ts, _told(ts)
        assert not client.real or s.clients.get(client.id) is client, _told(ts)


def _told(ts: TaskState) -> str:
    """Return the words that a failed check begins with: made only then, as they cost most of it."""
    return f"{ts!r} wanted_by={ts.wanted_by} waiters={ts.waiters}"


def _check_worker(s: SchedulerState, ws: WorkerState) -> None:
    for ts in ws.processing:
        assert ts.worker is ws and ts.state == "processing", f"{ws!r}: {ts!r}"
    assert ws.long_running <= ws.processing.keys(), f"{ws!r}: long-running"
    sent = ws.processing.keys() | ws.ahead.keys()
    assert ws.returning <= sent, f"{ws!r}: asked back what it does not have"
    occupancy = sum(ts.estimate for ts in ws.processing)
    assert abs(occupancy - ws.occupancy) < _TOLERANCE * (1 + occupancy), (
        f"{ws!r}: occupancy {ws.occupancy} is {occupancy}"
    )
    for ts in ws.ahead:
        assert ts.worker is ws and ts.state == "waiting", f"{ws!r}: {ts!r} was sent ahead"
    ahead = sum(ts.estimate for ts in ws.ahead)
    assert abs(ahead - ws.ahead_work) < _TOLERANCE * (1 + ahead), f"{ws!r}: work sent ahead"
    if not ws.running:
        left = [ts for ts in ws.ahead if ts not in ws.returning and not ts.begun]
        assert not left, f"{ws!r} will not begin what was sent ahead: {left}"
    nbytes = sum(ts.nbytes for ts in ws.held.values())
    assert nbytes == ws.nbytes, f"{ws!r}: {ws.nbytes} bytes are {nbytes}"
    for ts in ws.held.values():
        assert ws in ts.who_has, f"{ws!r}: {ts!r}"
    assert (ws in s.open) == (ws.running and has_room(s, ws)), f"{ws!r}: open={ws in s.open}"
    free_threads = ws.nthreads - len(ws.processing) + len(ws.long_running)
    assert (ws in s.idle) == (ws.running and free_threads > 0), f"{ws!r}: idle={ws in s.idle}"
    assert (ws in s.loaded) == (ws.running and free_threads < 0), f"{ws!r}: loaded={ws in s.loaded}"
    assert (ws in s.refill) == (ws in s.open and ws.queue.size > 0), f"{ws!r}: refill"
    assert not ws.out, f"{ws!r}: unsent messages"
    assert bool(ws.frees) == (ws in s.outbox.holding), f"{ws!r}: keys to be dropped: {ws.frees}"
    assert ws.processing or not ws.frees, f"{ws!r} is not busy, and was not told what to drop"


def _check_clients(s: SchedulerState) -> None:
    pseudo = [s.adopted, s.fire_and_forget]
    if s.coordination is not None:
        pseudo.append(s.coordination.retaining_client)
    for client in (*s.clients.values(), *pseudo):
        for ts in client.wants.values():
            assert client in ts.wanted_by and s.tasks.get(ts.key) is ts, f"{client!r}: {ts!r}"
        if not client.real:
            assert not client.out and not client.done_keys, f"{client!r} cannot be told"
    for ts in s.adopted.wants.values():
        assert ts.key in s.adopted_until, f"{ts!r} is kept for ever"


def _check_queues(s: SchedulerState, settled: bool) -> None:
    common = sum(1 for ts in s.tasks.values() if ts.state == "queued" and ts.worker is None)
    assert s.queue.size == common == len(list(s.queue.live(None))), "the common queue"
    parked = 0
    for ws in s.workers.values():
        live = list(ws.queue.live(ws))
        assert ws.queue.size == len(live), f"{ws!r}: queue of {ws.queue.size} is {live}"
        assert (ws in s.crowded) == bool(live), f"{ws!r}: crowded"
        work = sum(ts.estimate for ts in live)
        assert abs(work - ws.queued_work) < _TOLERANCE * (1 + work), f"{ws!r}: queued work"
        parked += len(live)
    if not s.work:  # tasks wait for a worker that is gone until they are placed anew
        assert s.parked == parked, "parked tasks"
    if s.recovery.until is None and settled:
        assert not (s.queue.size and s.open), "tasks are queued though workers have room"
        for ws in s.crowded:
            assert ws not in s.open, f"{ws!r} has a queue and room"


def _check_groups(s: SchedulerState) -> None:
    found: dict[str, Counter[str]] = {name: Counter() for name in s.groups}
    for ts in s.tasks.values():
        found[ts.group.name][ts.state] += 1
    for name, group in s.groups.items():
        known = {state: n for state, n in group.counts.items() if n and state != "forgotten"}
        assert found[name] == known, f"group {name!r}: {known} is {dict(found[name])}"
        assert group.size == sum(known.values()), f"group {name!r}: {group.size} tasks"


def _check_functions(s: SchedulerState) -> None:
    references: Counter[bytes] = Counter()
    for client in s.clients.values():
        references.update(client.defined.keys())
    for ts in s.tasks.values():
        if ts.function is not None:
            references[ts.function.id] += 1
    for id, function in s.functions.items():
        assert function.references == references[id] > 0, f"function {id.hex()}: references"
    for id in references:
        assert id in s.functions, f"function {id.hex()} is gone, but used"
