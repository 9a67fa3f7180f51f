"""Which workers can be closed at little cost: for deployments that shrink."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.plugins.hooks import call_hook

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext
    from shoal.scheduler.core import state as core
    from shoal.scheduler.views.worker import WorkerState

__all__ = ["choose_workers_to_close", "workers_to_close"]

logger = logging.getLogger("shoal.scheduler.views.downscaling")

_MEMORY_RATIO = 2.0


def workers_to_close(
    scheduler: SchedulerContext,
    memory_ratio: float | None = None,
    n: int | None = None,
    key: Callable[[WorkerState], Any] | None = None,
    minimum: int | None = None,
    target: int | None = None,
    attribute: str = "address",
) -> list[Any]:
    """Return workers that can be closed at little cost, the best first.

    They do nothing, and hold little. The arguments are those of `Scheduler.workers_to_close`.
    """
    chosen = choose_workers_to_close(scheduler, memory_ratio, n, key, minimum, target)
    return [getattr(scheduler.views.worker(ws), attribute) for ws in chosen]


def choose_workers_to_close(
    scheduler: SchedulerContext,
    memory_ratio: float | None = None,
    n: int | None = None,
    key: Callable[[WorkerState], Any] | None = None,
    minimum: int | None = None,
    target: int | None = None,
) -> list[core.WorkerState]:
    """Return the same as `workers_to_close`, as the core knows them."""
    workers = [ws for ws in scheduler.state.workers.values() if ws.running]
    if target is not None and n is None:
        n = max(0, len(workers) - target)
    if n is not None and n <= 0:
        return []
    ratio = None if n is not None and memory_ratio is None else (memory_ratio or _MEMORY_RATIO)
    allowed = set(_valid(scheduler, workers))
    groups: dict[Any, list[core.WorkerState]] = {}
    for ws in workers:
        name = ws if key is None else key(scheduler.views.worker(ws))
        groups.setdefault(name, []).append(ws)
    kept = dict.fromkeys(workers)
    used = sum(ws.nbytes for ws in workers)
    chosen: list[core.WorkerState] = []
    for group in sorted(groups.values(), key=_cost):
        if not allowed.issuperset(group) or any(_has_actor(ws) for ws in group):
            continue
        if n is None and any(ws.processing or ws.ahead for ws in group):
            break
        if n is not None and len(chosen) + len(group) > n:
            break
        if len(kept) - len(group) < (minimum or 0):
            break
        rest = [ws for ws in kept if ws not in group]
        if used and ratio is not None and _room(rest) < used * ratio:
            break
        chosen += group
        kept = dict.fromkeys(rest)
    return chosen


def _room(workers: list[core.WorkerState]) -> float:
    return sum(ws.info.memory_limit or math.inf for ws in workers)


def _cost(group: list[core.WorkerState]) -> tuple[bool, int]:
    return any(ws.processing for ws in group), sum(ws.nbytes for ws in group)


def _has_actor(ws: core.WorkerState) -> bool:
    return any(ts.options.actor for ts in ws.held.values())


def _valid(scheduler: SchedulerContext, workers: list[core.WorkerState]) -> list[core.WorkerState]:
    """Return the workers that no plugin wants to keep; none where a plugin cannot say."""
    views = scheduler.views
    hooks = scheduler.own_plugins.hooks("valid_workers_downscaling")
    if not hooks:
        return workers
    left = [views.worker(ws) for ws in workers]
    for name, hook in hooks:
        answer = call_hook(logger, name, "valid_workers_downscaling", hook, scheduler, left)
        left = list(answer or ())
    kept = set(left)
    return [ws for ws in workers if views.worker(ws) in kept]
