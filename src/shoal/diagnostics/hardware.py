"""How fast memory, disk and network of a host are: functions that run on a worker for a moment."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from typing import Any

__all__ = ["measure_disk", "measure_memory", "measure_network"]


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
