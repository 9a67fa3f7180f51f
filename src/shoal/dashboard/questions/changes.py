"""Changes that viewers may make where the configuration allows it: workers leave, tasks stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.scheduler.core import CancelTasks

if TYPE_CHECKING:
    from shoal.scheduler.scheduler import Scheduler

__all__ = ["cancel", "restart", "restart_worker", "retire"]


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
