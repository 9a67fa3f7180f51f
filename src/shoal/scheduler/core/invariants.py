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
    where = f"{ts!r} wanted_by={ts.wanted_by} waiters={ts.waiters}"
    assert ts.state in STATES and ts.state != "forgotten", where
    waiters = sum(1 for d in ts.dependents or () if d.state in ACTIVE)
    assert ts.waiters == waiters, f"{where}: {waiters} dependents are active"
    for dep in ts.deps:
        assert s.tasks.get(dep.key) is dep, f"{where}: input {dep!r} is unknown"
        assert dep.dependents is not None and ts in dep.dependents, where
    for dependent in ts.dependents or ():
        assert s.tasks.get(dependent.key) is dependent and ts in dependent.deps, where
    assert ts.dependents is None or ts.dependents, f"{where}: an empty set of dependents"
    assert (ts.state == "memory") == bool(ts.who_has), f"{where}: held by {ts.who_has}"
    assert ts.value is None or ts.who_has, f"{where}: a value that nobody holds"
    assert len(ts.who_has) < 2 or ts in s.replicated, f"{where}: its copies are not counted"
    for ws in ts.who_has:
        assert ws.held.get(ts.serial) is ts, where
        assert s.workers.get(ws.address) is ws or (ws.status == "closed" and s.work), where
    for client in ts.wanted_by:
        assert client.wants.get(ts.serial) is ts, where
        assert not client.real or s.clients.get(client.id) is client, where
    if not settled:
        pass
    elif not ts.needed:
        assert ts.state in ("released", "erred"), f"{where}: kept, but nobody needs it"
        assert ts.dependents is not None, f"{where}: known, but nobody can ask for it"
    elif ts.state == "released":
        assert ts in s.recovery.awaited, f"{where}: needed, but nothing is done for it"
    missing = [dep for dep in ts.deps if dep.state != "memory"]
    if ts.state == "waiting":
        assert ts.waiting_on == len(missing), f"{where}: waits for {missing}"
        if not missing and settled:
            assert ts in s.sleeping or s.recovery.until is not None, f"{where}: ready, not placed"
    elif ts.state in ("queued", "no-worker"):
        assert not missing, f"{where}: misses {missing}"
    if ts.state == "processing":
        assert ts.worker is not None and ts in ts.worker.processing and ts.run, where
    elif ts.state == "waiting" and ts.worker is not None:
        assert missing and ts in ts.worker.ahead and ts.run, f"{where}: sent ahead"
        assert ts not in s.sleeping, f"{where}: sent ahead while it is to rest"
    elif ts.state != "queued":
        assert ts.worker is None, f"{where}: still on {ts.worker}"
    assert (ts.state == "no-worker") == (ts in s.unrunnable), where
    if ts.state == "erred":
        assert ts.rare is not None and ts.rare.error is not None, where


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
    counts: Counter[tuple[str, str]] = Counter((ts.group.name, ts.state) for ts in s.tasks.values())
    for name, group in s.groups.items():
        for state, n in group.counts.items():
            if state != "forgotten":
                assert counts[name, state] == n, f"group {name!r}: {n} {state}"
        assert group.size == sum(n for st, n in group.counts.items() if st != "forgotten")


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
