"""Which workers have room, an idle thread, or more than they run; kept up to date as it changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.scheduler.core.policies.ahead import call_back

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState, WorkerState

__all__ = ["has_room", "note_load", "update_room"]


def has_room(s: SchedulerState, ws: WorkerState) -> bool:
    """Whether a worker should be sent more: a task a thread, a spare one, and some time's worth."""
    count = len(ws.processing) - len(ws.long_running)
    nthreads = ws.nthreads
    if count <= nthreads:
        return True
    settings = s.settings
    return (
        ws.occupancy < settings.pipeline * nthreads and count < settings.pipeline_tasks * nthreads
    )


def note_load(s: SchedulerState, ws: WorkerState) -> bool:
    """A worker with room was sent a task: return whether it still has room."""
    count = len(ws.processing) - len(ws.long_running)
    nthreads = ws.nthreads
    if count >= nthreads:
        s.idle.pop(ws, None)
        if count > nthreads:
            s.loaded[ws] = None
            settings = s.settings
            if (
                ws.occupancy >= settings.pipeline * nthreads
                or count >= settings.pipeline_tasks * nthreads
            ):
                s.open.pop(ws, None)
                s.refill.pop(ws, None)
                return False
    return True


def update_room(s: SchedulerState) -> None:
    """Note how the workers are that the event touched."""
    workers = s.workers
    settings = s.settings
    for ws in s.touched_workers:
        if ws.status != "running" or ws.retiring or workers.get(ws.address) is not ws:
            for note in (s.open, s.idle, s.loaded, s.refill):
                note.pop(ws, None)
            if ws.ahead:
                call_back(s, ws)
            continue
        count = len(ws.processing) - len(ws.long_running)
        nthreads = ws.nthreads
        if count < nthreads:
            s.idle[ws] = None
        else:
            s.idle.pop(ws, None)
        if count > nthreads:
            s.loaded[ws] = None
            if (
                ws.occupancy >= settings.pipeline * nthreads
                or count >= settings.pipeline_tasks * nthreads
            ):
                s.open.pop(ws, None)
                s.refill.pop(ws, None)
                continue
        else:
            s.loaded.pop(ws, None)
        s.open[ws] = None
        if ws.queue.size:
            s.refill[ws] = None
