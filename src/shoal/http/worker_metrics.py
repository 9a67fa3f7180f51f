"""A worker's numbers for Prometheus: names, labels and meanings that dashboards know."""

from __future__ import annotations

from typing import Any

from shoal import config
from shoal.diagnostics.garbage import collecting_seconds
from shoal.diagnostics.sampling import contended_seconds
from shoal.http.exposition import Families
from shoal.http.process_metrics import process_text

__all__ = ["tasks_by_state", "worker_metrics"]

# States of runs as the worker's core names them, and as dashboards do.
_RUNS = {
    "waiting": "waiting",
    "constrained": "constrained",
    "ready": "ready",
    "executing": "executing",
    "long-running": "long-running",
}


def worker_metrics(worker: Any) -> str:
    """Return all families of a worker."""
    f = Families(f"{config.get_str('distributed.dashboard.prometheus.namespace')}_worker")
    f.gauge("tasks", "Number of tasks at worker.", tasks_by_state(worker))
    if config.get_bool("distributed.admin.system-monitor.gil.enabled"):
        f.counter(
            "gil_contention_seconds",
            "Time that a thread waited which wanted the interpreter's lock, an estimate",
            contended_seconds(),
        )
    f.counter(
        "gc_collection_seconds", "Total time spent on garbage collection", collecting_seconds()
    )
    f.gauge("threads", "Number of worker threads", worker.nthreads)
    f.gauge("latency_seconds", "Latency of worker connection", worker.report.latency)
    memory = worker.memory()
    kinds = {
        "managed": memory["managed_in_memory"],
        "unmanaged": max(0, memory["process"] - memory["managed_in_memory"]),
        "spilled": memory["managed_spilled"],
    }
    f.gauge("memory_bytes", "Memory breakdown", [({"type": k}, v) for k, v in kinds.items()])
    _transfers(f, worker)
    _spilling(f, worker)
    watch = worker.pages.loop_watch
    f.gauge(
        "tick_duration_maximum_seconds",
        "Maximum delay of the event loop observed since Prometheus last scraped metrics",
        watch.longest(),
    )
    f.counter("tick_count", "Total number of ticks observed since the server started", watch.count)
    return process_text() + f.text()


def tasks_by_state(worker: Any) -> list[tuple[dict[str, str], float]]:
    """Return how many tasks a worker has in each state."""
    state = worker.machine.state
    counts = dict.fromkeys(_RUNS.values(), 0)
    for run in list(state.tasks.values()):
        if run.state in _RUNS:
            counts[_RUNS[run.state]] += 1
    # Runs that were handed to the executor may wait there for a thread.
    counts["executing"] = worker.pool.executing
    counts["fetch"] = sum(1 for key in state.missing_keys.values() if key.flight is None)
    counts["flight"] = len(state.missing_keys) - counts["fetch"]
    on_disk = worker.store.disk_count
    counts["memory"] = max(0, len(worker.store) - on_disk)
    counts["disk"] = on_disk
    return [({"state": name}, n) for name, n in counts.items()]


def _transfers(f: Families, worker: Any) -> None:
    incoming, outgoing = worker.transfers.incoming, worker.transfers.outgoing
    f.gauge(
        "transfer_incoming_bytes",
        "Total size of open data transfers from other workers",
        worker.machine.state.fetching_bytes,
    )
    f.gauge(
        "transfer_incoming_count",
        "Number of open data transfers from other workers",
        incoming.active,
    )
    f.counter(
        "transfer_incoming_count",
        "Total number of data transfers from other workers since the worker was started",
        incoming.count,
    )
    f.gauge(
        "transfer_outgoing_bytes",
        "Total size of open data transfers to other workers",
        outgoing.active_bytes,
    )
    f.gauge(
        "transfer_outgoing_count",
        "Number of open data transfers to other workers",
        outgoing.active,
    )
    f.counter(
        "transfer_outgoing_bytes",
        "Total size of data transfers to other workers since the worker was started",
        outgoing.nbytes,
    )
    f.counter(
        "transfer_outgoing_count",
        "Total number of data transfers to other workers since the worker was started",
        outgoing.count,
    )


def _spilling(f: Families, worker: Any) -> None:
    done = worker.store.activities()
    rows = [({"activity": name}, each) for name, each in done.items()]
    f.counter(
        "spill_bytes",
        "Total size of memory and disk accesses caused by managed data",
        [(labels, nbytes) for labels, (nbytes, _, _) in rows],
    )
    f.counter(
        "spill_count",
        "Total number of memory and disk accesses caused by managed data",
        [(labels, count) for labels, (_, count, _) in rows],
    )
    f.counter(
        "spill_time_seconds",
        "Total time spent spilling/unspilling",
        [(labels, seconds) for labels, (_, _, seconds) in rows if seconds],
    )
