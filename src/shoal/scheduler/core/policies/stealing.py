"""Work for idle workers: from the queues in the scheduler at no cost, else back from other workers.

A task moves when it would start earlier at the thief, the transfer of its inputs included. A task
that runs is never moved: the victim gives back only what it did not start (`Steal`, `StealReply`).
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice
from typing import TYPE_CHECKING

from shoal.scheduler.core.outgoing import tell_worker
from shoal.scheduler.core.policies.estimates import load, transfer_time
from shoal.scheduler.core.policies.load import note_load
from shoal.scheduler.core.policies.outlasting import outlasts
from shoal.scheduler.core.policies.restrictions import may_run_on
from shoal.scheduler.core.transitions.processing import assign
from shoal.wire.messages import Steal

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState, TaskState, WorkerState

__all__ = ["LEVELS", "balance"]

# How much longer a task takes at the thief than where it was sent, its transfer included: what was
# asked back is counted by these.
LEVELS = (1.0, *(1 + 2**power for power in range(-5, 9)))

_SAMPLE = 16
# How many tasks are considered for one thief in one event.
_BATCH = 64


def balance(s: SchedulerState) -> None:
    """Give idle workers something to do, if anybody has too much.

    Only what the event changed is looked at: workers that have nothing to do now, and workers that
    have more than they run. All others were looked at when they came to be so.
    """
    if not s.settings.steal or s.queue.size:
        return
    touched = list(s.touched_workers)
    for thief in touched:
        if thief in s.idle:
            _serve(s, thief)
    for victim in touched:
        if not s.idle:
            return
        if victim in s.crowded or (victim in s.loaded and _surplus(s, victim)):
            for thief in list(islice(s.idle, _SAMPLE)):
                if victim in s.crowded:
                    _take_parked(s, thief, victim)
                if victim in s.loaded and thief in s.idle:
                    _ask_back(s, thief, victim)


def _serve(s: SchedulerState, thief: WorkerState) -> None:
    """Find work for one idle worker."""
    if s.crowded:
        _take_parked(s, thief, max(islice(s.crowded, _SAMPLE), key=load))
    if s.loaded and thief in s.idle:
        victims = [ws for ws in islice(s.loaded, _SAMPLE) if _surplus(s, ws)]
        if victims:
            _ask_back(s, thief, max(victims, key=_load_sent))


def _surplus(s: SchedulerState, ws: WorkerState) -> bool:
    """Whether a worker can be asked to give something back: one request at a time."""
    return not ws.returning and ws.occupancy >= s.settings.steal_min * ws.nthreads


def _load_sent(ws: WorkerState) -> float:
    return ws.occupancy / ws.nthreads


def _take_parked(s: SchedulerState, thief: WorkerState, victim: WorkerState) -> None:
    if victim is thief:
        return
    limit = min(_BATCH, (victim.queue.size + 1) // 2)
    kept: list[TaskState] = []
    for ts in victim.queue.take_last(victim, limit):
        if (
            thief in s.open
            and load(victim) > load(thief) + transfer_time(s, ts, thief)
            and may_run_on(s, ts, thief)
            and outlasts(s, ts, thief)
        ):
            victim.queued_work -= ts.estimate
            s.parked -= 1
            assign(s, ts, thief)
            note_load(s, thief)
        else:
            kept.append(ts)
    for ts in kept:
        victim.queue.push(ts)
    if not victim.queue.size:
        victim.queued_work = 0.0
        s.crowded.pop(victim, None)
        s.refill.pop(victim, None)


def _ask_back(s: SchedulerState, thief: WorkerState, victim: WorkerState) -> None:
    if victim is thief or not _surplus(s, victim):
        return
    surplus = _load_sent(victim)
    spare = list(islice(reversed(victim.processing), _BATCH))[: -victim.nthreads or None]
    gain = 0.0
    keys: list[str] = []
    for ts in spare[: max(1, len(spare) // 2)]:
        if ts.options.actor:
            continue
        # A task that was kept has started: asking again would be answered the same, at once, for
        # ever.
        if ts.begun:
            continue
        at_thief = (thief.occupancy + gain) / thief.nthreads + transfer_time(s, ts, thief)
        if surplus - gain / victim.nthreads < at_thief + s.settings.latency:
            break
        if not (may_run_on(s, ts, thief) and outlasts(s, ts, thief)):
            continue
        gain += ts.estimate
        _count(s, ts.estimate, transfer_time(s, ts, thief))
        ts.rarities().thief = thief
        victim.returning.add(ts)
        keys.append(ts.key)
    if keys:
        tell_worker(s, victim, Steal(keys))


def _count(s: SchedulerState, seconds: float, transfer: float) -> None:
    level = bisect_left(LEVELS, 1 + transfer / max(seconds, 1e-6), hi=len(LEVELS) - 1)
    counted = s.notes.stolen.setdefault(level, [0, 0.0])
    counted[0] += 1
    counted[1] += seconds + transfer
