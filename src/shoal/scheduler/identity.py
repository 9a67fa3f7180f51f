"""What a scheduler says of itself and of its workers, for people and for their programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.scheduler.core.state import WorkerState
    from shoal.scheduler.scheduler import Scheduler

__all__ = ["describe_scheduler", "describe_worker"]


def describe_scheduler(scheduler: Scheduler, n_workers: int, door: Any) -> dict[str, Any]:
    """Return what a scheduler is, with the first workers; all if the number is negative."""
    known = list(scheduler.workers.values()) if scheduler._machine is not None else []
    workers = known[:n_workers] if n_workers >= 0 else known
    return {
        "type": type(scheduler).__name__,
        "id": scheduler.id,
        "address": scheduler.address_safe,
        "services": {} if door is None else {"dashboard": door.port},
        "dashboard_host": None if door is None else door.host,
        "started": scheduler.started_at,
        "n_workers": len(known),
        "total_threads": sum(ws.nthreads for ws in workers),
        "workers": {ws.address: scheduler.describe_worker(ws) for ws in workers},
    }


def describe_worker(scheduler: Scheduler, ws: WorkerState) -> dict[str, Any]:
    """Return what is known of a worker."""
    info = ws.info
    return {
        "type": "Worker",
        "id": ws.name,
        "host": info.host,
        "resources": info.resources,
        "local_directory": info.local_directory,
        "name": ws.name,
        "nthreads": ws.nthreads,
        "memory_limit": info.memory_limit,
        "last_seen": scheduler.wall_time(ws.last_seen),
        "services": info.services,
        "metrics": ws.metrics,
        "status": ws.status,
        "nanny": info.nanny,
        "pid": info.pid,
    }
