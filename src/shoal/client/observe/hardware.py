"""How fast the workers' memory, disks and network are: functions that run there."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from typing import TYPE_CHECKING, Any

from dask.utils import parse_bytes

from shoal.client.admin.requests import run_on_workers

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["benchmark_hardware"]

_SIZES = {
    "memory": ["2 kiB", "10 kiB", "100 kiB", "1 MiB", "10 MiB"],
    "disk": ["1 kiB", "100 kiB", "1 MiB", "10 MiB", "100 MiB"],
    "network": ["1 kiB", "10 kiB", "100 kiB", "1 MiB", "10 MiB", "50 MiB"],
}
_DURATION = 0.2  # seconds for each size


async def benchmark_hardware(client: ClientContext) -> dict[str, dict[str, float]]:
    """Return bytes a second by size for memory, disk and network, averages of all workers."""
    await client
    workers = list(await client.scheduler.nthreads())
    if not workers:
        raise ValueError("there are no workers to look at")
    found: dict[str, dict[str, float]] = {"disk": {}, "memory": {}, "network": {}}
    for what, function in (("memory", measure_memory), ("disk", measure_disk)):
        for size in _SIZES[what]:
            seen = await _on(client, workers, function, parse_bytes(size))
            found[what][size] = sum(seen) / len(seen)
    if len(workers) > 1:
        for size in _SIZES["network"]:
            pairs = list(zip(workers, workers[1:] + workers[:1], strict=True))
            random.shuffle(pairs)
            seen = []
            for one, other in pairs:  # one after the other: they share the network
                seen += await _on(client, [one], measure_network, parse_bytes(size), other)
            found["network"][size] = sum(seen) / len(seen)
    return found


async def _on(client: ClientContext, workers: list[str], function: Any, *args: Any) -> list[float]:
    kwargs = {"duration": _DURATION}
    results = await run_on_workers(client, function, args, kwargs, workers=workers)
    return list((results or {}).values())


async def measure_memory(size: int, duration: float) -> float:
    """Copy bytes for a while; return how many a second."""

    def copy() -> float:
        data = os.urandom(size)
        copied, start = 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < duration:
            bytearray(data)
            copied += size
        return copied / spent

    return await asyncio.to_thread(copy)


async def measure_disk(size: int, duration: float, dask_worker: Any) -> float:
    """Write files where the worker spills, and read them, for a while; return bytes a second."""

    def write_and_read() -> float:
        data = os.urandom(size)
        moved, start = 0, time.perf_counter()
        with tempfile.TemporaryDirectory(dir=dask_worker.local_directory) as folder:
            path = os.path.join(folder, "data")
            while (spent := time.perf_counter() - start) < duration:
                with open(path, "wb", buffering=0) as file:
                    file.write(data)
                    os.fsync(file.fileno())
                with open(path, "rb", buffering=0) as file:
                    file.read()
                moved += 2 * size
        return moved / spent

    return await asyncio.to_thread(write_and_read)


async def measure_network(size: int, other: str, duration: float, dask_worker: Any) -> float:
    """Send bytes to another worker and back for a while; return bytes a second."""
    data = os.urandom(size)
    peer = dask_worker.rpc(other)
    moved, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < duration:
        await peer.echo(data=data)
        moved += 2 * size
    return moved / spent
