"""Copies of results are made and dropped on demand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.scheduler.core.handlers.membership import acquire
from shoal.scheduler.core.outgoing import tell_free

if TYPE_CHECKING:
    from shoal.scheduler.core.events import DropCopies, Move, PinCopies
    from shoal.scheduler.core.state import SchedulerState, TaskState, WorkerState

__all__ = ["drop_copies", "is_spare", "make_copies", "pin_copies"]


def make_copies(s: SchedulerState, event: Move) -> None:
    """Have a worker fetch what it does not have yet, and is not fetching."""
    target = s.workers.get(event.to)
    if target is None:
        return
    tasks = [s.tasks[key] for key in event.keys if key in s.tasks]
    wanted = [
        ts
        for ts in tasks
        if ts.who_has
        and target not in ts.who_has
        and ts not in target.pending
        and not ts.options.actor
    ]
    if wanted:
        acquire(s, target, wanted)


def pin_copies(s: SchedulerState, event: PinCopies) -> None:
    """Remember how many copies a user wants, as long as the task is known."""
    for key in event.keys:
        if event.count > 1 and key in s.tasks:
            s.pinned[key] = event.count
            s.replicated[s.tasks[key]] = None  # so that the pin is forgotten with the task
        else:
            s.pinned.pop(key, None)


def is_spare(ts: TaskState, ws: WorkerState) -> bool:
    """Whether a worker's copy can go: there is another, and no task there is about to use it."""
    if len(ts.who_has) < 2 or ws not in ts.who_has or ts.options.actor:
        return False
    for dependent in ts.dependents or ():
        if dependent.worker is ws and dependent.state == "processing":
            return False
    return True


def drop_copies(s: SchedulerState, event: DropCopies) -> None:
    """Drop copies, but never the last one, nor one that a task there is about to use."""
    for key, address in event.copies:
        ts = s.tasks.get(key)
        ws = s.workers.get(address)
        if ts is None or ws is None or not is_spare(ts, ws):
            continue
        del ws.held[ts.serial]
        ws.nbytes -= ts.nbytes
        rest = tuple(holder for holder in ts.who_has if holder is not ws)
        ts.who_has = rest[0].alone if len(rest) == 1 else rest
        tell_free(s, ws, key, ts.life)
