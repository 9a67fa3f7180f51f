"""Wanting and no longer wanting: from `released` up to ready, and from anywhere down to
`forgotten`.

All loops are worklists, never recursion: graphs are deeper than Python's stack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.scheduler.core.journal.recorder import FIRED, NOTE
from shoal.scheduler.core.outgoing import tell_free
from shoal.scheduler.core.state import NO_OPTIONS
from shoal.scheduler.core.transitions.table import ACTIVE, move

if TYPE_CHECKING:
    from shoal.scheduler.core.state import (
        ClientState,
        FunctionState,
        GroupState,
        SchedulerState,
        TaskState,
        WorkerState,
    )

__all__ = [
    "add_want",
    "drop_result",
    "drop_unneeded",
    "drop_want",
    "forget_traces",
    "leave_group",
    "leave_worker",
    "let_go_of_inputs",
    "release_function",
    "take_hold_of_inputs",
]


def add_want(client: ClientState, ts: TaskState) -> None:
    """A client wants a task's result."""
    wanted_by = ts.wanted_by
    if not wanted_by:
        ts.wanted_by = client.alone
    elif client in wanted_by:
        return
    else:
        ts.wanted_by = (*wanted_by, client)
    client.wants[ts.serial] = ts


def drop_want(s: SchedulerState, client: ClientState, ts: TaskState) -> None:
    """A client no longer wants a task's result."""
    if ts.wanted_by is client.alone:
        ts.wanted_by = ()
    elif client in ts.wanted_by:
        rest = tuple(other for other in ts.wanted_by if other is not client)
        ts.wanted_by = rest[0].alone if len(rest) == 1 else rest
    else:
        return
    del client.wants[ts.serial]
    if client is s.fire_and_forget and s.recorder is not None:
        s.recorder.drop(FIRED, ts.serial)
    if not ts.wanted_by and not ts.waiters:
        s.unneeded.append(ts)


def take_hold_of_inputs(ts: TaskState) -> None:
    """The task needs its inputs from now on."""
    for dep in ts.deps:
        dep.waiters += 1


def let_go_of_inputs(s: SchedulerState, ts: TaskState) -> None:
    """The task does not need its inputs any more."""
    for dep in ts.deps:
        dep.waiters -= 1
        if not dep.waiters and not dep.wanted_by:
            s.unneeded.append(dep)


def leave_worker(s: SchedulerState, ts: TaskState) -> WorkerState | None:
    """Take a task out of the queue it is in or off the worker it was sent to; return that worker.

    Nothing is said to the worker. The state is left for the caller to change.
    """
    ws = ts.worker
    if ts.state == "queued":
        if ws is None:
            s.queue.forget_one()
        else:
            ws.queue.forget_one()
            ws.queued_work -= ts.estimate
            s.parked -= 1
            if not ws.queue.size:
                ws.queued_work = 0.0
                s.crowded.pop(ws, None)
                s.refill.pop(ws, None)
        ts.worker = None
        return None
    if ts.state == "processing":
        assert ws is not None
        del ws.processing[ts]
        ws.occupancy -= ts.estimate
        if not ws.processing:
            ws.occupancy = 0.0
        rare = ts.rare
        if rare is not None:
            rare.thief = None
            if rare.long_running:
                rare.long_running = False
                ws.long_running.discard(ts)
    elif ts.state == "waiting":
        if s.sleeping:
            s.sleeping.pop(ts, None)
        if ws is None:
            return None
        del ws.ahead[ts]  # it was sent ahead
        ws.ahead_work -= ts.estimate
        if not ws.ahead:
            ws.ahead_work = 0.0
    else:
        if ts.state == "no-worker":
            s.unrunnable.pop(ts, None)
        return None
    if ws.returning:
        ws.returning.discard(ts)
    s.touched_workers[ws] = None
    ts.worker = None
    ts.run = 0
    return ws


def drop_unneeded(s: SchedulerState) -> None:
    """Release what nobody needs any more, and forget what nobody can ask for any more.

    As far as the budget of the event allows; the rest stays in `s.unneeded`.
    """
    unneeded = s.unneeded
    budget = s.budget
    while unneeded and budget > 0:
        budget -= 1
        ts = unneeded.pop()
        state = ts.state
        if ts.waiters or ts.wanted_by or state == "forgotten":
            continue
        if state == "memory":
            drop_result(s, ts)
            if ts.dependents:
                move(s, ts, "released")
                continue
        elif state in ACTIVE:
            left = leave_worker(s, ts)
            if left is not None:
                tell_free(s, left, ts.key, ts.life)
            move(s, ts, "released")
            ts.waiting_on = 0
            let_go_of_inputs(s, ts)
        if not ts.dependents:
            _forget(s, ts)
    s.budget = budget


def drop_result(s: SchedulerState, ts: TaskState) -> None:
    """Have all copies of a result dropped; the state is left for the caller to change."""
    large = ts.nbytes >= s.settings.free_large or ts.options is not NO_OPTIONS
    for ws in ts.who_has:
        del ws.held[ts.serial]
        ws.nbytes -= ts.nbytes
        s.touched_workers[ws] = None
        ws.frees.append(ts.key)
        ws.free_lives.append(ts.life)
        if large:
            ws.urgent = True
    ts.who_has = ()
    ts.value = None


def _forget(s: SchedulerState, ts: TaskState) -> None:
    """Unlink a task completely, so that no reference cycle is left for the collector."""
    move(s, ts, "forgotten")
    s.tasks.drop(ts.key)
    recovery = s.recovery
    if (
        recovery.awaited
        or recovery.unclaimed
        or recovery.puts
        or s.replicated
        or s.notes.metadata
        or s.recorded
    ):
        forget_traces(s, [ts])
    for dep in ts.deps:
        dependents = dep.dependents
        if dependents is not None:
            dependents.pop(ts, None)
            if not dependents:
                dep.dependents = None
                if not dep.waiters and not dep.wanted_by:
                    s.unneeded.append(dep)
    ts.deps = ()
    ts.hint = None
    ts.rare = None
    function = ts.function
    if function is not None:
        ts.function = None
        release_function(s, function)
    leave_group(s, ts.group, 1)


def forget_traces(s: SchedulerState, tasks: list[TaskState]) -> None:
    """Forget what is noted of few tasks, elsewhere than in their states."""
    recovery = s.recovery
    if s.notes.metadata:
        for ts in tasks:
            if ts.key in s.notes.metadata:
                del s.notes.metadata[ts.key]
                if s.recorder is not None:
                    s.recorder.drop(NOTE, ts.key)
    if s.recorded:
        assert s.recorder is not None
        for ts in tasks:
            s.recorder.forget(ts.serial)
    if s.replicated:
        for ts in tasks:
            s.replicated.pop(ts, None)
            s.pinned.pop(ts.key, None)
    if recovery.awaited:
        for ts in tasks:
            recovery.awaited.pop(ts, None)
    if recovery.unclaimed:
        for ts in tasks:
            recovery.unclaimed.pop(ts, None)
    if recovery.puts:
        for ts in tasks:
            recovery.puts.pop(ts, None)


def leave_group(s: SchedulerState, group: GroupState, n: int) -> None:
    """Count tasks off their group; the last ones take it with them."""
    group.size -= n
    if not group.size:
        s.groups.pop(group.name, None)
        prefix = group.prefix
        if prefix.groups.pop(group.name, None) is not None:
            prefix.seconds += group.duration
            prefix.nbytes += group.nbytes
            for state, n in group.entered.items():
                prefix.entered[state] += n


def release_function(s: SchedulerState, function: FunctionState, n: int = 1) -> None:
    """Drop references to a function; the last one makes the workers forget it."""
    function.references -= n
    if function.references:
        return
    del s.functions[function.id]
    for ws in function.workers:
        ws.used_functions.discard(function)
        s.outbox.stale_functions.setdefault(ws, []).append(function.id)
    function.workers = {}
