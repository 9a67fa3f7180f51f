"""The whole state of the scheduler and its workers as plain data, for people who look for bugs."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal._base.versions import own_versions
from shoal.diagnostics.dump_file import dump_ending, encode_dump
from shoal.scheduler.operations.membership import broadcast

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext
    from shoal.scheduler.core.state import ClientState, TaskState, WorkerState

__all__ = ["dump_state", "dump_state_to_url"]


async def dump_state(scheduler: SchedulerContext, exclude: Iterable[str] = ()) -> dict[str, Any]:
    """Return ``{"scheduler": ..., "workers": {address: ...}, "versions": ...}``.

    Parameters
    ----------
    exclude : iterable of str
        Attributes of tasks, workers and clients to leave out.
    """
    left_out = frozenset(exclude)
    workers = await broadcast(
        scheduler, {"op": "dump_state", "exclude": list(left_out)}, on_error="return"
    )
    answers = {
        address: answer if answer.get("status") != "error" else {"error": answer.get("text")}
        for address, answer in workers.items()
    }
    return {
        "scheduler": _scheduler(scheduler, left_out),
        "workers": answers,
        "versions": {"scheduler": own_versions()},
    }


async def dump_state_to_url(
    scheduler: SchedulerContext,
    url: str,
    exclude: Iterable[str] = (),
    format: str = "msgpack",
    **storage_options: Any,
) -> None:
    """Write the same to a file of this host, or to any place that fsspec knows.

    Parameters
    ----------
    url : str
        Where to; the ending is added.
    format : {"msgpack", "yaml"}
        ``.msgpack.gz`` or ``.yaml``.
    **storage_options
        For fsspec.
    """
    ending = dump_ending(format)
    state = await dump_state(scheduler, exclude)
    place = url if url.endswith(ending) else url + ending
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, _write, state, place, format, storage_options)


def _write(state: dict[str, Any], url: str, format: str, options: dict[str, Any]) -> None:
    data = encode_dump(state, format)
    if "://" not in url:
        Path(url).write_bytes(data)
        return
    fsspec = importlib.import_module("fsspec")  # not needed otherwise
    with fsspec.open(url, "wb", **options) as file:
        file.write(data)


def _scheduler(scheduler: SchedulerContext, left_out: frozenset[str]) -> dict[str, Any]:
    s = scheduler.state
    return {
        "id": scheduler.id,
        "address": scheduler.address,
        "status": scheduler.status.value,
        "started": scheduler.started_at,
        "tasks": {key: _task(ts, left_out) for key, ts in s.tasks.items()},
        "workers": {ws.address: _worker(scheduler, ws, left_out) for ws in s.workers.values()},
        "clients": {client.id: _client(client, left_out) for client in s.clients.values()},
        "prefixes": {
            name: {"duration": max(prefix.duration, 0.0) or None, "counts": prefix.counts}
            for name, prefix in s.prefixes.items()
        },
        "queued": s.queue.size,
        "unrunnable": [ts.key for ts in s.unrunnable],
        "plugins": list(scheduler.own_plugins.plugins),
        "metadata": s.notes.metadata,
        "events": {
            topic: [(scheduler.wall_time(when), message) for when, message in events]
            for topic, events in s.notes.events.items()
        },
        "transition_log": [(*entry[:4], scheduler.wall_time(entry[4])) for entry in s.log],
        "log": [list(record) for record in scheduler.log_buffer.tail(None)],
    }


def _pick(found: dict[str, Any], left_out: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name not in left_out}


def _task(ts: TaskState, left_out: frozenset[str]) -> dict[str, Any]:
    error = ts.rare.error if ts.rare is not None else None
    found = {
        "key": ts.key,
        "state": ts.state,
        "group": ts.group.name,
        "prefix": ts.group.prefix.name,
        "priority": list(ts.priority),
        "dependencies": [dep.key for dep in ts.deps],
        "dependents": [dependent.key for dependent in ts.dependents or ()],
        "waiting_on": ts.waiting_on,
        "waiters": ts.waiters,
        "wanted_by": [client.id for client in ts.wanted_by],
        "who_has": [ws.address for ws in ts.who_has],
        "processing_on": ts.worker.address if ts.worker is not None else None,
        "run": ts.run,
        "nbytes": ts.nbytes,
        "type": ts.type,
        "exception_text": error.exception_text if error is not None else "",
        "traceback_text": error.traceback_text if error is not None else "",
        "erred_on": error.worker if error is not None else None,
    }
    return _pick(found, left_out)


def _worker(
    scheduler: SchedulerContext, ws: WorkerState, left_out: frozenset[str]
) -> dict[str, Any]:
    found = {
        **scheduler.describe_worker(ws),
        "processing": [ts.key for ts in ws.processing],
        "has_what": [ts.key for ts in ws.held.values()],
        "long_running": [ts.key for ts in ws.long_running],
        "nbytes": ws.nbytes,
        "occupancy": ws.occupancy,
        "queued": ws.queue.size,
        "retiring": ws.retiring,
    }
    return _pick(found, left_out)


def _client(client: ClientState, left_out: frozenset[str]) -> dict[str, Any]:
    found = {
        "id": client.id,
        "name": client.name,
        "versions": client.versions,
        "wants": [ts.key for ts in client.wants.values()],
    }
    return _pick(found, left_out)
