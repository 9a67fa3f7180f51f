"""Questions about the cluster as a whole: who asked, events, counters, memory, the scheduler."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.scheduler.scheduler import Scheduler

__all__ = ["code", "counters", "events", "memory_by_prefix", "system"]

_COMPUTATIONS = 20
_EVENTS = 100


def code(scheduler: Scheduler) -> list[dict[str, Any]]:
    """Return what was computed lately: when, by how many tasks, and the lines that asked."""
    found = []
    for each in list(scheduler.computations)[-_COMPUTATIONS:]:
        found.append(
            {
                "id": each.id,
                "start": each.start,
                "stop": each.stop,
                "states": {name: n for name, n in each.states.items() if n},
                "groups": sorted(group.name for group in islice(each.groups, 50)),
                "code": [list(frames) for frames in each.code[:5]],
            }
        )
    return found[::-1]


def events(scheduler: Scheduler, topic: str = "") -> dict[str, Any]:
    """Return the topics there are, and the last events of one of them or of all."""
    known = scheduler.state.notes.events
    chosen = [topic] if topic in known else list(known)
    last: list[tuple[float, str, str]] = [
        (scheduler.wall_time(when), name, str(message)[:500])
        for name in chosen
        for when, message in list(known[name])[-_EVENTS:]
    ]
    last.sort(key=lambda entry: entry[0])
    times = {
        name: [scheduler.wall_time(when) for when, _ in list(found)[-2000:]]
        for name, found in known.items()
    }
    return {
        "topics": {name: len(found) for name, found in known.items()},
        "times": times,
        "last": last[-_EVENTS:],
    }


def counters(scheduler: Scheduler) -> dict[str, float]:
    """Return what the scheduler counts."""
    state = scheduler.state
    return {
        "tasks known": len(state.tasks),
        "tasks ever made": state.last_serial,
        "groups": len(state.groups),
        "prefixes": len(state.prefixes),
        "functions": len(state.functions),
        "events handled": state.stimuli,
        "transitions remembered": len(state.log),
        "tasks in the common queue": state.queue.size,
        "tasks in workers' queues": state.parked,
        "tasks without a worker": len(state.unrunnable),
        "tasks that sleep": len(state.sleeping),
        "results with several copies": len(state.replicated),
        "workers idle": len(state.idle),
        "workers with room": len(state.open),
        "workers retiring": len(state.departures.retiring),
        "tasks given up (KilledWorker)": state.notes.killed,
    }


def memory_by_prefix(scheduler: Scheduler) -> list[dict[str, Any]]:
    """Return for each prefix the bytes of its results and how long a run takes."""
    found: list[dict[str, Any]] = []
    for prefix in scheduler.state.prefixes.values():
        stored = sum(group.counts["memory"] for group in prefix.groups.values())
        found.append(
            {
                "prefix": prefix.name,
                "nbytes": sum(group.nbytes for group in prefix.groups.values()),
                "stored": stored,
                "seconds": prefix.duration,
                "peak": scheduler.state.task_memory.get(prefix.name, (0, -1))[1],
            }
        )
    found.sort(key=lambda entry: entry["nbytes"], reverse=True)
    return found[:500]


def system(scheduler: Scheduler) -> dict[str, Any]:
    """Return all that was measured of the scheduler's process."""
    found: dict[str, Any] = scheduler.monitor.range_query(0)
    return found
