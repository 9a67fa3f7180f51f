"""Handlers of a worker's messages, once it is registered."""

from __future__ import annotations

from collections.abc import Callable
from itertools import repeat
from typing import TYPE_CHECKING, Any

from shoal.scheduler.core.handlers.graph import data_task
from shoal.scheduler.core.handlers.lives import (
    begin_life_of_data,
    is_life_of,
    merge_copy,
    set_aside_for_data,
    take_life,
)
from shoal.scheduler.core.journal.recipes import note_life
from shoal.scheduler.core.outgoing import tell_free
from shoal.scheduler.core.policies.estimates import LONGEST
from shoal.scheduler.core.policies.load import note_load
from shoal.scheduler.core.policies.relief import relieve_paused
from shoal.scheduler.core.policies.restrictions import workers_changed
from shoal.scheduler.core.policies.retrying import is_worth_retrying, pause_before
from shoal.scheduler.core.slices import start as start_change
from shoal.scheduler.core.state import Erred
from shoal.scheduler.core.transitions.bulk import finish_many
from shoal.scheduler.core.transitions.demand import add_want, leave_worker, let_go_of_inputs
from shoal.scheduler.core.transitions.failing import fail
from shoal.scheduler.core.transitions.losing import lose_copies, rerun, unplace_in_steps
from shoal.scheduler.core.transitions.processing import (
    add_copy,
    assign,
    begin,
    came_into_memory,
    finish,
)
from shoal.wire import messages as m

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState, TaskState, WorkerState

__all__ = ["WORKER_HANDLERS", "adopt_copy", "arrive_in_memory"]


def _on_finished(s: SchedulerState, ws: WorkerState, msg: m.Finished) -> None:
    tasks = s.tasks
    for key, run, nbytes, type_name, start, stop, value in finish_many(s, ws, msg):
        ts = tasks.get(key)
        if ts is not None and ts.worker is ws and ts.run == run:
            if ts.state != "processing":  # sent ahead, and an input was lost since it began
                begin(s, ts)
            finish(s, ts, ws, nbytes, type_name, max(0.0, stop - start), value)
        else:
            _on_stale_result(s, ws, key, run, nbytes, type_name)


def _on_stale_result(
    s: SchedulerState, ws: WorkerState, key: str, run: int, nbytes: int, type_name: str
) -> None:
    """A result of a run that is not the current one."""
    reported = s.recovery.reported.get(key)
    if reported is not None and reported[:2] == (ws, run):
        # It ran when the scheduler came back, and the client that wants it has not come back yet.
        del s.recovery.reported[key]
        adopt_copy(s, ws, key, nbytes, type_name, reported[2])
        return
    ts = s.tasks.get(key)
    if ts is not None and (ts.worker is ws or ws in ts.who_has):
        return  # the current run of this key is there: what to drop is the worker's to tell
    tell_free(s, ws, key, 0)


def adopt_copy(
    s: SchedulerState, ws: WorkerState, key: str, nbytes: int, type_name: str, life: int
) -> None:
    """Keep a result that no client asked for yet, for the grace period."""
    ts = data_task(s, key)
    if not take_life(s, ts, life):
        tell_free(s, ws, key, life)
        return
    if not ts.wanted_by:
        add_want(s.adopted, ts)
        s.adopted_until[key] = s.now + s.settings.recovery_grace
    arrive_in_memory(s, ts, ws, nbytes, type_name)


def arrive_in_memory(
    s: SchedulerState, ts: TaskState, ws: WorkerState, nbytes: int, type_name: str
) -> None:
    """A worker holds a result, whatever the scheduler was about to do for it."""
    before = ts.state
    add_copy(s, ts, ws, nbytes, type_name)
    if before == "memory":
        return
    if before in ("waiting", "no-worker", "queued", "processing"):
        elsewhere = leave_worker(s, ts)
        if elsewhere is not None and elsewhere is not ws:
            tell_free(s, elsewhere, ts.key, ts.life)
        ts.waiting_on = 0
        came_into_memory(s, ts, None)
        let_go_of_inputs(s, ts)
    else:
        s.recovery.awaited.pop(ts, None)
        if ts.rare is not None:
            ts.rare.error = None
        came_into_memory(s, ts, None)


def _current(s: SchedulerState, ws: WorkerState, key: str, run: int) -> TaskState | None:
    """Return the task of a message, or None when the message is about an older run."""
    ts: TaskState | None = s.tasks.get(key)
    if ts is not None and ts.worker is ws and ts.run == run:
        if ts.state != "processing":
            begin(s, ts)
        return ts
    s.recovery.reported.pop(key, None)
    return None


def _on_failed(s: SchedulerState, ws: WorkerState, msg: m.Failed) -> None:
    ts = _current(s, ws, msg.key, msg.run)
    if ts is None:
        return
    options = ts.options
    if options.retries:
        rare = ts.rarities()
        if rare.retries_used < options.retries and is_worth_retrying(options.retry, msg):
            rare.retries_used += 1
            if options.retry is not None:
                rare.wake_at = s.now + pause_before(options.retry, ts.key, rare.retries_used)
            rerun(s, ts)
            return
    error = Erred(msg.exception, msg.traceback, msg.exception_text, msg.traceback_text, ws.address)
    rerun(s, ts)
    if ts.state == "waiting":
        fail(s, ts, error, ts.key)


def _on_rescheduled(s: SchedulerState, ws: WorkerState, msg: m.Rescheduled) -> None:
    ts = _current(s, ws, msg.key, msg.run)
    if ts is not None:
        ts.rarities().avoid = ws
        rerun(s, ts)


def _on_long_running(s: SchedulerState, ws: WorkerState, msg: m.LongRunning) -> None:
    reported = s.recovery.reported.get(msg.key)
    if reported is not None and reported[:2] == (ws, msg.run):
        return  # its client did not come back yet; it runs on
    ts = _current(s, ws, msg.key, msg.run)
    if ts is None or (ts.rare is not None and ts.rare.long_running):
        return
    ts.rarities().long_running = True
    ws.long_running.add(ts)
    ws.occupancy -= ts.estimate
    ts.estimate = 0.0
    s.touched_workers[ws] = None


def _on_interrupted(s: SchedulerState, ws: WorkerState, msg: m.Interrupted) -> None:
    """Remember that code was stopped, or could not be: nobody else is told by this."""
    s.log_event(
        "interrupts",
        {
            "action": "worker-replaced" if msg.replaced else "task-interrupted",
            "key": msg.key,
            "worker": ws.address,
            "why": msg.why,
            "where": msg.where,
            "seconds": msg.seconds,
        },
    )


def _on_missing_deps(s: SchedulerState, ws: WorkerState, msg: m.MissingDeps) -> None:
    """A worker could not get inputs. The scheduler's belief of their holders is corrected first."""
    patient = False
    lives = msg.lives or repeat(0, len(msg.deps))
    rows = zip(msg.deps, msg.absent, msg.unreachable, lives, strict=True)
    for key, absent, unreachable, life in rows:
        dep = s.tasks.get(key)
        if dep is None or not is_life_of(dep, life):
            continue
        for address in absent:
            holder = s.workers.get(address)
            if holder is not None and holder in dep.who_has:
                lose_copies(s, [dep], holder)
                # It may have it again by now, or believe that it has.
                tell_free(s, holder, key, dep.life)
        for address in unreachable:
            holder = s.workers.get(address)
            if holder is None or holder not in dep.who_has:
                continue
            if dep.function is None or dep.options.actor:
                patient = True  # it cannot be computed again: wait for the network instead
            else:
                lose_copies(s, [dep], holder)
                tell_free(s, holder, key, dep.life)
    ts = _current(s, ws, msg.key, msg.run)
    if ts is None:
        return
    if patient:
        ts.rarities().wake_at = s.now + s.settings.retry_unreachable
    rerun(s, ts)


def _on_steal_reply(s: SchedulerState, ws: WorkerState, msg: m.StealReply) -> None:
    for key in msg.kept:
        ts = s.tasks.get(key)
        if ts is not None and ts in ws.returning:
            ws.returning.discard(ts)
            rare = ts.rarities()
            rare.thief = None
            rare.kept_run = ts.run
    for key, run in zip(msg.keys, msg.runs, strict=True):
        ts = _current(s, ws, key, run)
        if ts is None:
            continue
        thief = None if ts.rare is None else ts.rare.thief
        rerun(s, ts)
        if (
            thief is not None
            and thief in s.open
            and ts.state == "waiting"
            and not ts.waiting_on
            and s.recovery.until is None
        ):
            assign(s, ts, thief)
            note_load(s, thief)


def _on_acquired(s: SchedulerState, ws: WorkerState, msg: m.Acquired) -> None:
    lives = msg.lives or repeat(0, len(msg.keys))
    for key, nbytes, type_name, life in zip(msg.keys, msg.nbytes, msg.types, lives, strict=True):
        if msg.scattered:
            _was_put(s, ws, key, nbytes, type_name, life, msg.equal)
            continue
        ts = s.tasks.get(key)
        if ts is None or not is_life_of(ts, life):
            tell_free(s, ws, key, life)
        elif ts.state == "memory":
            add_copy(s, ts, ws, nbytes, type_name)
        elif ts.function is None:
            arrive_in_memory(s, ts, ws, nbytes, type_name)
        elif ts.worker is not ws:  # a worker that is to run it drops its copy by itself
            tell_free(s, ws, key, life)


def _was_put(
    s: SchedulerState,
    ws: WorkerState,
    key: str,
    nbytes: int,
    type_name: str,
    life: int,
    equal: bool,
) -> None:
    """A client put data on a worker. Until the client says so itself, too, it is kept."""
    ts = data_task(s, key)
    if ts.dependents and not equal and set_aside_for_data(s, ts, life):
        ts = data_task(s, key)
    if ts.function is not None and ts.state != "memory" and is_life_of(ts, life):
        if ts.worker is not ws:  # data of a key that is to be computed was not put there
            tell_free(s, ws, key, life)
        return
    if not s.recovery.puts.setdefault(ts, {}).setdefault(life, False):
        add_want(s.adopted, ts)
        s.adopted_until[key] = s.now + s.settings.recovery_grace
    began = not is_life_of(ts, life)
    if began and not begin_life_of_data(s, ts, life, equal):
        merge_copy(s, ts, ws, life)
        return
    ts.life = life or ts.life
    if s.recorder is not None:
        note_life(s.recorder, ts)
    if ts.state == "memory":
        add_copy(s, ts, ws, nbytes, type_name)
    else:
        arrive_in_memory(s, ts, ws, nbytes, type_name)


def _on_not_acquired(s: SchedulerState, ws: WorkerState, msg: m.NotAcquired) -> None:
    for key, life in zip(msg.keys, msg.lives or repeat(0, len(msg.keys)), strict=True):
        ts = s.tasks.get(key)
        if ts is not None and is_life_of(ts, life):
            ws.pending.pop(ts, None)


def _on_dropped(s: SchedulerState, ws: WorkerState, msg: m.Dropped) -> None:
    lives = msg.lives or repeat(0, len(msg.keys))
    known = [(s.tasks.get(key), life) for key, life in zip(msg.keys, lives, strict=True)]
    lose_copies(s, [ts for ts, life in known if ts is not None and is_life_of(ts, life)], ws)


def _on_status(s: SchedulerState, ws: WorkerState, msg: m.WorkerStatus) -> None:
    ws.status = msg.status
    s.touched_workers[ws] = None
    relieve_paused(s)


def _on_heartbeat(s: SchedulerState, ws: WorkerState, msg: m.WorkerHeartbeat) -> None:
    ws.metrics = msg.metrics
    ws.told_at = s.now
    ws.executing = msg.executing
    if grown := msg.metrics.get("task_memory"):
        _note_task_memory(s, grown)
    for key, elapsed in msg.executing.items():
        ts = s.tasks.get(key)
        if ts is None or ts.state != "processing" or ts.worker is not ws or ts in ws.long_running:
            continue
        elapsed = min(elapsed, LONGEST)
        if elapsed > ts.estimate:  # it takes longer than was thought
            ws.occupancy += elapsed - ts.estimate
            ts.estimate = elapsed


_PREFIXES = 1_000  # of which it is remembered how much memory their tasks took


def _note_task_memory(s: SchedulerState, grown: dict[str, list[int]]) -> None:
    """Remember how far processes grew while tasks ran: by prefix, how many runs, and the most."""
    known = s.task_memory
    for prefix, (runs, peak) in grown.items():
        before = known.pop(prefix, (0, 0))
        known[prefix] = (before[0] + runs, max(before[1], peak))
    while len(known) > _PREFIXES:
        del known[next(iter(known))]


def _on_resources(s: SchedulerState, ws: WorkerState, msg: m.ResourcesChanged) -> None:
    ws.info.resources = msg.resources
    workers_changed(s)
    if s.unrunnable:
        start_change(s, unplace_in_steps(s, list(s.unrunnable), "no-worker", None))


def _on_event(s: SchedulerState, ws: WorkerState, msg: m.EventLogged) -> None:
    for topic in msg.topics:
        s.log_event(topic, msg.message)


def _on_goodbye(s: SchedulerState, ws: WorkerState, msg: m.WorkerGoodbye) -> None:
    ws.status = "closing"
    s.departures.leaving[ws.address] = msg.reason
    s.touched_workers[ws] = None


WORKER_HANDLERS: dict[type, Callable[[SchedulerState, WorkerState, Any], None]] = {
    m.Finished: _on_finished,
    m.Failed: _on_failed,
    m.Rescheduled: _on_rescheduled,
    m.LongRunning: _on_long_running,
    m.Interrupted: _on_interrupted,
    m.MissingDeps: _on_missing_deps,
    m.StealReply: _on_steal_reply,
    m.Acquired: _on_acquired,
    m.NotAcquired: _on_not_acquired,
    m.Dropped: _on_dropped,
    m.WorkerStatus: _on_status,
    m.WorkerHeartbeat: _on_heartbeat,
    m.ResourcesChanged: _on_resources,
    m.EventLogged: _on_event,
    m.WorkerGoodbye: _on_goodbye,
}
