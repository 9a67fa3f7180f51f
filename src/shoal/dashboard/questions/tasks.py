"""Questions about tasks: about one, and which ones a search finds, which wait, which failed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from shoal.scheduler.operations import information

if TYPE_CHECKING:
    from shoal.scheduler.scheduler import Scheduler

__all__ = ["exceptions", "search", "task", "why"]

_NEIGHBOURS = 50
_LOOKED_AT = 20_000
_SLICE = 5_000
_FOUND = 200
_EXAMPLES = 3
_TEXT = 4_000

_WAITING = ("no-worker", "waiting", "queued", "processing", "erred")


def task(scheduler: Scheduler, key: str) -> dict[str, Any]:
    """Return what is known of a task, and why it is where it is."""
    ts = scheduler.state.tasks.get(str(key))
    told: dict[str, Any] = {"key": str(key), "why": information.explain_task(scheduler, str(key))}
    if ts is None:
        return told
    error = ts.rare.error if ts.rare is not None else None
    options = ts.options
    return told | {
        "state": ts.state,
        "prefix": ts.group.prefix.name,
        "group": ts.group.name,
        "worker": "" if ts.worker is None else ts.worker.address,
        "holders": [ws.address for ws in ts.who_has or ()],
        "nbytes": ts.nbytes,
        "type": ts.type or "",
        "priority": str(ts.priority),
        "dependencies": [dep.key for dep in ts.deps[:_NEIGHBOURS]],
        "dependents": [dep.key for dep in islice(ts.dependents or (), _NEIGHBOURS)],
        "clients": [str(client.id) for client in ts.wanted_by or ()],
        "workers_allowed": list(options.workers or ()),
        "resources": dict(options.resources or {}),
        "error": "" if error is None else error.exception_text[:_TEXT],
        "traceback": "" if error is None else error.traceback_text[-_TEXT:],
        "story": [
            [start, finish, stimulus, when]
            for _, start, finish, stimulus, when in information.tell_story(scheduler, [ts.key])
        ],
    }


async def search(
    scheduler: Scheduler, text: str = "", prefix: str = "", worker: str = "", state: str = ""
) -> dict[str, Any]:
    """Return tasks whose key holds a text, of a prefix, on a worker and in a state."""
    found: list[list[Any]] = []
    looked_at = 0
    text = str(text)
    for some in _in_slices(scheduler):
        for ts in some:
            if (
                (not text or text in ts.key)
                and (not state or ts.state == state)
                and (not prefix or ts.group.prefix.name == prefix)
                and (not worker or _is_at(ts, worker))
            ):
                found.append(
                    [ts.key, ts.state, "" if ts.worker is None else ts.worker.address, ts.nbytes]
                )
        looked_at += len(some)
        if len(found) >= _FOUND:
            break
        await asyncio.sleep(0)
    return {"tasks": found[:_FOUND], "looked_at": looked_at, "of": len(scheduler.state.tasks)}


def _is_at(ts: Any, worker: str) -> bool:
    if ts.worker is not None and worker in (ts.worker.address, str(ts.worker.name)):
        return True
    return any(worker in (ws.address, str(ws.name)) for ws in ts.who_has or ())


def _in_slices(scheduler: Scheduler) -> Iterator[list[Any]]:
    # The keys first: the table may change between two slices.
    tasks = scheduler.state.tasks
    keys = list(tasks)
    for begin in range(0, len(keys), _SLICE):
        there = (tasks.get(key) for key in keys[begin : begin + _SLICE])
        yield [ts for ts in there if ts is not None]


def why(scheduler: Scheduler) -> dict[str, Any]:
    """Return for each state that is not an end how many tasks are in it, and why some of them."""
    state = scheduler.state
    counts = dict.fromkeys(_WAITING, 0)
    for group in state.groups.values():
        for name in _WAITING:
            counts[name] += group.counts[name]
    examples: dict[str, list[Any]] = {name: [] for name in _WAITING if counts[name]}
    for ts in islice(state.tasks.values(), _LOOKED_AT):
        some = examples.get(ts.state)
        if some is not None and len(some) < _EXAMPLES:
            some.append([ts.key, information.explain_task(scheduler, ts.key)])
            if all(len(each) >= _EXAMPLES for each in examples.values()):
                break
    statuses: dict[str, int] = {}
    for ws in state.workers.values():
        status = "retiring" if ws.retiring else ws.status
        statuses[status] = statuses.get(status, 0) + 1
    return {
        "states": [[name, counts[name], some] for name, some in examples.items()],
        "workers": statuses,
        "idle": len(state.idle),
        "threads": state.total_nthreads,
    }


def exceptions(scheduler: Scheduler) -> list[dict[str, Any]]:
    """Return the failures there are, those alike together, the most frequent first."""
    groups = [group for group in scheduler.state.groups.values() if group.counts["erred"]]
    if not groups:
        return []
    among = set(map(id, groups))
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for ts in islice(scheduler.state.tasks.values(), 10 * _LOOKED_AT):
        if ts.state != "erred" or id(ts.group) not in among or ts.rare is None:
            continue
        error = ts.rare.error
        if error is None or ts.rare.blame not in ("", ts.key):
            continue
        same = (ts.group.prefix.name, error.exception_text)
        entry = found.get(same)
        if entry is None:
            found[same] = {
                "prefix": same[0],
                "key": ts.key,
                "exception": error.exception_text[:_TEXT],
                "traceback": error.traceback_text[-_TEXT:],
                "worker": error.worker,
                "count": 1,
            }
        else:
            entry["count"] += 1
    return sorted(found.values(), key=lambda entry: -entry["count"])[:_FOUND]
