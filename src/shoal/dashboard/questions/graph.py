"""Questions about how tasks depend on each other: one by one while they are few, by groups else."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from shoal import config

if TYPE_CHECKING:
    from shoal.scheduler.scheduler import Scheduler

__all__ = ["graph", "groups"]

_LOOKED_AT = 20_000


def graph(scheduler: Scheduler) -> dict[str, Any]:
    """Return the tasks there are and their edges, unless they are too many to be drawn."""
    tasks = scheduler.state.tasks
    most = config.get_int("distributed.dashboard.graph-max-items")
    if len(tasks) > most:
        return {"too_many": len(tasks), "most": most}
    numbers = {ts.key: i for i, ts in enumerate(tasks.values())}
    edges: list[int] = []
    for ts in tasks.values():
        here = numbers[ts.key]
        for dep in ts.deps:
            there = numbers.get(dep.key)
            if there is not None:
                edges += (there, here)
    return {
        "keys": list(numbers),
        "states": [ts.state for ts in tasks.values()],
        "prefixes": [ts.group.prefix.name for ts in tasks.values()],
        "edges": edges,
    }


def groups(scheduler: Scheduler) -> dict[str, Any]:
    """Return the groups of tasks, and which depend on which, as some of their tasks show."""
    state = scheduler.state
    known = {name: i for i, name in enumerate(state.groups)}
    edges: dict[tuple[int, int], None] = {}
    for ts in islice(state.tasks.values(), _LOOKED_AT):
        here = known.get(ts.group.name)
        for dep in ts.deps[:8]:
            there = known.get(dep.group.name)
            if here is not None and there is not None and there != here:
                edges[there, here] = None
    return {
        "groups": [
            {
                "name": group.name,
                "prefix": group.prefix.name,
                "counts": {name: n for name, n in group.counts.items() if n},
                "nbytes": group.nbytes,
                "duration": group.duration,
                "types": sorted(map(str, group.types))[:5],
                "size": group.size,
            }
            for group in state.groups.values()
        ],
        "edges": [end for edge in edges for end in edge],
    }
