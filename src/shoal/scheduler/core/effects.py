"""What the scheduler's core asks of its shell after an event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

__all__ = ["Effects"]


class Effects(msgspec.Struct, gc=False):
    """Everything one event led to. Messages to one peer are in order and go out as one batch."""

    to_workers: dict[str, list[Any]]
    to_clients: dict[str, list[Any]]
    close_workers: Sequence[tuple[str, str]] = ()  # (address, reason): drop the connection
    rejected: Sequence[tuple[str, str]] = ()  # (address, reason): send WorkerRejected, then close
    close_clients: Sequence[tuple[str, str]] = ()  # (id, reason): it broke the protocol
    left_clients: Sequence[str] = ()  # they said goodbye: send what is to be sent, then close
    retired: Sequence[str] = ()  # these workers hold nothing that is needed elsewhere
    not_retired: Sequence[tuple[str, str]] = ()  # (address, why)
    next_deadline: float | None = None  # a Tick is due then
    more: bool = False  # a `Continue` is due, as soon as the loop has looked at its sockets
    idle: bool = False  # idle for longer than idle-timeout
