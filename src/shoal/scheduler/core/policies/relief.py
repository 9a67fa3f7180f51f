"""Tasks that wait on a worker that starts nothing any more go to others.

A paused worker may stay so for long, and a retiring one for ever: nobody should wait for them while
another worker could go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.scheduler.core.outgoing import tell_worker
from shoal.scheduler.core.slices import start
from shoal.scheduler.core.transitions.losing import unplace_in_steps
from shoal.wire.messages import Steal

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState, TaskState, WorkerState

__all__ = ["relieve_paused", "take_back"]


def relieve_paused(s: SchedulerState) -> None:
    """Take from paused workers what they did not start, if there is another that can run it."""
    workers = s.workers.values()
    if not any(ws.running for ws in workers):
        return
    for ws in workers:
        if ws.status == "paused" and not ws.retiring:
            take_back(s, ws, [ts for ts in ws.processing if not (ts.begun or ts.options.actor)])


def take_back(s: SchedulerState, ws: WorkerState, waiting: list[TaskState]) -> None:
    """Place what is queued for a worker anew, and ask it for what did not start there."""
    queued = list(ws.queue.live(ws))
    if queued:
        start(s, unplace_in_steps(s, queued, "queued", ws))
    asked = [ts for ts in waiting if ts not in ws.returning]
    if asked:
        ws.returning.update(asked)
        tell_worker(s, ws, Steal([ts.key for ts in asked]))
