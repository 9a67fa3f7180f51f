"""What viewers may change where the configuration allows it: workers that leave, tasks that stop."""

from __future__ import annotations

from typing import Any

__all__ = ["cancel", "restart", "restart_worker", "retire"]


async def retire(scheduler: Any, worker: str) -> list[str]:
    """Move a worker's data to others and close it; return whom that was."""
    gone = await scheduler.retire_workers(workers=[str(worker)])
    return list(gone)


async def restart_worker(scheduler: Any, worker: str) -> str:
    """Begin a worker's process anew."""
    await scheduler.restart_workers([str(worker)])
    return str(worker)


async def restart(scheduler: Any) -> str:
    """Forget all tasks and begin all workers anew."""
    await scheduler.restart()
    return "restarted"


async def cancel(scheduler: Any, key: str) -> str:
    """Drop a task, whoever wants it."""
    ts = scheduler.state.tasks.get(str(key))
    for client in list(() if ts is None else ts.wanted_by or ()):
        scheduler.stimulus_cancel(keys=[str(key)], client=client.id)
    return str(key)
