"""How fast the workers' memory, disks and network are, asked by a client."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from dask.utils import parse_bytes

from shoal.client.admin.requests import run_on_workers
from shoal.diagnostics.hardware import measure_disk, measure_memory, measure_network

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
