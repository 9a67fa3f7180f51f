"""From ready to a result: activation, assignment to a worker, success."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec

from shoal.scheduler.core.journal.recipes import note_life
from shoal.scheduler.core.outgoing import (
    flush_frees,
    say_finished,
    say_finished_to,
    tell_free,
    tell_worker,
)
from shoal.scheduler.core.policies.estimates import OVERHEAD, estimate, learn
from shoal.scheduler.core.state import NO_OPTIONS
from shoal.scheduler.core.transitions.demand import (
    drop_want,
    let_go_of_inputs,
    take_hold_of_inputs,
)
from shoal.scheduler.core.transitions.failing import data_is_missing, fail
from shoal.scheduler.core.transitions.table import move
from shoal.wire.messages import Compute, DefineFunctions

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState, TaskState, WorkerState
    from shoal.wire.messages import Inline

__all__ = ["activate", "add_copy", "assign", "begin", "came_into_memory", "finish"]

# Pickles up to so many bytes are kept for workers that need them as inputs, and numbers.
_KEPT = 128
# Tasks are sent ahead only of inputs with at most so many dependents, or all would be looked at.
_FEW = 8
# The type of what workers hold of actors that live elsewhere.
ACTOR_PROXY = "shoal.actors.actor.Actor"

# As a `Compute` names a task's inputs: keys, sizes, holders, values, lives.
_Inputs: TypeAlias = (
    "tuple[tuple[str, ...], tuple[int, ...], tuple[list[str], ...], "
    "tuple[Inline | None, ...], tuple[int, ...]]"
)
_NO_INPUTS: _Inputs = ((), (), (), (), ())


def activate(s: SchedulerState, ts: TaskState) -> None:
    """Make a needed, released task wait for its inputs, and its inputs for theirs.

    Tasks that wait for nothing go to `s.ready`, which is placed when the event ends.
    """
    stack = [ts]
    while stack:
        ts = stack.pop()
        if ts.state != "released" or not (ts.waiters or ts.wanted_by):
            continue
        if s.recovery.reported and ts.key in s.recovery.reported and _adopt_running(s, ts, stack):
            continue
        if ts.function is None:
            data_is_missing(s, ts)
            continue
        waiting_on = 0
        unsent = 0
        blame: TaskState | None = None
        for dep in ts.deps:
            state = dep.state
            if state != "memory":
                waiting_on += 1
                if state == "released":
                    stack.append(dep)
                elif state == "erred":
                    blame = dep
                if dep.worker is None:
                    unsent += 1
        if blame is not None:
            assert blame.rare is not None and blame.rare.error is not None
            fail(s, ts, blame.rare.error, blame.rare.blame)
            continue
        for dep in ts.deps:
            dep.waiters += 1
        move(s, ts, "waiting")
        ts.waiting_on = waiting_on
        ts.unsent = unsent
        if not waiting_on:
            s.ready.append(ts)
        elif not unsent:
            s.ahead_candidates.append(ts)


def _adopt_running(s: SchedulerState, ts: TaskState, stack: list[TaskState]) -> bool:
    """A worker that came back runs this task already: let it, if it is this life of it."""
    ws, run, life = s.recovery.reported.pop(ts.key)
    if not ts.life:
        ts.life = life
        if s.recorder is not None:
            note_life(s.recorder, ts)
    elif ts.life != life:
        tell_free(s, ws, ts.key, life)
        return False
    take_hold_of_inputs(ts)
    stack.extend(dep for dep in ts.deps if dep.state == "released")
    ts.run = run
    ts.worker = ws
    ts.estimate = estimate(s, ts)
    ws.processing[ts] = None
    ws.occupancy += ts.estimate
    s.touched_workers[ws] = None
    move(s, ts, "processing")
    return True


def assign(s: SchedulerState, ts: TaskState, ws: WorkerState) -> None:
    """Send a task to a worker: a ready one, or one ahead of inputs that are computed there."""
    function = ts.function
    assert function is not None
    group = ts.group
    if function not in ws.used_functions:
        ws.used_functions.add(function)
        function.workers[ws] = None
        tell_worker(s, ws, DefineFunctions([function.id], [function.blob]))
    seconds = group.prefix.duration  # as `estimate` says it
    seconds = s.settings.unknown_task_duration if seconds < 0.0 else seconds + OVERHEAD
    ts.estimate = seconds
    ts.worker = ws
    ts.run = s.next_run = s.next_run + 1
    if ts.waiting_on:
        ws.ahead[ts] = None
        ws.ahead_work += seconds
    else:
        ws.processing[ts] = None
        ws.occupancy += seconds
        move(s, ts, "processing")
    wanted_by = ts.wanted_by
    wanted = wanted_by[0].real if wanted_by else False
    keys, nbytes, holders, values, lives = _inputs(ts, ws) if ts.deps else _NO_INPUTS
    options = None if ts.options is NO_OPTIONS else ts.options
    if ts.rare is not None and ts.rare.alone:
        options = msgspec.structs.replace(ts.options, alone=True)
    # By position: keywords, and to set fields later, take half as long again.
    message = Compute(
        ts.key,
        ts.run,
        function.id,
        ts.args,
        ts.priority,
        seconds,
        wanted,
        keys,
        nbytes,
        holders,
        () if ts.buffers is None else tuple(ts.buffers),
        options,
        values,
        ts.life,
        lives,
    )
    # `tell_worker`, written out.
    s.touched_workers[ws] = None
    if ws.frees:
        flush_frees(ws)
    ws.out.append(message)
    dependents = ts.dependents
    if dependents is not None:
        if len(dependents) == 1:
            for dependent in dependents:
                if dependent.hint is None:
                    dependent.hint = ws
        if len(dependents) <= _FEW:
            for dependent in dependents:
                dependent.unsent -= 1
                if not dependent.unsent:
                    s.ahead_candidates.append(dependent)


def _inputs(ts: TaskState, ws: WorkerState) -> _Inputs:
    """Return what a worker is told of a task's inputs."""
    deps = ts.deps
    life = ts.life
    values: tuple[Inline | None, ...] = ()
    lives: tuple[int, ...] = ()
    for dep in deps:
        if dep.life != life and not lives:
            lives = tuple([dep.life for dep in deps])
        if dep.value is not None and not values and ws not in dep.who_has:
            values = tuple([None if ws in dep.who_has else dep.value for dep in deps])
    return (
        tuple([dep.key for dep in deps]),
        tuple([dep.nbytes for dep in deps]),
        tuple([[holder.address for holder in dep.who_has] for dep in deps]),
        values,
        lives,
    )


def begin(s: SchedulerState, ts: TaskState) -> None:
    """The inputs of a task that was sent ahead of them are there: its worker goes on with it."""
    ws = ts.worker
    assert ws is not None
    del ws.ahead[ts]
    ws.ahead_work -= ts.estimate
    ws.processing[ts] = None
    ws.occupancy += ts.estimate
    ts.waiting_on = 0
    s.touched_workers[ws] = None
    move(s, ts, "processing")


def finish(
    s: SchedulerState,
    ts: TaskState,
    ws: WorkerState,
    nbytes: int,
    type_name: str,
    seconds: float,
    value: Inline | None,
) -> None:
    """A worker computed a task that it was sent."""
    # The same as `leave_worker`, written out: this is the hottest path there is.
    del ws.processing[ts]
    ws.occupancy -= ts.estimate
    rare = ts.rare
    if rare is not None:
        rare.thief = None
        rare.avoid = None
        rare.alone = False
        if rare.long_running:
            rare.long_running = False
            ws.long_running.discard(ts)
    if ws.returning:
        ws.returning.discard(ts)
    group = ts.group
    learn(group.prefix, seconds)
    group.duration += seconds
    group.nbytes += nbytes
    group.stop = s.now
    if type_name not in group.types:
        group.types.add(type_name)
    ts.worker = None
    ts.run = 0
    ts.nbytes = nbytes
    ts.type = type_name
    if value is not None and ts.waiters and _is_worth_keeping(value, type_name):
        ts.value = value
    ts.who_has = ws.alone
    ws.held[ts.serial] = ts
    ws.nbytes += nbytes
    came_into_memory(s, ts, value)
    let_go_of_inputs(s, ts)


def _is_worth_keeping(value: Inline, type_name: str) -> bool:
    """Whether a result is to travel with the tasks that need it, without a word between workers.

    A proxy is not: workers note what actors they have proxies of.
    """
    return type(value) is not bytes or (len(value) <= _KEPT and type_name != ACTOR_PROXY)


def came_into_memory(s: SchedulerState, ts: TaskState, value: Inline | None) -> None:
    """A result exists: tell what waits for it. The caller has set `who_has`."""
    move(s, ts, "memory")
    wanted_by = ts.wanted_by
    if wanted_by:
        if len(wanted_by) == 1 and wanted_by[0].real:
            say_finished_to(s, wanted_by[0], ts, value)
        else:
            say_finished(s, ts, value)
            if s.fire_and_forget in wanted_by:
                drop_want(s, s.fire_and_forget, ts)
    elif not ts.waiters:
        s.unneeded.append(ts)
    dependents = ts.dependents
    if dependents is not None:
        few = len(dependents) <= _FEW
        for dependent in dependents:
            if dependent.state == "waiting":
                dependent.waiting_on -= 1
                if dependent.worker is not None:
                    if not dependent.waiting_on:
                        begin(s, dependent)
                elif not dependent.waiting_on:
                    s.ready.append(dependent)
                elif few and dependent.waiting_on == 1:
                    s.ahead_candidates.append(dependent)


def add_copy(
    s: SchedulerState, ts: TaskState, ws: WorkerState, nbytes: int, type_name: str
) -> None:
    """A worker holds (a copy of) a result that it did not compute just now.

    From any state the task ends in memory.
    """
    if ws in ts.who_has:
        return
    if ts.state != "memory":
        ts.nbytes = nbytes
        ts.type = type_name or ts.type
    actor = ts.options.actor or ts.type == ACTOR_PROXY  # its type may not be known yet
    if actor and ts.who_has and type_name != ACTOR_PROXY:
        ts.who_has = (ws, *ts.who_has)  # the first is where it lives
        ts.type = type_name
        s.replicated[ts] = None
    elif ts.who_has:
        ts.who_has = (*ts.who_has, ws)
        s.replicated[ts] = None
    else:
        ts.who_has = ws.alone
    ws.held[ts.serial] = ts
    ws.nbytes += ts.nbytes
    ws.pending.pop(ts, None)
