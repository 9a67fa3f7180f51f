"""Workers are asked, closed, retired, restarted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from shoal import config
from shoal._base.within import within
from shoal.comm.requests import error_message
from shoal.scheduler.core import RestartAll, RetireWorkers
from shoal.scheduler.core.policies.scaling import spare_workers, wanted_of_kind, wanted_workers
from shoal.scheduler.core.state import WorkerState
from shoal.scheduler.deaths import post_mortem
from shoal.scheduler.operations.information import find_workers
from shoal.wire.serialize.wrappers import Serialized

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext
    from shoal.scheduler.core_access import PeerAccess

__all__ = [
    "adaptive_target",
    "broadcast",
    "close_worker",
    "restart",
    "restart_workers",
    "retire_workers",
    "take_scale_request",
    "terminate",
    "worker_died",
    "workers_to_close",
]

logger = logging.getLogger("shoal.scheduler")

_NANNY_TIMEOUT = 10.0


async def broadcast(
    scheduler: PeerAccess,
    msg: dict[str, Any],
    workers: list[Any] | None = None,
    hosts: list[str] | None = None,
    nanny: bool = False,
    on_error: str = "raise",
) -> dict[str, Any]:
    """Send a request to workers, or to their nannies, and return the answers by address.

    Parameters
    ----------
    msg : dict
        The request, with its `op`.
    workers, hosts : list, optional
        Whom to ask; all by default.
    on_error : {"raise", "return", "return_pickle", "ignore"}
        The treatment of workers that do not answer: raise, answer in their place with what
        happened, or with the pickled error, or leave them out.
    """
    chosen = [] if workers is None and hosts is not None else find_workers(scheduler, workers)
    if hosts is not None:
        chosen += [ws for ws in find_workers(scheduler, hosts) if ws not in chosen]
    addresses = {ws.address: ws.info.nanny if nanny else ws.address for ws in chosen}
    missing = [address for address, target in addresses.items() if target is None]
    if missing:
        raise ValueError(f"these workers have no nanny: {', '.join(missing)}")

    async def ask(target: str) -> Any:
        arguments = dict(msg)
        return await getattr(scheduler.rpc(target), arguments.pop("op"))(**arguments)

    answers = await asyncio.gather(
        *(ask(target) for target in addresses.values() if target is not None),
        return_exceptions=True,
    )
    result: dict[str, Any] = {}
    for address, answer in zip(addresses, answers, strict=True):
        if not isinstance(answer, BaseException):
            result[address] = answer
        elif on_error == "raise":
            raise answer
        elif on_error == "return_pickle":
            result[address] = Serialized.of(answer)
        elif on_error != "ignore":
            result[address] = {**error_message(answer), "status": "error"}
    return result


def close_worker(scheduler: SchedulerContext, worker: str, reason: str = "asked to close") -> None:
    """Close a worker; its nanny closes too."""
    for ws in find_workers(scheduler, [worker]):
        scheduler.close_worker(ws.address, reason)


async def retire_workers(
    scheduler: SchedulerContext,
    workers: list[Any] | None = None,
    names: list[Any] | None = None,
    close_workers: bool = True,
    remove: bool = True,
    within: float | None = None,
    **which: Any,
) -> dict[str, Any]:
    """Empty workers, data first, and close them; return what they were, by address.

    Workers whose data does not move `within` so many seconds (``shoal.retire.timeout``) stay as
    they are, with a warning.
    Without `workers` and `names`, those are chosen that `Scheduler.workers_to_close` returns; its
    arguments are taken too.
    """
    if workers is not None and names is not None:
        raise TypeError("give workers= or names=, not both")
    if workers is None and names is None:
        workers = scheduler.workers_to_close(**which)
    elif which:
        raise TypeError(f"{', '.join(which)}: only without workers= and names=")
    chosen = find_workers(scheduler, names if workers is None else workers)
    if not chosen:
        return {}
    infos = {ws.address: scheduler.describe_worker(ws) for ws in chosen}
    waiters = [scheduler.retired(ws.address) for ws in chosen]
    scheduler.feed(RetireWorkers([ws.address for ws in chosen], close_workers and remove, within))
    results = await asyncio.gather(*waiters, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            logger.warning("%s", result)
    return {
        address: info
        for (address, info), result in zip(infos.items(), results, strict=True)
        if result is None
    }


def adaptive_target(
    scheduler: SchedulerContext,
    target_duration: float | str | None = None,
    resources: dict[str, float] | None = None,
    nthreads: int = 1,
) -> int:
    """Return how many workers would do the work that is ready in about so many seconds.

    With `resources`, how many of a kind of workers that offer these and have so many threads.
    """
    seconds = config.get_seconds("distributed.adaptive.target-duration", target_duration)
    if resources is not None:
        return wanted_of_kind(scheduler.state, seconds, resources, nthreads)
    return wanted_workers(scheduler.state, seconds)


def workers_to_close(scheduler: SchedulerContext, **which: Any) -> list[Any]:
    """Return workers that can be closed at little cost, the best first: by address, or by what
    `attribute` names.

    The arguments are those of `Scheduler.workers_to_close`. Without any that says how many, these
    are the workers that have nothing to do, and whose data fits elsewhere.
    """
    if not which.keys() & {"n", "target", "memory_ratio", "key", "minimum"}:
        attribute = which.get("attribute", "address")
        return [
            getattr(scheduler.views.worker(ws), attribute) for ws in spare_workers(scheduler.state)
        ]
    return scheduler.workers_to_close(**which)


async def restart_workers(
    scheduler: SchedulerContext,
    workers: list[Any] | None = None,
    timeout: float = 60.0,
    on_error: str = "raise",
) -> dict[str, str]:
    """Have nannies start the processes of workers anew: ``{address: "OK" or "timed out"}``."""
    chosen = find_workers(scheduler, workers)
    alone = [ws.address for ws in chosen if ws.info.nanny is None]
    if alone:
        raise ValueError(f"workers without a nanny cannot be restarted: {', '.join(alone)}")

    async def restart_one(ws: WorkerState) -> str:
        scheduler.expect_close(ws.address)
        try:
            answer = await within(
                scheduler.rpc(str(ws.info.nanny)).restart(timeout=timeout), timeout + 1
            )
        except TimeoutError:
            return "timed out"
        return str(answer)

    answers = await asyncio.gather(*map(restart_one, chosen), return_exceptions=True)
    result: dict[str, str] = {}
    for ws, answer in zip(chosen, answers, strict=True):
        if isinstance(answer, BaseException):
            if on_error == "raise":
                raise answer
            answer = f"{type(answer).__name__}: {answer}"
        result[ws.address] = answer
    return result


async def restart(
    scheduler: SchedulerContext, timeout: float = 60.0, wait_for_workers: bool = True
) -> None:
    """Forget all tasks and restart all workers.

    Workers without a nanny close: their maker may start others in their place.
    """
    scheduler.feed(RestartAll())
    scheduler.tell_plugins("restart", scheduler=scheduler)
    before = list(scheduler.state.workers.values())
    nannied = [ws.address for ws in before if ws.info.nanny is not None]
    for ws in before:
        if ws.info.nanny is None:
            scheduler.close_worker(ws.address, "the cluster was restarted", restart=True)
    outcome = await restart_workers(scheduler, nannied, timeout) if nannied else {}
    late = [address for address, answer in outcome.items() if answer != "OK"]
    if late:
        raise TimeoutError(
            f"{len(late)} of {len(nannied)} workers did not restart within {timeout:g} s: "
            + ", ".join(late)
        )
    if not wait_for_workers:
        return
    deadline = asyncio.get_running_loop().time() + timeout
    old = {id(ws) for ws in before}  # `before` keeps them, so no other gets their numbers
    while (back := sum(id(ws) not in old for ws in scheduler.state.workers.values())) < len(before):
        left = deadline - asyncio.get_running_loop().time()
        try:
            await within(scheduler.workers_changed(), left)
        except TimeoutError:
            alone = len(before) - len(nannied)
            why = f"; {alone} had no nanny to start them again" if alone else ""
            raise TimeoutError(
                f"Waited for {len(before)} workers to come back after the restart, but after "
                f"{timeout:g} s there are {back}{why}"
            ) from None


async def terminate(scheduler: SchedulerContext, reason: str = "the cluster was shut down") -> None:
    """Close workers, their nannies, and the scheduler."""
    nannies = {ws.info.nanny for ws in scheduler.state.workers.values() if ws.info.nanny}
    for address in list(scheduler.state.workers):
        scheduler.expect_close(address)

    async def close_nanny(address: str) -> None:
        await within(scheduler.rpc(address).terminate(reason=reason), _NANNY_TIMEOUT)

    await asyncio.gather(*map(close_nanny, nannies), return_exceptions=True)
    # After the answer: it travels on a connection that closing ends.
    asyncio.get_running_loop().call_soon(lambda: scheduler.close_soon(reason))


async def worker_died(
    scheduler: SchedulerContext,
    address: str,
    reason: str,
    running: list[int] | None = None,
    overdue: Sequence[int] = (),
) -> None:
    """A nanny tells that the process of a worker has ended, and in the midst of which runs.

    `overdue`: those that it was ended for, because their time was over. It is asked for all of
    this at its own address, as any member could say it.
    """
    ws = scheduler.state.workers.get(address)
    if ws is not None and ws.info.nanny is not None:
        await post_mortem(scheduler, ws, reason)


def take_scale_request(scheduler: SchedulerContext) -> int | None:
    """Return how many workers a viewer of the pages wants; the next one who asks gets None."""
    wanted, scheduler.seen.scale_request = scheduler.seen.scale_request, None
    return wanted
