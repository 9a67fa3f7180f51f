"""What programs are told: numbers that the scheduler keeps anyway, without a look at each task."""

from __future__ import annotations

import time
from typing import Any

__all__ = ["counts_of"]

_MOST = 200  # workers and prefixes that are shown one by one
_STATES = ("queued", "no-worker", "waiting", "processing", "memory", "erred", "released")


def counts_of(scheduler: Any) -> dict[str, Any]:
    """Return the numbers of a scheduler, plain data throughout."""
    state = scheduler.core.state
    workers = list(state.workers.values())
    statuses: dict[str, int] = {}
    for ws in workers:
        statuses[ws.status] = statuses.get(ws.status, 0) + 1
    by_state = dict.fromkeys(_STATES, 0)
    prefixes: dict[str, dict[str, Any]] = {}
    for prefix in state.prefixes.values():
        tasks = dict.fromkeys(_STATES, 0)
        for group in prefix.groups.values():
            for name in _STATES:
                tasks[name] += group.counts[name]
        for name in _STATES:
            by_state[name] += tasks[name]
        prefixes[prefix.name] = {
            "tasks": tasks,
            "seconds": prefix.duration if prefix.duration >= 0 else None,  # none ran
            "nbytes": sum(group.nbytes for group in prefix.groups.values()),
            "suspicious": prefix.suspicious,
        }
    return {
        "id": scheduler.id,
        "address": scheduler.address_safe,
        "seconds": time.time() - scheduler.started_at,
        "clients": sum(client.real for client in state.clients.values()),
        "workers": len(workers),
        "workers_by_status": statuses,
        "threads": sum(ws.nthreads for ws in workers),
        "memory_limit": sum(ws.info.memory_limit or 0 for ws in workers),
        "memory": sum(ws.metrics.get("memory", 0) for ws in workers),
        "tasks": len(state.tasks),
        "tasks_by_state": by_state,
        "prefixes": prefixes,
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
            for ws in workers[:_MOST]
        ],
    }
