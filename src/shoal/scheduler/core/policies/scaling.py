"""How many workers there should be for what there is to do, and which of them can be spared.

Only answers: who starts and closes workers lives outside of the scheduler.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from shoal.scheduler.core.policies.estimates import estimate
from shoal.scheduler.core.policies.outlasting import too_short_for_waiting

if TYPE_CHECKING:
    from shoal.scheduler.core.state import PrefixState, SchedulerState, TaskState, WorkerState

__all__ = ["spare_workers", "wanted_of_kind", "wanted_workers", "work_of", "workers_for"]

# States of tasks that could run now if there were a thread for each.
_RUNNABLE = ("processing", "queued", "no-worker")

# How full of results the memory of all workers together may be.
_FULL = 0.6


def wanted_workers(s: SchedulerState, target_duration: float) -> int:
    """Return how many workers would do the work that is ready within `target_duration` seconds.

    There are never more threads than tasks, and always room for the data. The cost is that of
    looking at all groups, not at all tasks.
    """
    runnable, seconds = 0, 0.0
    for prefix in s.prefixes.values():
        n, each = work_of(s, prefix, prefix.counts)
        runnable += n
        seconds += each
    # Workers that end before the tasks that wait could are to be there besides.
    return workers_for(s, runnable, seconds, target_duration) + too_short_for_waiting(s)


def wanted_of_kind(
    s: SchedulerState, target_duration: float, resources: dict[str, float], nthreads: int
) -> int:
    """Return the same as `wanted_workers` for one kind of workers: those with these resources.

    A kind without resources does what asks for none. One that has some does what asks for these.
    The cost is that of looking at tasks that may not run everywhere, and at all groups.

    Parameters
    ----------
    s : SchedulerState
        The scheduler's.
    target_duration : float
        In how many seconds the work should be done.
    resources : dict
        What a worker of the kind offers.
    nthreads : int
        And how many threads it has.
    """
    asking = [ts for ts in s.unrunnable if ts.options.resources]
    for ws in s.workers.values():
        asking += [ts for ts in ws.processing if ts.options.resources]
        asking += [ts for ts in ws.queue.live(ws) if ts.options.resources]
    if not resources:
        everything, seconds = 0, 0.0
        for prefix in s.prefixes.values():
            n, each = work_of(s, prefix, prefix.counts)
            everything += n
            seconds += each
        n = max(0, everything - len(asking))
        seconds = max(0.0, seconds - sum(estimate(s, ts) for ts in asking))
        slots = float(nthreads)
    else:
        mine = [ts for ts in asking if _fits(ts, resources)]
        n, seconds = len(mine), sum(estimate(s, ts) for ts in mine)
        slots = min([float(nthreads), *(_at_once(ts, resources) for ts in mine)])
    threads = min(n, max(math.ceil(seconds / target_duration), int(n > 0)))
    return math.ceil(threads / slots)


def _fits(ts: TaskState, resources: dict[str, float]) -> bool:
    return all(resources.get(name, 0.0) >= n for name, n in (ts.options.resources or {}).items())


def _at_once(ts: TaskState, resources: dict[str, float]) -> float:
    """Return how many such tasks a worker runs at the same time."""
    wishes = [(name, n) for name, n in (ts.options.resources or {}).items() if n > 0]
    return max(1.0, min((resources[name] // n for name, n in wishes), default=math.inf))


def work_of(s: SchedulerState, prefix: PrefixState, counts: dict[str, int]) -> tuple[int, float]:
    """Return how many tasks of a prefix could run now, and how many seconds that would take."""
    n = sum(counts.get(state, 0) for state in _RUNNABLE)
    known = prefix.duration >= 0.0
    return n, n * (prefix.duration if known else s.settings.unknown_task_duration)


def workers_for(s: SchedulerState, runnable: int, seconds: float, target_duration: float) -> int:
    """Return the same as `wanted_workers` for what was summed up already."""
    threads = min(runnable, max(math.ceil(seconds / target_duration), int(runnable > 0)))
    threads_each = s.total_nthreads / len(s.workers) if s.workers else 1
    return max(math.ceil(threads / max(threads_each, 1)), _for_data(s))


def _for_data(s: SchedulerState) -> int:
    """Return how many workers it takes to hold the results that are there."""
    workers = s.workers.values()
    if not any(ws.held for ws in workers):
        return 0
    limits = [ws.info.memory_limit for ws in workers]
    if not all(limits):  # a worker without a limit takes everything
        return 1
    mean = sum(limits) / len(limits)
    return max(1, math.ceil(sum(ws.nbytes for ws in workers) / (_FULL * mean)))


def spare_workers(s: SchedulerState) -> list[WorkerState]:
    """Return workers that have nothing to do and whose data fits elsewhere, least data first."""
    running = [ws for ws in s.workers.values() if ws.running]
    limits = {ws: ws.info.memory_limit or math.inf for ws in running}
    used = sum(ws.nbytes for ws in running)
    spared: list[WorkerState] = []
    kept = dict.fromkeys(running)
    idle = [ws for ws in running if not ws.processing]
    for ws in sorted(idle, key=lambda ws: (len(ws.held) > 0, ws.nbytes)):
        if any(ts.options.actor for ts in ws.held.values()):
            continue  # actors cannot move
        del kept[ws]
        room = sum(limits[other] for other in kept) * _FULL
        if ws.held and (not kept or used > room):
            break
        spared.append(ws)
    return spared
