"""Requests of a scheduler to its workers' nannies: how one died, and to replace one that hangs.

Reports of deaths are confirmed by the nanny that the worker named when it registered: any member
could send one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from shoal._base.within import within

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext
    from shoal.scheduler.core.state import WorkerState

__all__ = ["post_mortem", "replace_hanging"]

logger = logging.getLogger("shoal.scheduler")

# Seconds that a nanny may take to say how its worker died.
_TIMEOUT = 3.0
_LONGEST = 2000  # characters of a nanny's reason


async def replace_hanging(scheduler: SchedulerContext, ws: WorkerState) -> None:
    """Have the nanny start another process: this one hangs, and does not end by itself."""
    assert ws.info.nanny is not None
    try:
        call = scheduler.rpc(ws.info.nanny).replace(pid=ws.info.pid, reason="it did not answer")
        await within(call, _TIMEOUT)
    except (OSError, RuntimeError) as error:
        logger.info("the nanny %s does not replace its worker: %s", ws.info.nanny, error)


async def post_mortem(scheduler: SchedulerContext, ws: WorkerState, reason: str) -> None:
    """Ask the nanny how the worker died before its tasks are blamed for it."""
    assert ws.info.nanny is not None
    dead = False
    running: list[int] | None = None
    overdue: list[int] = []
    try:
        answer = await within(scheduler.rpc(ws.info.nanny).death(pid=ws.info.pid), _TIMEOUT)
        if answer.get("reason"):
            runs = _numbers(answer.get("running"))
            late = _numbers(answer.get("overdue")) or []
            reason, dead, running, overdue = str(answer["reason"])[:_LONGEST], True, runs, late
    except Exception as error:
        logger.debug("no word from the nanny %s: %s", ws.info.nanny, error)
    # Where its nanny says that it is dead, it is, whatever its connection looks like.
    gone = dead or ws.address not in scheduler.worker_streams
    if scheduler.state.workers.get(ws.address) is ws and gone:
        scheduler.lose_worker(ws.address, reason, dead, running, overdue)


def _numbers(told: Any) -> list[int] | None:
    """Return the runs that a nanny named; it may have said anything."""
    if told is None:
        return None
    return [run for run in told if type(run) is int]
