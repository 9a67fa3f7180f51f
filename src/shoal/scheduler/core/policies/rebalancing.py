"""Evening out the memory of workers: which results go from whom to whom."""

from __future__ import annotations

from collections.abc import Container, Iterable
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from shoal.scheduler.core.state import TaskState, WorkerState

__all__ = ["Limits", "Transfer", "plan_rebalance"]


class Limits(NamedTuple):
    """When a worker gives and takes, as fractions of its memory limit."""

    sender_min: float = 0.30
    recipient_max: float = 0.60
    gap: float = 0.10


class Transfer(NamedTuple):
    """One result that is to move."""

    task: TaskState
    sender: WorkerState
    recipient: WorkerState


def plan_rebalance(
    workers: Iterable[WorkerState],
    used: dict[WorkerState, int],
    limits: Limits,
    keys: Container[str] | None = None,
) -> list[Transfer]:
    """Plan transfers that bring workers towards the average use of memory.

    Parameters
    ----------
    workers : iterable of WorkerState
        The workers that take part.
    used : dict
        Bytes in use by each.
    limits : Limits
        Workers give only above `sender_min`, and take only below `recipient_max`; differences of
        up to `gap` are left. Workers without a memory limit always take part.
    keys : container of str, optional
        The results that may move; all by default.

    Returns
    -------
    list of Transfer
        In an order in which no worker passes the average.
    """
    members = list(workers)
    if len(members) < 2:
        return []
    memory = dict(used)
    mean = sum(memory[ws] for ws in members) / len(members)
    senders: list[tuple[float, int, WorkerState]] = []
    recipients: list[tuple[float, int, WorkerState]] = []
    for i, ws in enumerate(members):
        limit = ws.info.memory_limit
        margin = limits.gap * limit / 2
        if memory[ws] > mean + margin and memory[ws] >= limits.sender_min * limit:
            senders.append((mean - memory[ws], i, ws))
        elif (
            ws.running
            and memory[ws] < mean - margin
            and (not limit or memory[ws] < limits.recipient_max * limit)
        ):
            recipients.append((memory[ws] - mean, i, ws))
    heapify(senders)
    heapify(recipients)
    candidates = {ws: iter(_movable(ws, keys)) for _, _, ws in senders}
    plan: list[Transfer] = []
    while senders and recipients:
        surplus, i, sender = heappop(senders)
        ts = next(candidates[sender], None)
        if ts is None:
            continue
        heappush(senders, (surplus, i, sender))
        transfer = _place(ts, sender, recipients, -surplus)
        if transfer is None:
            continue
        plan.append(transfer)
        heappop(senders)
        if surplus + ts.nbytes < 0:
            heappush(senders, (surplus + ts.nbytes, i, sender))
    return plan


def _movable(ws: WorkerState, keys: Container[str] | None) -> list[TaskState]:
    """Return what a worker could give, oldest first: what it alone has, and no task uses there."""
    return [
        ts
        for ts in ws.held.values()
        if len(ts.who_has) == 1
        and ts.nbytes > 0
        and not ts.options.actor
        and (keys is None or ts.key in keys)
        and not any(d.worker is ws and d.state == "processing" for d in ts.dependents or ())
    ]


def _place(
    ts: TaskState,
    sender: WorkerState,
    recipients: list[tuple[float, int, WorkerState]],
    surplus: float,
) -> Transfer | None:
    """Give a result to the emptiest worker, where that leaves both nearer to the average."""
    deficit, j, recipient = recipients[0]
    # Moving it must not only swap their roles.
    if ts.nbytes >= surplus - deficit or ts in recipient.pending:
        return None
    heappop(recipients)
    if deficit + ts.nbytes < 0:
        heappush(recipients, (deficit + ts.nbytes, j, recipient))
    return Transfer(ts, sender, recipient)
