"""Operations of the open protocol that a worker does on request, by name.

Each is a function whose first argument is the worker; the others are fields of the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal._base.versions import own_versions
from shoal.comm.addressing import get_address_host
from shoal.comm.base import Comm
from shoal.comm.function_calls import run_on
from shoal.comm.stream_messages import receive
from shoal.diagnostics.hardware import measure_disk, measure_memory
from shoal.diagnostics.kernel import start_kernel
from shoal.shared_memory import host_identity
from shoal.shuffle.counters import COUNTERS
from shoal.task_context import on_worker
from shoal.wire.blob import Blob
from shoal.wire.messages.several_edges import Life
from shoal.worker.dump import dump_state
from shoal.worker.parts import give_parts
from shoal.worker.tracing import TraceTasks

if TYPE_CHECKING:
    from shoal.worker.context import WorkerContext

__all__ = ["OPERATIONS"]


async def _get_data(
    worker: WorkerContext,
    comm: Comm,
    keys: list[str],
    host: str | None = None,
    lives: dict[str, Life] | None = None,
) -> dict[str, Any]:
    if lives is None:
        return await worker.exchange.give(comm, keys, host)
    held = {key: None for key in keys if worker.machine.holds(key, lives.get(key, 0))}
    answer = await worker.exchange.give(comm, list(held), host)
    if len(held) < len(keys):
        answer["missing"] += [key for key in keys if key not in held]
    return answer


async def _update_data(
    worker: WorkerContext,
    data: dict[str, Any],
    shared: dict[str, Any] | None = None,
    life: Life = 0,
    equal: bool = False,
) -> dict[str, Any]:
    return await worker.exchange.take(data, shared, life, equal)


def _host_identity(worker: WorkerContext) -> str | None:
    return host_identity()


async def _run(
    worker: WorkerContext,
    function: Blob,
    args: Blob | None = None,
    kwargs: Blob | None = None,
    wait: bool = True,
) -> dict[str, Any]:
    with on_worker(worker):  # `get_worker` and `get_client` work as in tasks
        return await run_on(worker, "dask_worker", function, args, kwargs, wait)


def _actors(worker: WorkerContext, comm: Comm) -> Any:
    return worker.actors.serve(comm)


def _terminate(worker: WorkerContext, reason: str = "asked to close") -> str:
    worker.close_soon(reason)
    return "OK"


def _began_stream(worker: WorkerContext, token: bytes) -> bool:
    return worker.began_stream(token)


def _versions(worker: WorkerContext) -> dict[str, Any]:
    return own_versions()


def _logs(worker: WorkerContext, n: int | None = None) -> list[tuple[str, str]]:
    return worker.log_buffer.tail(n)


def _keys(worker: WorkerContext) -> list[str]:
    return list(worker.store)


def _memory(worker: WorkerContext) -> dict[str, int]:
    return worker.memory()


async def _plugin_add(worker: WorkerContext, name: str, plugin: Any) -> dict[str, Any]:
    return await worker.plugin_host.add_remote(plugin, name)


async def _plugin_remove(worker: WorkerContext, name: str) -> dict[str, Any]:
    return await worker.plugin_host.remove(name)


async def _plugin_sync(worker: WorkerContext, plugins: dict[str, Blob], change: str) -> None:
    await worker.plugin_host.sync(plugins, change)


def _profile(
    worker: WorkerContext,
    key: str | None = None,
    start: float | None = None,
    stop: float | None = None,
    server: bool = False,
) -> dict[str, Any]:
    return worker.profiler.collect(key, start, stop, server)


def _call_stack(worker: WorkerContext, keys: list[str] | None = None) -> dict[str, list[str]]:
    return worker.profiler.call_stack(keys)


def _trace(worker: WorkerContext, since: float) -> list[Any]:
    plugin = worker.plugin_host.plugins.get(TraceTasks.name)
    return [] if plugin is None else plugin.rows(since)


def _get_monitor_info(
    worker: WorkerContext, recent: bool = False, start: int = 0
) -> dict[str, Any]:
    return worker.get_monitor_info(recent, start)


def _shuffle_counters(worker: WorkerContext) -> dict[str, float]:
    return COUNTERS.snapshot()


def _stream_messages(worker: WorkerContext, messages: list[dict[str, Any]], sender: str) -> None:
    receive(worker, messages)


async def _upload_file(
    worker: WorkerContext, filename: str, data: Any, load: bool = True
) -> dict[str, Any]:
    answer: dict[str, Any] = await worker.upload_file(filename, data, load)
    return answer


async def _start_ipython(worker: WorkerContext) -> dict[str, Any]:
    host = get_address_host(worker.address) or "127.0.0.1"
    return await asyncio.to_thread(start_kernel, host, {"worker": worker, "dask_worker": worker})


async def _measure_hardware(worker: WorkerContext, what: str, size: int, duration: float) -> float:
    if what == "memory":
        return await measure_memory(size, duration)
    return await measure_disk(size, duration, worker)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "get_data": _get_data,
    "give_parts": give_parts,
    "update_data": _update_data,
    "host_identity": _host_identity,
    "shuffle_counters": _shuffle_counters,
    "actors": _actors,
    "run": _run,
    "run_coroutine": _run,
    "terminate": _terminate,
    "began_stream": _began_stream,
    "versions": _versions,
    "logs": _logs,
    "keys": _keys,
    "memory": _memory,
    "profile": _profile,
    "call_stack": _call_stack,
    "trace": _trace,
    "get_monitor_info": _get_monitor_info,
    "measure_hardware": _measure_hardware,
    "stream_messages": _stream_messages,
    "upload_file": _upload_file,
    "dump_state": dump_state,
    "start_ipython": _start_ipython,
    "plugin_add": _plugin_add,
    "plugin_remove": _plugin_remove,
    "plugin_sync": _plugin_sync,
}
