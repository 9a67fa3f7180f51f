"""Going back: runs and results that were lost, inputs that were missing, tasks that start over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from shoal.scheduler.core.outgoing import tell_client, tell_free
from shoal.scheduler.core.policies.blame import blame
from shoal.scheduler.core.slices import in_steps, start
from shoal.scheduler.core.transitions.demand import leave_worker, let_go_of_inputs
from shoal.scheduler.core.transitions.failing import fail_actor_lost, fail_killed
from shoal.scheduler.core.transitions.processing import activate
from shoal.scheduler.core.transitions.table import move
from shoal.wire.messages import KeysPending

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState, TaskState, WorkerState

__all__ = [
    "drop_worker_tasks",
    "lose_copies",
    "lose_result",
    "rerun",
    "unplace",
    "unplace_in_steps",
]


def unplace(s: SchedulerState, ts: TaskState) -> None:
    """Take a queued or unrunnable task back to `waiting`, its inputs unchanged."""
    leave_worker(s, ts)
    move(s, ts, "waiting")
    ts.waiting_on = 0
    s.ready.append(ts)


def unplace_in_steps(
    s: SchedulerState, tasks: list[TaskState], state: str, ws: WorkerState | None
) -> Iterator[int]:
    """`unplace` those of many tasks that are still in a state, and in the queue of a worker."""
    for part in in_steps(s, tasks):
        for ts in part:
            if ts.state == state and ts.worker is ws:
                unplace(s, ts)
        yield len(part)


def rerun(s: SchedulerState, ts: TaskState) -> WorkerState | None:
    """Take a processing task back; it runs again when its inputs are (still) there.

    Returns the worker that it was on; nothing is said to that worker.
    """
    ws = leave_worker(s, ts)
    move(s, ts, "waiting")
    waiting_on = 0
    for dep in ts.deps:
        if dep.state != "memory":
            waiting_on += 1
    ts.waiting_on = waiting_on
    if not waiting_on:
        if ts.function is not None:
            s.ready.append(ts)
            return ws
        # A worker that came back ran it, and no client has said yet how it is computed.
        move_back_to_released(s, ts)
        if ts.needed:
            activate(s, ts)
        return ws
    failed = next((dep for dep in ts.deps if dep.state == "erred"), None)
    if failed is not None:
        # Start over: `activate` finds the error and passes it on.
        move_back_to_released(s, ts)
        if ts.needed:
            activate(s, ts)
    return ws


def move_back_to_released(s: SchedulerState, ts: TaskState) -> None:
    """Take a waiting task back to `released`; it lets go of its inputs."""
    move(s, ts, "released")
    ts.waiting_on = 0
    let_go_of_inputs(s, ts)


def lose_copies(
    s: SchedulerState, tasks: list[TaskState], ws: WorkerState, reason: str = "its worker lost it"
) -> None:
    """Copies on one worker are gone. Results without another copy are computed again where
    needed; actors, which nothing brings back, fail.
    """
    _after_loss(s, _take_copies(s, tasks, ws), ws, reason)


def _lose_copies_in_steps(
    s: SchedulerState, ws: WorkerState, reason: str, patient_until: float | None
) -> Iterator[int]:
    """`lose_copies` of all that a worker had that is gone."""
    lost: list[TaskState] = []
    for part in in_steps(s, list(ws.held.values())):
        lost += _take_copies(s, part, ws)
        yield len(part)
    for part in in_steps(s, lost):
        before, s.recovery.patient_until = s.recovery.patient_until, patient_until
        _after_loss(s, part, ws, reason)
        s.recovery.patient_until = before
        yield len(part)


def _take_copies(s: SchedulerState, tasks: list[TaskState], ws: WorkerState) -> list[TaskState]:
    """Take copies as gone; return the tasks that had no other."""
    lost: list[TaskState] = []
    for ts in tasks:
        if ws not in ts.who_has:
            continue
        if ts.options.actor and ts.who_has[0] is ws:
            _drop_proxies(s, ts)
        ws.held.pop(ts.serial, None)
        ws.nbytes -= ts.nbytes
        rest = tuple(holder for holder in ts.who_has if holder is not ws)
        ts.who_has = rest[0].alone if len(rest) == 1 else rest
        if not rest:
            lost.append(ts)
    for ts in lost:
        lose_result(s, ts)
    return lost


def _after_loss(s: SchedulerState, lost: list[TaskState], ws: WorkerState, reason: str) -> None:
    """See what has to be computed again; all that is lost is known to be lost by now."""
    for ts in lost:
        if ts.options.actor and ts.needed:
            fail_actor_lost(s, ts, ws.address, reason)
    for ts in lost:
        if ts.state == "released":
            if ts.needed:
                activate(s, ts)
            else:
                s.unneeded.append(ts)


def _drop_proxies(s: SchedulerState, ts: TaskState) -> None:
    """An actor is gone from where it lived: what others hold of it is of no use."""
    home, *others = ts.who_has
    for ws in others:
        del ws.held[ts.serial]
        ws.nbytes -= ts.nbytes
        tell_free(s, ws, ts.key, ts.life)
    ts.who_has = home.alone


def lose_result(s: SchedulerState, ts: TaskState) -> None:
    """The last copy of a result is gone: dependents that did not start wait again."""
    move(s, ts, "released")
    ts.value = None
    for client in ts.wanted_by:
        tell_client(s, client, KeysPending([ts.key], client.heard))
    if ts.dependents is None:
        return
    for dependent in ts.dependents:
        state = dependent.state
        if state == "waiting":
            dependent.waiting_on += 1
        elif state in ("queued", "no-worker"):
            leave_worker(s, dependent)
            move(s, dependent, "waiting")
            dependent.waiting_on = 1


def drop_worker_tasks(
    s: SchedulerState, ws: WorkerState, reason: str, suspects: set[TaskState], runs: int
) -> None:
    """A worker is gone: place its queue anew, run its tasks again, count its death against those
    that may be the cause of it. `runs`: how many it died in the midst of.
    """
    start(s, unplace_in_steps(s, list(ws.queue.live(ws)), "queued", ws))
    for ts in list(ws.ahead):
        leave_worker(s, ts)
    allowed = s.settings.allowed_failures
    for ts in list(ws.processing):
        given_up = ts in suspects and blame(ts, runs, ws.address, reason, allowed)
        rerun(s, ts)
        if given_up and ts.state == "waiting":
            fail_killed(s, ts)
    start(s, _lose_copies_in_steps(s, ws, reason, s.recovery.patient_until))
