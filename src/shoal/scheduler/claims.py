"""Whether a worker is where it says that it is, where another one is known there.

A worker that comes again, from the same process, brings the token that its first stream had. Any
other that registers under the address of a living worker is a new process at that address, or a
member that takes another's place: who listens there knows which. The same holds for nannies.
Decision 0040 has the reasons.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from shoal.comm.base import connect
from shoal.comm.requests import send_recv
from shoal.comm.strangers import clean

if TYPE_CHECKING:
    from shoal.scheduler.context import SchedulerContext
    from shoal.wire.messages import RegisterWorker

__all__ = ["ANSWER_WITHIN", "dispute"]

ANSWER_WITHIN = 5.0  # seconds that who listens at an address may take


def dispute(
    scheduler: SchedulerContext, msg: RegisterWorker, token: bytes, same: bool
) -> Coroutine[Any, Any, str] | None:
    """Return what finds out why a worker may not register, or that it may (no text).

    Parameters
    ----------
    scheduler : Scheduler
        The scheduler.
    msg : RegisterWorker
        The worker's description of itself.
    token : bytes
        Of its stream.
    same : bool
        Whether it is the process that registered under its address before.

    Returns
    -------
    coroutine or None
        None where nobody else claims the same.
    """
    taken = not same and msg.address in scheduler.worker_streams
    if not taken and not _shares_nanny(scheduler, msg):
        return None
    return _settle(scheduler, msg, token, taken)


def _shares_nanny(scheduler: SchedulerContext, msg: RegisterWorker) -> bool:
    return msg.nanny is not None and any(
        ws.info.nanny == msg.nanny and address != msg.address
        for address, ws in scheduler.state.workers.items()
    )


async def _settle(
    scheduler: SchedulerContext, msg: RegisterWorker, token: bytes, taken: bool
) -> str:
    if taken and await _ask(scheduler, msg.address, op="began_stream", token=token) is not True:
        return (
            f"the address {clean(msg.address)} is that of a living worker, and who listens there "
            "does not know of this registration"
        )
    if _shares_nanny(scheduler, msg):
        assert msg.nanny is not None
        answer = await _ask(scheduler, msg.nanny, op="identity")
        known = answer if isinstance(answer, dict) else {}
        others = [ws for ws in scheduler.state.workers.values() if ws.info.nanny == msg.nanny]
        twice = any(ws.info.pid == msg.pid and ws.address != msg.address for ws in others)
        if known.get("pid") != msg.pid or twice:
            return f"the nanny {clean(msg.nanny)} has another worker, and none of pid {msg.pid}"
    return ""


async def _ask(scheduler: SchedulerContext, address: str, **request: Any) -> Any:
    """Ask who listens at an address now; None where nobody answers.

    On a connection of its own: those in the pool may lead to a process that is gone.
    """
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            arguments = {**scheduler.connection_args, "expected": ("worker",)}
            comm = await connect(address, ANSWER_WITHIN, False, retry=False, **arguments)
            try:
                return await send_recv(comm, **request)
            finally:
                comm.abort()
    except Exception:  # another server answers there, or none: it is not that worker
        return None
