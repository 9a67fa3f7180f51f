"""The effects that the scheduler's core asks of its shell after an event, in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shoal.scheduler.core.journal.recorder import Change

__all__ = ["Effects"]


class Effects(msgspec.Struct, gc=False):
    """Everything one event led to. Messages to one peer are in order and go out as one batch.

    The fields are carried out in the order in which they stand here, by
    `shoal.scheduler.applier.SchedulerApplier`. Messages to a peer come before the end of its
    connection: the last messages are to arrive. Calls that wake a waiter in this process come after
    all messages: whoever is woken may say more. The timer comes last, and before the next event
    whatever that is: a later event knows better when the timer is to ring.

    The journal comes before all of it: nobody may be told, and no data dropped, on the
    strength of something that a scheduler that starts anew does not know.
    """

    journal: Sequence[Change]  # empty without a journal
    to_workers: dict[str, list[Any]]  # first: threads may be idle
    to_clients: dict[str, list[Any]]
    rejected: Sequence[tuple[str, str]] = ()  # (address, reason): send WorkerRejected, then close
    close_workers: Sequence[tuple[str, str]] = ()  # (address, reason): drop the connection
    close_clients: Sequence[tuple[str, str]] = ()  # (id, reason): it broke the protocol
    left_clients: Sequence[str] = ()  # they said goodbye: send what is to be sent, then close
    retired: Sequence[str] = ()  # these workers hold nothing that is needed elsewhere
    not_retired: Sequence[tuple[str, str]] = ()  # (address, why)
    idle: bool = False  # idle for longer than idle-timeout
    more: bool = False  # a `Continue` is due, as soon as the loop has looked at its sockets
    next_deadline: float | None = None  # a Tick is due then; an earlier one does no harm
