"""Errors: a task failed, its inputs failed, its data is gone, it killed its workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.errors import (
    ActorLostError,
    DataLostError,
    KilledWorker,
    NoValidWorkerError,
    TaskTimeout,
)
from shoal.scheduler.core.outgoing import tell_client, tell_free
from shoal.scheduler.core.policies.retrying import is_worth_retrying, pause_before
from shoal.scheduler.core.state import Erred
from shoal.scheduler.core.transitions.demand import drop_want, leave_worker, let_go_of_inputs
from shoal.scheduler.core.transitions.table import ACTIVE, move
from shoal.wire.blob import Blob
from shoal.wire.failures import kinds_of
from shoal.wire.messages import Failed, KeyErred, KeysLost
from shoal.wire.pickling import dumps

if TYPE_CHECKING:
    from shoal.scheduler.core.state import ClientState, SchedulerState, TaskState

__all__ = [
    "data_is_missing",
    "end_overdue",
    "fail",
    "fail_actor_lost",
    "fail_data_lost",
    "fail_killed",
    "fail_unrunnable",
    "say_erred",
]

_NONE = Blob(b"")


def fail(s: SchedulerState, ts: TaskState, error: Erred, blame: str) -> None:
    """Put a task, and all that wait for it, into error; `blame` is the key whose run failed."""
    stack = [ts]
    while stack:
        ts = stack.pop()
        state = ts.state
        if state in ACTIVE:
            ws = leave_worker(s, ts)
            if ws is not None:
                tell_free(s, ws, ts.key, ts.life)
            move(s, ts, "erred")
            ts.waiting_on = 0
            let_go_of_inputs(s, ts)
        elif state == "released":
            move(s, ts, "erred")
            if s.recovery.awaited:
                s.recovery.awaited.pop(ts, None)
        else:
            continue
        rare = ts.rarities()
        rare.error = error
        rare.blame = blame
        for client in ts.wanted_by:
            say_erred(s, client, ts)
        if s.fire_and_forget in ts.wanted_by:
            drop_want(s, s.fire_and_forget, ts)
        if not ts.wanted_by and not ts.waiters:
            s.unneeded.append(ts)
        if ts.dependents is not None:
            stack.extend(d for d in ts.dependents if d.state in ("waiting", "queued", "no-worker"))


def say_erred(s: SchedulerState, client: ClientState, ts: TaskState) -> None:
    """Tell a client why a task failed."""
    assert ts.rare is not None and ts.rare.error is not None
    error = ts.rare.error
    if ts.function is None:
        tell_client(s, client, KeysLost([ts.key], error.exception_text, client.heard))
        if client.real:
            drop_want(s, client, ts)  # it forgets the key, and will not release it
    else:
        message = KeyErred(ts.key, error.exception, error.traceback, ts.rare.blame, client.heard)
        tell_client(s, client, message)


def _erred(exception: Exception, worker: str) -> Erred:
    return Erred(dumps(exception), dumps(None), str(exception), "", worker)


def data_is_missing(s: SchedulerState, ts: TaskState) -> None:
    """A needed result is not there and cannot be computed: wait for workers that may bring it."""
    if ts.nbytes < 0 and ts in s.recovery.awaited:
        return  # it was never here: a client may be about to define it
    until = s.recovery.patient_until if s.recovery.until is None else s.recovery.until
    if until is not None:
        s.recovery.awaited[ts] = until
    else:
        fail_data_lost(s, ts, "no worker holds it")


def fail_data_lost(s: SchedulerState, ts: TaskState, reason: str) -> None:
    """Give up a result that nobody holds and nobody can compute."""
    exception = DataLostError(ts.key, reason)
    fail(s, ts, _erred(exception, ""), ts.key)


def fail_killed(s: SchedulerState, ts: TaskState) -> None:
    """Give up a task that ran on too many workers that died."""
    assert ts.rare is not None
    s.notes.killed += 1
    exception = KilledWorker(ts.key, list(ts.rare.deaths), s.settings.allowed_failures)
    fail(s, ts, _erred(exception, ts.rare.deaths[-1][0]), ts.key)


def end_overdue(s: SchedulerState, ts: TaskState, worker: str) -> None:
    """A process was ended, for a task held it longer than its timeout: fail it, or try it again."""
    rare = ts.rarities()
    where = "(unknown: it held the interpreter of its process)"
    exception = TaskTimeout(ts.key, ts.options.timeout, where)
    failed = Failed(ts.key, 0, _NONE, _NONE, "", "", 0.0, 0.0, kinds_of(TaskTimeout))
    if rare.retries_used < ts.options.retries and is_worth_retrying(ts.options.retry, failed):
        rare.retries_used += 1
        if ts.options.retry is not None:
            rare.wake_at = s.now + pause_before(ts.options.retry, ts.key, rare.retries_used)
    elif ts.state == "waiting":
        fail(s, ts, _erred(exception, worker), ts.key)


def fail_actor_lost(s: SchedulerState, ts: TaskState, worker: str, reason: str) -> None:
    """Give up an actor whose worker is gone: another object would not be the same."""
    fail(s, ts, _erred(ActorLostError(ts.key, worker, reason), worker), ts.key)


def fail_unrunnable(s: SchedulerState, ts: TaskState, why: str) -> None:
    """Give up a task that no worker could take for too long."""
    fail(s, ts, _erred(NoValidWorkerError(ts.key, why), ""), ts.key)
