"""The scheduler's numbers for Prometheus: names, labels and meanings that dashboards know."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from shoal import config
from shoal.diagnostics.garbage import collecting_seconds
from shoal.diagnostics.sampling import contended_seconds
from shoal.http.exposition import Families
from shoal.http.process_metrics import process_text
from shoal.scheduler.core.policies.stealing import LEVELS
from shoal.scheduler.observe.tally import OTHERS, PrefixSum, Sums

__all__ = ["scheduler_metrics"]

_STATES = ("memory", "queued", "no-worker", "processing", "waiting", "erred", "released")
_WORKER_STATES = ("idle", "partially_saturated", "saturated", "paused", "retiring")


async def scheduler_metrics(scheduler: Any) -> str:
    """Return all families of a scheduler."""
    sums = await scheduler.seen.tally.take()
    space = config.get_str("distributed.dashboard.prometheus.namespace")
    own = Families(f"{space}_scheduler")
    _peers(own, scheduler, sums)
    _process(own, scheduler)
    _tasks(own, scheduler, sums)
    stealing = Families(f"{space}_stealing")
    _stealing(stealing, scheduler)
    semaphores = Families(f"{space}_semaphore")
    _semaphores(semaphores, scheduler)
    return process_text() + own.text() + semaphores.text() + stealing.text()


def _peers(f: Families, scheduler: Any, sums: Sums) -> None:
    state, seen = scheduler.state, scheduler.seen
    workers = list(state.workers.values())
    clients = sum(client.real for client in state.clients.values())
    f.gauge("clients", "Number of clients connected", clients)
    f.counter(
        "client_connections_added", "Total number of client connections added", seen.clients_added
    )
    f.counter(
        "client_connections_removed",
        "Total number of client connections removed",
        seen.clients_removed,
    )
    f.gauge(
        "desired_workers", "Number of workers scheduler needs for task graph", sums.desired_workers
    )
    by_state = dict.fromkeys(_WORKER_STATES, 0)
    for ws in workers:
        by_state[_worker_state(state, ws)] += 1
    f.gauge("workers", "Number of workers known by scheduler", _by("state", by_state))
    f.counter("workers_added", "Total number of workers added", seen.workers_added)
    f.counter("workers_removed", "Total number of workers removed", seen.workers_removed)
    f.gauge("threads", "Threads of all workers", sum(ws.nthreads for ws in workers))
    limits = sum(ws.info.memory_limit or 0 for ws in workers)
    f.gauge("memory_limit_bytes", "Memory that workers may use", limits)
    used = sum(ws.metrics.get("memory", 0) for ws in workers)
    f.gauge("memory_used_bytes", "Memory that workers use", used)


def _worker_state(state: Any, ws: Any) -> str:
    if ws.retiring:
        return "retiring"
    if ws.status == "paused":
        return "paused"
    if ws in state.idle:
        return "idle"
    return "saturated" if ws in state.loaded and ws not in state.open else "partially_saturated"


def _process(f: Families, scheduler: Any) -> None:
    watch = scheduler.seen.loop_watch
    if config.get_bool("distributed.admin.system-monitor.gil.enabled"):
        f.counter(
            "gil_contention_seconds",
            "Time that a thread waited which wanted the interpreter's lock, an estimate",
            contended_seconds(),
        )
    f.counter(
        "gc_collection_seconds", "Total time spent on garbage collection", collecting_seconds()
    )
    f.counter("last_time", "Time of this measurement, on the monotonic clock", time.monotonic())
    f.gauge(
        "tick_duration_maximum_seconds",
        "Maximum delay of the event loop observed since Prometheus last scraped metrics",
        watch.longest(),
    )
    f.counter("tick_count", "Total number of ticks observed since the server started", watch.count)


def _tasks(f: Families, scheduler: Any, sums: Sums) -> None:
    def by_prefix(value: Callable[[PrefixSum], float]) -> list[tuple[dict[str, str], float]]:
        return [({"task_prefix_name": each.name}, value(each)) for each in sums.prefixes]

    f.counter(
        "tasks_suspicious",
        "Total number of times a worker died while it ran a task",
        by_prefix(lambda each: each.suspicious),
    )
    total = sums.total
    f.counter(
        "tasks_forgotten",
        "Total number of tasks that are no longer known",
        total.entered["forgotten"],
    )
    counts = {state: total.tasks[state] for state in _STATES}
    f.gauge("tasks", "Number of tasks known by scheduler", _by("state", counts))
    f.gauge("task_groups", "Number of task groups known by scheduler", sums.n_groups)
    f.counter(
        "tasks_compute_seconds",
        "Total amount of compute time spent in each prefix",
        by_prefix(lambda each: each.seconds),
    )
    transfers = scheduler.seen.transfer_seconds()
    known = {each.name for each in sums.prefixes}
    others = sum(seconds for name, seconds in transfers.items() if name not in known)
    f.counter(
        "tasks_transfer_seconds",
        "Total amount of time in which results of each prefix went between workers",
        by_prefix(lambda each: others if each.name == OTHERS else transfers.get(each.name, 0.0)),
    )
    f.gauge(
        "tasks_output_bytes",
        "Bytes of the results of each prefix (without duplicates), of groups with tasks",
        by_prefix(lambda each: each.nbytes),
    )
    f.counter(
        "prefix_state_totals",
        "Accumulated count of task prefix in each state",
        [
            ({"task_prefix_name": each.name, "state": state}, n)
            for each in sums.prefixes
            for state, n in each.entered.items()
            if n
        ],
    )


def _stealing(f: Families, scheduler: Any) -> None:
    stolen = scheduler.state.notes.stolen
    levels = [(i, {"cost_multiplier": _level(level)}) for i, level in enumerate(LEVELS)]
    f.counter(
        "request_count",
        "Total number of stealing requests per cost multiplier.",
        [(labels, stolen.get(i, (0, 0))[0]) for i, labels in levels],
    )
    f.counter(
        "request_cost",
        "Total cost of stealing requests per cost multiplier.",
        [(labels, stolen.get(i, (0, 0))[1]) for i, labels in levels],
    )


def _level(level: float) -> str:
    return str(level) if level < 2 else str(int(level))


def _semaphores(f: Families, scheduler: Any) -> None:
    coordination = scheduler.state.coordination
    counts = {} if coordination is None else dict(coordination.semaphore_counts)
    places = {} if coordination is None else coordination.places
    rows = [
        ({"name": name}, each, places.get(("semaphore", name))) for name, each in counts.items()
    ]
    f.gauge(
        "max_leases",
        "Maximum leases allowed per semaphore",
        [(labels, each.max_leases) for labels, each, _ in rows],
    )
    f.gauge(
        "active_leases",
        "Amount of currently active leases per semaphore",
        [(labels, len(place.leases) if place else 0) for labels, _, place in rows],
    )
    f.gauge(
        "pending_leases",
        "Amount of currently pending leases per semaphore",
        [(labels, len(place.waiters) if place else 0) for labels, _, place in rows],
    )
    f.counter(
        "acquire",
        "Total number of leases acquired per semaphore",
        [(labels, each.acquired) for labels, each, _ in rows],
    )
    f.counter(
        "release",
        "Total number of leases released per semaphore",
        [(labels, each.released) for labels, each, _ in rows],
    )
    f.gauge(
        "average_pending_lease_time_s",
        "Exponential moving average of the time it took to acquire a lease per semaphore",
        [(labels, each.average_wait) for labels, each, _ in rows],
    )


def _by(label: str, values: dict[str, int]) -> list[tuple[dict[str, str], float]]:
    return [({label: name}, value) for name, value in values.items()]
