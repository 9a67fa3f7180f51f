"""Pages for programs: numbers that the scheduler keeps anyway, without a look at each task."""

from __future__ import annotations

import time
from typing import Any

__all__ = ["MOST", "counts_of"]

MOST = 200  # workers and prefixes that are shown one by one
_STATES = ("queued", "no-worker", "waiting", "processing", "memory", "erred", "released")


async def counts_of(scheduler: Any) -> dict[str, Any]:
    """Return the numbers of a scheduler, plain data throughout."""
    sums = await scheduler.seen.tally.take()
    state = scheduler.state
    workers = list(state.workers.values())
    statuses: dict[str, int] = {}
    for ws in workers:
        statuses[ws.status] = statuses.get(ws.status, 0) + 1
    by_state = {name: sums.total.tasks[name] for name in _STATES}
    return {
        # The names that others know.
        "bytes": sum(ws.nbytes for ws in workers),
        "clients": sum(client.real for client in state.clients.values()),
        "cores": state.total_nthreads,
        "erred": by_state["erred"],
        "hosts": len(state.hosts),
        "idle": len(state.idle),
        "memory": by_state["memory"],
        "processing": by_state["processing"],
        "released": by_state["released"],
        "saturated": sum(ws not in state.open for ws in state.loaded),
        "tasks": len(state.tasks),
        "unrunnable": len(state.unrunnable),
        "waiting": by_state["waiting"],
        "waiting_data": by_state["waiting"],
        "workers": len(workers),
        "desired_workers": sums.desired_workers,
        # And more.
        "id": scheduler.id,
        "address": scheduler.address_safe,
        "seconds": time.time() - scheduler.started_at,
        "workers_by_status": statuses,
        "threads": state.total_nthreads,
        "memory_limit": sum(ws.info.memory_limit or 0 for ws in workers),
        "memory_used": sum(ws.metrics.get("memory", 0) for ws in workers),
        "tasks_by_state": by_state,
        "n_prefixes": sums.n_prefixes,
        "prefixes": {
            each.name: {
                "tasks": {name: each.tasks[name] for name in _STATES},
                "seconds": each.duration,
                "nbytes": each.nbytes,
                "suspicious": each.suspicious,
            }
            for each in sums.busiest
        },
        "by_worker": [
            {
                "name": str(ws.name),
                "address": ws.address,
                "status": ws.status,
                "threads": ws.nthreads,
                "processing": len(ws.processing),
                "stored": len(ws.held),
                "nbytes": ws.nbytes,
                "memory": ws.metrics.get("memory", 0),
                "memory_limit": ws.info.memory_limit or 0,
            }
            for ws in workers[:MOST]
        ],
    }
