"""Workers come, come back, leave and are retired."""

from __future__ import annotations

from heapq import heapify, heapreplace
from itertools import islice, repeat
from typing import TYPE_CHECKING

from shoal.scheduler.core.handlers.lives import is_life_of, take_life
from shoal.scheduler.core.handlers.worker import adopt_copy, arrive_in_memory
from shoal.scheduler.core.outgoing import tell_client, tell_free, tell_worker
from shoal.scheduler.core.policies.blame import find_suspects
from shoal.scheduler.core.policies.estimates import estimate
from shoal.scheduler.core.policies.relief import relieve_paused, take_back
from shoal.scheduler.core.policies.restrictions import workers_changed
from shoal.scheduler.core.slices import start
from shoal.scheduler.core.state import WorkerState
from shoal.scheduler.core.transitions.demand import leave_worker
from shoal.scheduler.core.transitions.failing import end_overdue
from shoal.scheduler.core.transitions.losing import drop_worker_tasks, unplace_in_steps
from shoal.scheduler.core.transitions.table import move
from shoal.wire import messages as m

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState, TaskState

__all__ = ["check_retiring", "register_worker", "retire_worker", "worker_lost"]

# A retiring worker with more results is not looked at after every event.
_MANY = 1000
_SECONDS_A_RESULT = 1e-6  # that is, for some hundredths of the time


def register_worker(s: SchedulerState, msg: m.RegisterWorker) -> str | None:
    """A worker joins with what it holds and runs; return why not, if it may not."""
    name = str(msg.name)
    taken = s.aliases.get(name)
    if taken is not None and taken != msg.address:
        return (
            f"a worker with the name {name!r} is registered already at {taken}; "
            "give this one another name"
        )
    if name != msg.address and name in s.workers:
        return f"{name!r} is the address of another worker; give this one another name"
    ws = s.workers[msg.address] = WorkerState(msg, s.now)
    s.aliases[name] = msg.address
    s.hosts.setdefault(msg.host, {})[msg.address] = None
    s.total_nthreads += msg.nthreads
    workers_changed(s)
    s.touched_workers[ws] = None
    if msg.lifetime is not None:
        s.departures.lifetimes[ws] = s.now + msg.lifetime
        s.departures.first_lifetime = min(s.departures.lifetimes.values())
    if msg.reconnect and s.recovery.until is None:
        until = s.started + s.settings.recovery_window
        if s.now < until and not s.tasks:
            s.recovery.until = until
    forget: list[str] = []
    # Clients that are still to come may want what another has as an input only.
    young = msg.reconnect and s.now < s.started + s.settings.recovery_window
    forget_lives: list[int] = []
    lives = msg.held_lives or repeat(0, len(msg.held))
    held = zip(msg.held, msg.held_nbytes, msg.held_types, lives, strict=True)
    for key, nbytes, type_name, life in held:
        ts = s.tasks.get(key)
        if ts is not None and not take_life(s, ts, life):
            forget.append(key)
            forget_lives.append(life)
        elif ts is not None and (not msg.reconnect or (ts.wanted_by if young else ts.needed)):
            arrive_in_memory(s, ts, ws, nbytes, type_name)
        elif msg.reconnect:
            adopt_copy(s, ws, key, nbytes, type_name, life)
        else:
            forget.append(key)
            forget_lives.append(life)
    stop: list[str] = []
    lives = msg.running_lives or repeat(0, len(msg.running))
    for key, run, life in zip(msg.running, msg.running_runs, lives, strict=True):
        if not _adopt_run(s, ws, key, run, life):
            stop.append(key)
    interval = s.settings.heartbeat_interval
    tell_worker(s, ws, m.WorkerWelcome(s.id, interval, forget, stop, forget_lives))
    for client in s.clients.values():
        tell_client(s, client, m.WorkersChanged([ws.address], []))
    s.recovery.expected_workers.discard(ws.address)
    if s.unrunnable:
        start(s, unplace_in_steps(s, list(s.unrunnable), "no-worker", None))
    relieve_paused(s)
    s.log_event("all", {"action": "add-worker", "worker": ws.address})
    return None


def _adopt_run(s: SchedulerState, ws: WorkerState, key: str, run: int, life: int) -> bool:
    """Let a task run on where a worker that came back runs it; False when it should stop."""
    ts = s.tasks.get(key)
    if ts is None or ts.function is None or ts.state == "released":
        s.recovery.reported[key] = (ws, run, life)
        s.recovery.reported_until = s.now + s.settings.recovery_grace
        return True
    if ts.state not in ("waiting", "queued", "no-worker") or not is_life_of(ts, life):
        return False
    elsewhere = leave_worker(s, ts)
    if elsewhere is not None:  # it was sent there ahead of its inputs
        tell_free(s, elsewhere, key, ts.life)
    if ts.state != "waiting":
        move(s, ts, "waiting")
    ts.waiting_on = 0
    ts.worker = ws
    ts.run = run
    ts.estimate = estimate(s, ts)
    ws.processing[ts] = None
    ws.occupancy += ts.estimate
    move(s, ts, "processing")
    return True


def worker_lost(
    s: SchedulerState,
    ws: WorkerState,
    reason: str,
    expected: bool,
    dead: bool,
    running: tuple[int, ...] | None = None,
    overdue: tuple[int, ...] = (),
) -> None:
    """A worker is gone, one way or the other."""
    graceful = expected or ws.address in s.departures.leaving
    may_return = not dead and ws.address not in s.departures.leaving
    reason = s.departures.leaving.pop(ws.address, reason)
    del s.workers[ws.address]
    if s.aliases.get(str(ws.name)) == ws.address:
        del s.aliases[str(ws.name)]
    at_host = s.hosts[ws.info.host]
    del at_host[ws.address]
    if not at_host:
        del s.hosts[ws.info.host]
    s.total_nthreads -= ws.nthreads
    for note in (s.open, s.idle, s.loaded, s.refill):
        note.pop(ws, None)
    workers_changed(s)
    ws.status = "closed"
    s.recovery.patient_until = s.now + s.settings.recovery_window if may_return else None
    suspects = set() if graceful or overdue else find_suspects(ws, running)
    runs = len(suspects if running is None else running)
    late = [ts for ts in ws.processing if ts.run in overdue]
    drop_worker_tasks(s, ws, reason, suspects, runs)
    for ts in late:
        end_overdue(s, ts, ws.address)
    s.recovery.patient_until = None
    s.crowded.pop(ws, None)
    s.departures.lifetimes.pop(ws, None)
    for function in ws.used_functions:
        function.workers.pop(ws, None)
    s.outbox.stale_functions.pop(ws, None)
    for key in [key for key, (holder, _, _) in s.recovery.reported.items() if holder is ws]:
        del s.recovery.reported[key]
    for client in s.clients.values():
        tell_client(s, client, m.WorkersChanged([], [ws.address]))
    s.touched_workers.pop(ws, None)
    s.outbox.holding.pop(ws, None)
    s.log_event(
        "all",
        {"action": "remove-worker", "worker": ws.address, "reason": reason, "expected": graceful},
    )


def retire_worker(
    s: SchedulerState,
    ws: WorkerState,
    close: bool,
    *,
    must_go: bool = False,
    within: float | None = None,
) -> None:
    """Begin to empty a worker: nothing new for it, unique results move away.

    Parameters
    ----------
    close : bool
        Whether to close it then.
    must_go : bool
        Close it at the end of the time also with what could not move.
    within : float, optional
        Seconds until the end of the time; else as in the settings.
    """
    until = s.now + (s.settings.retire_timeout if within is None else within)
    begun = ws in s.departures.retiring
    ws.retire_until = min(until, ws.retire_until) if begun else until
    ws.retiring = True
    ws.close_when_retired = close
    ws.must_go = must_go
    s.touched_workers[ws] = None
    s.departures.retiring[ws] = None
    take_back(s, ws, list(ws.processing)[ws.nthreads :])


def check_retiring(s: SchedulerState) -> None:
    """Move unique results off retiring workers; those that are empty are retired.

    Runs of the worker may end, and its data may move, until the time is over. Runs that go on then
    are run elsewhere.
    """
    for ws in list(s.departures.retiring):
        if ws.address not in s.workers:
            del s.departures.retiring[ws]
            s.outbox.retired.append(ws.address)
            continue
        late = s.now >= ws.retire_until
        if s.now < ws.look_again and not late:
            continue
        others = [other for other in s.workers.values() if other.running]
        # So many at a time; that others have them by now makes the next ones first.
        unique = list(islice((ts for ts in ws.has_what if len(ts.who_has) == 1), s.settings.slice))
        if len(ws.held) > _MANY:
            ws.look_again = s.now + len(ws.held) * _SECONDS_A_RESULT
        why = _cannot_move(ws, unique, others)
        if why and not (ws.must_go and not late):
            _not_retired(s, ws, why)
        elif not late:
            if others:
                _move_away(s, unique, others)
            if why or ws.processing or ws.ahead or (unique and others):
                continue
        elif unique and others:
            _not_retired(s, ws, f"results had not moved in time: {unique[0].key!r}, ...")
        if ws.retiring:
            _retired(s, ws)


def _cannot_move(ws: WorkerState, unique: list[TaskState], others: list[WorkerState]) -> str:
    """Return why something that the worker holds has to stay there; empty if nothing has to."""
    actor = next((ts for ts in ws.held.values() if _lives_on(ts, ws)), None)
    if actor is not None:
        return f"the actor {actor.key!r} lives there, and cannot move: release it first"
    if not others:
        stuck = next((ts for ts in unique if ts.function is None and ts.needed), None)
        if stuck is not None:
            return f"no other worker could take the data of {stuck.key!r}"
    return ""


def _not_retired(s: SchedulerState, ws: WorkerState, why: str) -> None:
    """Tell that results could not move; the worker is there for all again, if it may stay."""
    s.outbox.not_retired.append((ws.address, why))
    if not ws.must_go:
        del s.departures.retiring[ws]
        ws.retiring = False
        s.touched_workers[ws] = None


def _retired(s: SchedulerState, ws: WorkerState) -> None:
    del s.departures.retiring[ws]
    s.outbox.retired.append(ws.address)
    if ws.close_when_retired:
        s.departures.leaving[ws.address] = "retired"
        ws.status = "closing"
        tell_worker(s, ws, m.CloseWorker("retired"))


def _lives_on(ts: TaskState, ws: WorkerState) -> bool:
    """Whether it is an actor that somebody needs, not a proxy of one."""
    return ts.options.actor and ts.needed and ts.who_has[0] is ws


def _move_away(s: SchedulerState, unique: list[TaskState], others: list[WorkerState]) -> None:
    plan: dict[WorkerState, list[TaskState]] = {}
    coming = set().union(*[other.pending for other in others])
    fullness = [(other.nbytes + 1000 * len(other.pending), i) for i, other in enumerate(others)]
    heapify(fullness)
    for ts in unique:
        if ts not in coming:
            nbytes, i = fullness[0]
            heapreplace(fullness, (nbytes + 1000 + max(ts.nbytes, 0), i))
            plan.setdefault(others[i], []).append(ts)
    for target, tasks in plan.items():
        acquire(s, target, tasks)


def acquire(s: SchedulerState, target: WorkerState, tasks: list[TaskState]) -> None:
    """Make a worker fetch copies."""
    for ts in tasks:
        target.pending[ts] = None
    tell_worker(
        s,
        target,
        m.Acquire(
            [ts.key for ts in tasks],
            [ts.nbytes for ts in tasks],
            [[holder.address for holder in ts.who_has] for ts in tasks],
            [ts.life for ts in tasks],
        ),
    )
