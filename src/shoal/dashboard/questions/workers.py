"""Questions about workers: one of them, what their processes take, how fast their hosts are."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from dask.utils import parse_bytes

from shoal.scheduler.operations.membership import broadcast

if TYPE_CHECKING:
    from shoal.scheduler.scheduler import Scheduler

__all__ = ["gpus", "hardware", "monitors", "worker"]

_SHOWN = 100
_SIZES = ("1 MiB", "10 MiB")
_SECONDS = 0.1  # for each size


def worker(scheduler: Scheduler, address: str) -> dict[str, Any]:
    """Return what is known of a worker, what it runs and what it holds."""
    ws = scheduler.state.workers.get(str(address))
    if ws is None:
        return {"address": str(address), "gone": True}
    told: dict[str, Any] = scheduler.describe_worker(ws)
    return {
        "address": ws.address,
        **{name: _plain(value) for name, value in told.items() if name != "metrics"},
        "metrics": {name: _plain(value) for name, value in ws.metrics.items()},
        "processing": [
            [ts.key, ws.executing.get(ts.key, -1.0)] for ts in islice(ws.processing, _SHOWN)
        ],
        "processing_count": len(ws.processing),
        "held": [[ts.key, ts.nbytes] for ts in islice(ws.held.values(), _SHOWN)],
        "held_count": len(ws.held),
        "why": _why(ws),
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, float, str, dict)) else str(value)


def _why(ws: Any) -> str:
    """Say in words what a worker is at, and why it takes no more."""
    if ws.retiring:
        return "It is retiring: what only it holds moves to other workers, and nothing new starts."
    if ws.status == "paused":
        return (
            "It is paused: its process takes too much of its memory limit, so nothing new starts "
            "until results were spilled or dropped."
        )
    if not ws.processing:
        return "Nothing is assigned to it: no task is ready that it may run."
    return f"{len(ws.processing)} tasks are assigned to its {ws.nthreads} threads."


def gpus(scheduler: Scheduler) -> dict[str, dict[str, Any]]:
    """Return what workers tell as their metric ``gpu``, which packages of GPUs register."""
    told = ((ws.address, ws.metrics.get("gpu")) for ws in scheduler.state.workers.values())
    return {address: gpu for address, gpu in told if isinstance(gpu, dict)}


async def monitors(scheduler: Scheduler) -> dict[str, dict[str, Any]]:
    """Return files, network and disk of each worker's process and host, measured there."""
    msg = {"op": "get_monitor_info", "recent": True}
    found: dict[str, dict[str, Any]] = await broadcast(scheduler, msg, None, on_error="ignore")
    return found


async def hardware(scheduler: Scheduler) -> dict[str, dict[str, float]]:
    """Measure memory and disk of the workers for a moment; return bytes a second by size."""
    found: dict[str, dict[str, float]] = {"memory": {}, "disk": {}}
    for what, speeds in found.items():
        for size in _SIZES:
            msg = {"op": "measure_hardware", "what": what, "size": parse_bytes(size)}
            answers = await broadcast(
                scheduler, {**msg, "duration": _SECONDS}, None, on_error="ignore"
            )
            if answers:
                speeds[size] = sum(answers.values()) / len(answers)
    return found
