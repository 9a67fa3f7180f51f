"""A scheduler's description of itself and of its workers, for people and for their programs.

The pages that show it over HTTP are a layer above; here is who opens them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext
    from shoal.scheduler.core.state import WorkerState

__all__ = ["describe_scheduler", "describe_worker", "open_pages", "place_of_pages"]

_PLACE = ":8787"


def place_of_pages(dashboard: bool | None, address: str | int | None) -> str | int | None:
    """Return where pages are asked for, None for nowhere."""
    if dashboard is False:
        return None
    return _PLACE if dashboard and address is None else address


def open_pages(
    scheduler: SchedulerContext, place: str | int | None, prefix: str, xheaders: bool = False
) -> Any:
    """Listen for visitors, unless the place is None."""
    if place is None:
        return None
    # By name, as it is a layer above. The pages are loaded when somebody looks at them.
    http_server = importlib.import_module("shoal.http.lazy_server").LazyHttpServer(
        scheduler, place, prefix, xheaders=xheaders
    )
    http_server.tell(describe_scheduler(scheduler, 0, http_server))
    return http_server


def describe_scheduler(
    scheduler: SchedulerContext, n_workers: int, http_server: Any
) -> dict[str, Any]:
    """Return what a scheduler is, with the first workers; all if the number is negative."""
    known = list(scheduler.state.workers.values()) if scheduler._machine is not None else []
    workers = known[:n_workers] if n_workers >= 0 else known
    return {
        "type": type(scheduler).__name__,
        "id": scheduler.id,
        "address": scheduler.address_safe,
        "services": {} if http_server is None else {"dashboard": http_server.port},
        "dashboard_host": None if http_server is None else http_server.host,
        "dashboard_scheme": None if http_server is None else http_server.scheme,
        "dashboard_login": http_server is not None and http_server.needs_login,
        "started": scheduler.started_at,
        "n_workers": len(known),
        "total_threads": sum(ws.nthreads for ws in workers),
        "scale_request": scheduler.seen.scale_request,
        "workers": {ws.address: scheduler.describe_worker(ws) for ws in workers},
    }


def describe_worker(scheduler: SchedulerContext, ws: WorkerState) -> dict[str, Any]:
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
