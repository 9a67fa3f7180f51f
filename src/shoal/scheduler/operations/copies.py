"""Copies of results on demand: replicate, rebalance. The data goes from worker to worker."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from shoal import config
from shoal.scheduler.core.events import DropCopies, PinCopies
from shoal.scheduler.core.handlers.copies import is_spare
from shoal.scheduler.core.policies.rebalancing import Limits, plan_rebalance
from shoal.scheduler.core.state import TaskState, WorkerState
from shoal.scheduler.operations.information import find_workers

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext

__all__ = ["memory_manager", "memory_of", "rebalance", "replicate"]

logger = logging.getLogger("shoal.scheduler")

_MEASURES = ("process", "optimistic", "managed", "managed_in_memory")


async def replicate(
    scheduler: SchedulerContext,
    keys: list[str],
    n: int | None = None,
    workers: list[Any] | None = None,
    branching_factor: int = 2,
) -> None:
    """Have `n` copies of each result on these workers: make some, or drop some.

    Where a worker dies meanwhile, those that are left get the copies; its death is logged, and so
    is that there are fewer copies than asked for.

    Raises
    ------
    ValueError
        When there is no worker, or a result is not there.
    RuntimeError
        When a worker could not get a copy.
    """
    chosen = [ws for ws in find_workers(scheduler, workers) if ws.running]
    if not chosen:
        raise ValueError("there is no running worker to replicate to")
    asked = copies = len(chosen) if n is None else min(n, len(chosen))
    scheduler.feed(PinCopies(keys, copies))
    _drop_surplus(scheduler, keys, chosen, copies)
    failed: set[tuple[str, str]] = set()
    while True:
        chosen = [ws for ws in chosen if scheduler.state.workers.get(ws.address) is ws]
        if not chosen:
            raise RuntimeError("no worker is left to hold copies")
        copies = min(asked, len(chosen))
        plan = _next_generation(scheduler, keys, chosen, copies, branching_factor, failed)
        if not plan:
            break
        await scheduler.copying.copy(plan)
        for address, some in plan.items():
            holder = scheduler.state.workers.get(address)
            for key in some:
                ts = scheduler.state.tasks.get(key)
                if ts is not None and (holder is None or holder not in ts.who_has):
                    failed.add((key, address))
    if copies < asked:
        logger.warning("replicate: %d of %d workers are left to hold copies", copies, asked)
    short = [key for key in keys if _lacks(scheduler, key, chosen, copies)]
    if short:
        raise RuntimeError(
            f"{len(short)} of {len(keys)} results could not be copied to {copies} workers, "
            f"among them {short[0]!r}"
        )


def _task(scheduler: SchedulerContext, key: str) -> TaskState:
    ts: TaskState | None = scheduler.state.tasks.get(key)
    if ts is None or not ts.who_has:
        raise ValueError(f"{key!r} has no result that could be copied")
    if ts.options.actor:
        raise ValueError(f"{key!r} is an actor, which lives on one worker")
    return ts


def _lacks(scheduler: SchedulerContext, key: str, chosen: list[WorkerState], copies: int) -> bool:
    ts = scheduler.state.tasks.get(key)
    return ts is not None and sum(ws in ts.who_has for ws in chosen) < copies


def _drop_surplus(
    scheduler: SchedulerContext, keys: list[str], chosen: list[WorkerState], copies: int
) -> None:
    drops: list[tuple[str, str]] = []
    for key in keys:
        ts = _task(scheduler, key)
        have = [ws for ws in chosen if ws in ts.who_has]
        have.sort(key=lambda ws: -ws.nbytes)  # the fullest first
        spare = [ws for ws in have if is_spare(ts, ws)]
        drops += [(key, ws.address) for ws in spare[: max(0, len(have) - copies)]]
    if drops:
        scheduler.feed(DropCopies(drops))


def _next_generation(
    scheduler: SchedulerContext,
    keys: list[str],
    chosen: list[WorkerState],
    copies: int,
    branching_factor: int,
    failed: set[tuple[str, str]],
) -> dict[str, list[str]]:
    """Return which workers fetch what next: every holder serves a few others."""
    plan: dict[str, list[str]] = {}
    load = {ws: ws.nbytes for ws in chosen}
    for key in keys:
        ts = scheduler.state.tasks.get(key)
        if ts is None or not ts.who_has:
            continue  # it went with who had it: said at the end
        have = sum(ws in ts.who_has for ws in chosen)
        count = min(copies - have, branching_factor * len(ts.who_has))
        if count <= 0:
            continue
        others = [
            ws
            for ws in chosen
            if ws not in ts.who_has
            and (key, ws.address) not in failed
            and scheduler.state.workers.get(ws.address) is ws
        ]
        others.sort(key=lambda ws: load[ws])
        for ws in others[:count]:
            load[ws] += ts.nbytes
            plan.setdefault(ws.address, []).append(key)
    return plan


async def rebalance(
    scheduler: SchedulerContext, keys: list[str] | None = None, workers: list[Any] | None = None
) -> dict[str, Any]:
    """Move results so that workers use about the same memory.

    Returns
    -------
    dict
        ``{"status": "OK" or "partial-fail", "moved": how many, "failed": [keys]}``.
    """
    name = "distributed.worker.memory.rebalance"
    limits = Limits(
        config.get_fraction(f"{name}.sender-min") or 0.0,
        config.get_fraction(f"{name}.recipient-max") or 1.0,
        config.get_fraction(f"{name}.sender-recipient-gap") or 0.0,
    )
    measure = config.get_str(f"{name}.measure")
    if measure not in _MEASURES:
        raise ValueError(f"{name}.measure is one of {', '.join(_MEASURES)}, not {measure!r}")
    chosen = [ws for ws in find_workers(scheduler, workers) if not ws.retiring]
    used = {ws: memory_of(ws, measure) for ws in chosen}
    transfers = plan_rebalance(chosen, used, limits, None if keys is None else set(keys))
    plan: dict[str, list[str]] = {}
    for transfer in transfers:
        plan.setdefault(transfer.recipient.address, []).append(transfer.task.key)
    if plan:
        await scheduler.copying.copy(plan)
    moved = [t for t in transfers if t.recipient in t.task.who_has]
    scheduler.feed(DropCopies([(t.task.key, t.sender.address) for t in moved]))
    failed = [t.task.key for t in transfers if t.recipient not in t.task.who_has]
    return {
        "status": "partial-fail" if failed else "OK",
        "moved": len(moved),
        "failed": failed,
    }


def memory_manager(scheduler: SchedulerContext, method: str) -> bool | None:
    """Start or stop the active memory manager, let it act, or return whether it runs."""
    manager = scheduler.memory_manager
    if method == "running":
        return manager.running
    if method not in ("start", "stop", "run_once"):
        raise ValueError(f"the memory manager cannot {method!r}")
    getattr(manager, method)()
    return None


def memory_of(ws: WorkerState, measure: str) -> int:
    """Return how much memory a worker uses: its process, or the results that it holds.

    Results count as "optimistic" too: what a process holds beyond them may be given back.
    """
    if measure == "process":
        return int(ws.metrics.get("memory", ws.nbytes))
    return ws.nbytes
