"""Changes that viewers may make where the configuration allows it: workers leave, tasks stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from shoal.scheduler.core import CancelTasks

if TYPE_CHECKING:
    from shoal.scheduler.scheduler import Scheduler

__all__ = ["cancel", "restart", "restart_worker", "retire", "scale"]

_PATIENCE = 5.0  # seconds within which a cluster object looks at its scheduler
_MOST = 100_000


async def retire(scheduler: Scheduler, worker: str) -> list[str]:
    """Move a worker's data to others and close it; return whom that was."""
    gone = await scheduler.retire_workers(workers=[str(worker)])
    return list(gone)


async def restart_worker(scheduler: Scheduler, worker: str) -> str:
    """Begin a worker's process anew."""
    await scheduler.restart_workers([str(worker)])
    return str(worker)


async def restart(scheduler: Scheduler) -> str:
    """Forget all tasks and begin all workers anew."""
    await scheduler.restart()
    return "restarted"


def cancel(scheduler: Scheduler, key: str) -> str:
    """Take a task, and what depends on it, away from all clients."""
    scheduler.feed(CancelTasks([str(key)], "cancelled on the dashboard"))
    return str(key)


async def scale(scheduler: Scheduler, n: int) -> str:
    """Have the cluster object that starts this scheduler's workers make them so many.

    Raises
    ------
    ValueError
        For a number that makes no sense, and where no cluster object takes the request.
    """
    if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n <= _MOST:
        raise ValueError(f"a number of workers is 0 to {_MOST}, got {n!r}")
    seen = scheduler.seen
    seen.scale_request = n
    try:
        async with asyncio.timeout(_PATIENCE):
            while _is_pending(scheduler):
                await asyncio.sleep(0.05)
    except TimeoutError:
        seen.scale_request = None
        raise ValueError(
            "no cluster object is connected that could start and stop workers: those of this "
            "scheduler were started by hand, or by a program that has ended"
        ) from None
    return f"{n} workers"


def _is_pending(scheduler: Scheduler) -> bool:
    return scheduler.seen.scale_request is not None
