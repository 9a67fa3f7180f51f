"""Runs whose code is to be stopped: those that pass their timeout, and those cancelled by force.

First the executor raises an exception in the code. Code that goes on beyond the grace is given
up: its thread is taken for lost, and the process is to be replaced. Of the other runs of that
process none is to blame.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from shoal.errors import TaskTimeout
from shoal.wire import messages as m
from shoal.wire.failures import kinds_of
from shoal.wire.pickling import dumps
from shoal.worker.core.state import Limit
from shoal.worker.core.transitions import free_run

if TYPE_CHECKING:
    from shoal.worker.core.events import Interrupted, Started
    from shoal.worker.core.state import WorkerState

__all__ = ["act_on_due", "interrupt", "note_interrupted", "note_started"]

TIMEOUT = "timeout"


def note_started(s: WorkerState, event: Started) -> None:
    """A run with a timeout began."""
    task = s.tasks.get(event.key)
    if task is None or task.run != event.run:
        # Its result is not wanted any more; it takes a thread all the same.
        task = s.orphans.get((event.key, event.run))
    if task is None or task.run in s.limits:
        return
    options = task.compute.options
    if options is not None and options.timeout:
        since = s.now - event.elapsed
        _watch(s, Limit(task, TIMEOUT, since, since + options.timeout))


def interrupt(s: WorkerState, message: m.Interrupt) -> None:
    """The scheduler wants the code of runs to stop; it said before that nobody needs them."""
    for key, run in zip(message.keys, message.runs, strict=True):
        task = s.orphans.get((key, run))
        if task is None:
            continue
        limit = s.limits.get(run)
        if limit is None:
            limit = Limit(task, message.reason, s.now, s.now)
        elif limit.interrupted:
            continue
        limit.why, limit.due = message.reason, s.now
        _watch(s, limit)


def _watch(s: WorkerState, limit: Limit) -> None:
    s.limits[limit.task.run] = limit
    s.next_limit = min(s.next_limit, limit.due)


def act_on_due(s: WorkerState) -> None:
    """Do what is due; called after each event while there are limits."""
    if s.now < s.next_limit:
        return
    for limit in list(s.limits.values()):
        if limit.due > s.now:
            continue
        if limit.interrupted:
            _give_up(s, limit)
        else:
            limit.interrupted = True
            limit.due = s.now + s.settings.interrupt_grace
            s.effects.interrupt.append(limit.task)
    s.next_limit = min((limit.due for limit in s.limits.values()), default=inf)


def note_interrupted(s: WorkerState, event: Interrupted) -> None:
    """The executor did what it could to stop a run."""
    limit = s.limits.get(event.run)
    if limit is not None:
        limit.where = event.where
        limit.since = s.now - event.elapsed
        _say(s, limit, replaced=False)


def _give_up(s: WorkerState, limit: Limit) -> None:
    """The code of a run goes on after it was to stop: do without its thread, and its process."""
    task = limit.task
    del s.limits[task.run]
    if s.tasks.get(task.key) is task:  # a timeout: somebody waits for it
        options = task.compute.options
        seconds = 0.0 if options is None else options.timeout
        if s.connected:
            error = TaskTimeout(task.key, seconds, limit.where)
            s.effects.send.append(
                m.Failed(
                    task.key,
                    task.run,
                    dumps(error),
                    dumps(None),
                    repr(error),
                    "",
                    0.0,
                    0.0,
                    kinds_of(TaskTimeout),
                )
            )
        free_run(s, task)
    _say(s, limit, replaced=True)
    s.effects.abandon.append(task)
    if not s.closing and not s.replacing:
        s.replacing = True
        s.effects.replace = (
            f"the code of the task {task.key!r} did not stop within "
            f"{s.settings.interrupt_grace:g} s ({limit.why})"
        )


def _say(s: WorkerState, limit: Limit, replaced: bool) -> None:
    if s.connected:
        task = limit.task
        s.effects.send.append(
            m.Interrupted(task.key, task.run, limit.why, limit.where, s.now - limit.since, replaced)
        )
