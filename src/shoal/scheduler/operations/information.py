"""Questions about tasks, workers and what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from shoal._base.versions import own_versions
from shoal.scheduler.core import LogEvent
from shoal.scheduler.core.explain import explain, story
from shoal.scheduler.core.state import WorkerState

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext
    from shoal.scheduler.core_access import CoreAccess

__all__ = [
    "check_idle",
    "cluster_memory",
    "cluster_summary",
    "events",
    "explain_task",
    "find_workers",
    "has_what",
    "log_event",
    "logs",
    "memory_by_prefix",
    "metrics",
    "nbytes",
    "nthreads",
    "processing",
    "scheduler_info",
    "task_status",
    "tell_story",
    "versions",
    "who_has",
]

# Kinds of workers' memory that can be asked for, from their metrics.
_MEMORY: dict[str, Callable[[dict[str, Any]], int]] = {
    "process": lambda metrics: metrics["memory"],
    "managed": lambda metrics: metrics["managed_bytes"],
    "unmanaged": lambda metrics: metrics["memory"] - metrics["managed_bytes"],
    "spilled": lambda metrics: metrics["spilled_bytes"],
}


class TellsOfItself(Protocol):
    """A scheduler, as those know it who ask how it is."""

    @property
    def idle_since(self) -> float | None:
        """Since when there is nothing to do, in seconds since the epoch; None: there is."""

    def identity(self, n_workers: int = -1) -> dict[str, Any]:
        """Return what it is, with the first workers; all if the number is negative."""


# The metrics of each worker that `cluster_summary` tells.
_SHOWN = ("cpu", "memory", "managed_bytes", "spilled_bytes", "executing")


def find_workers(scheduler: CoreAccess, names: Iterable[Any] | None) -> list[WorkerState]:
    """Return the workers with these addresses, names or hosts, each once; all for None.

    Raises
    ------
    ValueError
        When a name is nobody's; the message lists the workers there are.
    """
    s = scheduler.state
    if names is None:
        return list(s.workers.values())
    found: dict[str, WorkerState] = {}
    for name in [names] if isinstance(names, (str, int)) else names:
        text = str(name)
        # An address first: a worker may be called by what is another's.
        address = text if text in s.workers else s.aliases.get(text, text)
        if address in s.workers:
            found[address] = s.workers[address]
        elif text in s.hosts:
            found.update((each, s.workers[each]) for each in s.hosts[text])
        else:
            known = ", ".join(f"{ws.address} ({ws.name})" for ws in s.workers.values())
            raise ValueError(f"there is no worker {text!r}; there are: {known or 'none'}")
    return list(found.values())


def who_has(scheduler: SchedulerContext, keys: list[str] | None = None) -> dict[str, list[str]]:
    """Return the addresses of the workers that hold each key."""
    tasks = scheduler.state.tasks
    if keys is None:
        return {key: [ws.address for ws in ts.who_has] for key, ts in tasks.items()}
    return {key: [ws.address for ws in tasks[key].who_has] if key in tasks else [] for key in keys}


def has_what(scheduler: SchedulerContext, workers: list[Any] | None = None) -> dict[str, list[str]]:
    """Return the keys that each worker holds."""
    return {ws.address: [ts.key for ts in ws.has_what] for ws in find_workers(scheduler, workers)}


def nbytes(scheduler: SchedulerContext, keys: list[str] | None = None) -> dict[str, int]:
    """Return the sizes of results that are there, in bytes."""
    tasks = scheduler.state.tasks
    chosen = tasks.values() if keys is None else [tasks[key] for key in keys if key in tasks]
    return {ts.key: ts.nbytes for ts in chosen if ts.nbytes >= 0}


def nthreads(scheduler: SchedulerContext, workers: list[Any] | None = None) -> dict[str, int]:
    """Return the number of threads of each worker."""
    return {ws.address: ws.nthreads for ws in find_workers(scheduler, workers)}


def cluster_memory(scheduler: SchedulerContext, measure: str = "process") -> int:
    """Return how many bytes all workers use together, as far as they told."""
    count = _MEMORY.get(measure)
    if count is None:
        raise ValueError(f"measure must be one of {', '.join(_MEMORY)}; got {measure!r}")
    told = [ws.metrics for ws in scheduler.state.workers.values() if ws.metrics]
    return sum(max(0, count(metrics)) for metrics in told)


async def cluster_summary(scheduler: SchedulerContext, most: int = 200) -> dict[str, Any]:
    """Return what `shoal top` shows: sums, the busiest prefixes, workers and what befell them."""
    state, sums = scheduler.state, await scheduler.seen.tally.take()
    workers = list(state.workers.values())
    events = [
        (scheduler.wall_time(when), message)
        for when, message in state.notes.events.get("all", ())
        if isinstance(message, dict) and message.get("action") in ("add-worker", "remove-worker")
    ]
    return {
        "id": scheduler.id,
        "clients": sum(client.real for client in state.clients.values()),
        "n_workers": len(workers),
        "threads": state.total_nthreads,
        "tasks": dict(sums.total.tasks),
        "finished": sums.total.entered["memory"],
        "prefixes": [
            {"name": row.name, "tasks": dict(row.tasks), "duration": row.duration}
            for row in sums.busiest[:most]
        ],
        "workers": [
            {
                "name": str(ws.name),
                "address": ws.address,
                "status": "retiring" if ws.retiring else ws.status,
                "threads": ws.nthreads,
                "processing": len(ws.processing),
                "stored": len(ws.held),
                "limit": ws.info.memory_limit or 0,
                "metrics": {name: ws.metrics.get(name, 0) for name in _SHOWN},
            }
            for ws in workers[:most]
        ],
        "memory": sum(ws.metrics.get("memory", 0) for ws in workers),
        "limit": sum(ws.info.memory_limit or 0 for ws in workers),
        "cpu": sum(ws.metrics.get("cpu", 0) for ws in workers),
        "faults": events[-20:],
    }


def processing(
    scheduler: SchedulerContext, workers: list[Any] | None = None
) -> dict[str, list[str]]:
    """Return the keys that each worker runs, or is to run next."""
    return {ws.address: [ts.key for ts in ws.processing] for ws in find_workers(scheduler, workers)}


def task_status(scheduler: SchedulerContext, keys: list[str]) -> dict[str, str | None]:
    """Return the state of each task; None for those that are not known."""
    tasks = scheduler.state.tasks
    return {key: tasks[key].state if key in tasks else None for key in keys}


def explain_task(scheduler: SchedulerContext, key: str) -> str:
    """Say why a task is where it is."""
    return explain(scheduler.state, key)


def tell_story(scheduler: SchedulerContext, keys: list[str]) -> list[tuple[Any, ...]]:
    """Return the remembered transitions of keys or stimuli: (key, start, finish, stimulus,
    time).
    """
    return [(*entry[:4], scheduler.wall_time(entry[4])) for entry in story(scheduler.state, keys)]


def events(scheduler: SchedulerContext, topic: str | None = None) -> Any:
    """Return the remembered events of a topic, or of all topics, each (time, message)."""
    found = scheduler.state.notes.events
    topics = list(found) if topic is None else [topic]
    told = {
        name: [(scheduler.wall_time(when), message) for when, message in found.get(name, ())]
        for name in topics
    }
    return told if topic is None else told[topic]


def log_event(scheduler: SchedulerContext, topic: str | list[str], msg: Any) -> None:
    """Remember an event under one topic or several."""
    for name in [topic] if isinstance(topic, str) else topic:
        scheduler.feed(LogEvent(name, msg))


def scheduler_info(scheduler: TellsOfItself, n_workers: int = -1) -> dict[str, Any]:
    """Return what the scheduler is, and its workers."""
    return scheduler.identity(n_workers)


def metrics(scheduler: SchedulerContext) -> dict[str, dict[str, Any]]:
    """Return what workers last said of themselves, by address."""
    return {ws.address: ws.metrics for ws in scheduler.state.workers.values()}


def memory_by_prefix(scheduler: SchedulerContext) -> dict[str, dict[str, int]]:
    """Return how much memory tasks took, by prefix: runs that were looked at, bytes at most."""
    known = scheduler.state.task_memory
    return {prefix: {"runs": runs, "peak": peak} for prefix, (runs, peak) in known.items()}


def check_idle(scheduler: TellsOfItself) -> float | None:
    """Return since when there is nothing to do, in seconds since the epoch; None: there is."""
    return scheduler.idle_since


def logs(scheduler: SchedulerContext, n: int | None = None) -> list[tuple[str, str]]:
    """Return the last log records of this process: (level, text)."""
    return scheduler.log_buffer.tail(n)


def versions(scheduler: SchedulerContext) -> dict[str, Any]:
    """Return the versions of Python and of packages in this process."""
    return own_versions()
