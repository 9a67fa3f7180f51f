"""Questions about data that moves: shuffles, and what goes on around tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask.utils import key_split

from shoal.scheduler.operations.membership import broadcast

if TYPE_CHECKING:
    from shoal.scheduler.scheduler import Scheduler

__all__ = ["around_tasks", "fine", "shuffles"]

# The beginnings of the prefixes of tasks that move data between all partitions.
_MOVING = ("shuffle", "p2p", "rechunk", "hash-join", "repartition", "split-shuffle", "sort")
_RECORDS = 5_000


async def shuffles(scheduler: Scheduler) -> dict[str, Any]:
    """Return what shuffles wrote and read so far, by worker, and how far those under way are."""
    msg = {"op": "shuffle_counters"}
    counters = await broadcast(scheduler, msg, None, on_error="ignore")
    workers, groups = scheduler.state.workers, []
    for group in scheduler.state.groups.values():
        if group.prefix.name.startswith(_MOVING):
            counts = {name: n for name, n in group.counts.items() if n}
            told = {"name": group.name, "size": group.size, "nbytes": group.nbytes}
            groups.append({**told, "counts": counts})
    return {
        "workers": [
            {
                "address": address,
                "name": str(workers[address].name),
                "pid": workers[address].info.pid,
                "memory": workers[address].metrics.get("memory", 0),
                "spilled": workers[address].metrics.get("spilled_bytes", 0),
                "lag": workers[address].metrics.get("event_loop_interval", 0.0),
                "counters": numbers,
            }
            for address, numbers in counters.items()
            if address in workers
        ],
        "groups": groups[-200:],
    }


async def fine(scheduler: Scheduler) -> list[dict[str, Any]]:
    """Return what workers spent time on, by prefix, in the last runs; the first one asks for it."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for record in await scheduler.stream_record.collect(None, None, _RECORDS):
        prefix = key_split(record["key"])
        for span in record["startstops"]:
            action, seconds = span["action"], span["stop"] - span["start"]
            entry = found.get((prefix, action))
            if entry is None:
                told = {"prefix": prefix, "action": action}
                entry = found[prefix, action] = {**told, "count": 0, "seconds": 0.0, "nbytes": 0}
            entry["count"] += 1
            entry["seconds"] += seconds
            entry["nbytes"] += span.get("nbytes", 0)
    return sorted(found.values(), key=lambda entry: -entry["seconds"])[:500]


async def around_tasks(scheduler: Scheduler, since: float = 0.0) -> dict[str, Any]:
    """Return what went on around the last runs: data that came, and unpickling.

    Parameters
    ----------
    since : float
        Seconds since the epoch: what ended before is left out.
    """
    rows = []
    for record in await scheduler.stream_record.collect(float(since), None, None):
        for span in record["startstops"]:
            if span["action"] != "compute" and span["stop"] > since:
                key = str(record["key"])[:200]
                row = [record["worker"], span["action"], span["start"], span["stop"]]
                rows.append([*row, span.get("nbytes", 0), key])
    return {"rows": rows[-_RECORDS:]}
