"""How many workers there should be for what there is to do, and which of them can be spared.

Only answers: who starts and closes workers lives outside of the scheduler.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.scheduler.core.state import PrefixState, SchedulerState, WorkerState

__all__ = ["spare_workers", "wanted_workers", "work_of", "workers_for"]

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
    return workers_for(s, runnable, seconds, target_duration)


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
