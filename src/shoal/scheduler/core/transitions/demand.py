"""Wanting and no longer wanting: from `released` up to ready, and from anywhere down to
`forgotten`.

All loops are worklists, never recursion: graphs are deeper than Python's stack.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.scheduler.core.speech import tell_free
from shoal.scheduler.core.state import NO_OPTIONS
from shoal.scheduler.core.transitions.table import ACTIVE, move

if TYPE_CHECKING:
    from shoal.scheduler.core.state import (
        ClientState,
        FunctionState,
        SchedulerState,
        TaskState,
        WorkerState,
    )

__all__ = [
    "add_want",
    "drop_unneeded",
    "drop_want",
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
    client.wants[ts] = None


def drop_want(s: SchedulerState, client: ClientState, ts: TaskState) -> None:
    """A client no longer wants a task's result."""
    if ts.wanted_by is client.alone:
        ts.wanted_by = ()
    elif client in ts.wanted_by:
        rest = tuple(other for other in ts.wanted_by if other is not client)
        ts.wanted_by = rest[0].alone if len(rest) == 1 else rest
    else:
        return
    del client.wants[ts]
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
            large = ts.nbytes >= s.settings.free_large or ts.options is not NO_OPTIONS
            for ws in ts.who_has:
                del ws.has_what[ts]
                ws.nbytes -= ts.nbytes
                s.touched_workers[ws] = None
                ws.frees.append(ts.key)
                if large:
                    ws.urgent = True
            ts.who_has = ()
            ts.value = None
            if ts.dependents:
                move(s, ts, "released")
                continue
        elif state in ACTIVE:
            left = leave_worker(s, ts)
            if left is not None:
                tell_free(s, left, ts.key)
            move(s, ts, "released")
            ts.waiting_on = 0
            let_go_of_inputs(s, ts)
        if not ts.dependents:
            _forget(s, ts)
    s.budget = budget


def _forget(s: SchedulerState, ts: TaskState) -> None:
    """Unlink a task completely, so that no reference cycle is left for the collector."""
    move(s, ts, "forgotten")
    s.tasks.drop(ts.key)
    if s.metadata:
        s.metadata.pop(ts.key, None)
    if s.replicated:
        s.replicated.pop(ts, None)
        s.pinned.pop(ts.key, None)
    for dep in ts.deps:
        dependents = dep.dependents
        if dependents is not None:
            dependents.pop(ts, None)
            if not dependents:
                dep.dependents = None
                if not dep.waiters and not dep.wanted_by:
                    s.unneeded.append(dep)
    ts.deps = ()
    if s.awaited:
        s.awaited.pop(ts, None)
    ts.hint = None
    ts.rare = None
    function = ts.function
    if function is not None:
        ts.function = None
        release_function(s, function)
    group = ts.group
    group.size -= 1
    if not group.size:
        _forget_group(s, ts)


def _forget_group(s: SchedulerState, ts: TaskState) -> None:
    group = ts.group
    s.groups.pop(group.name, None)
    group.prefix.groups.pop(group.name, None)


def release_function(s: SchedulerState, function: FunctionState) -> None:
    """Drop one reference to a function; the last one makes the workers forget it."""
    function.references -= 1
    if function.references:
        return
    del s.functions[function.id]
    for ws in function.workers:
        ws.used_functions.discard(function)
        s.stale_functions.setdefault(ws, []).append(function.id)
    function.workers = {}
