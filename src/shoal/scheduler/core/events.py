"""The events of the scheduler's core. The shell makes these from messages, lost connections
and calls.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from shoal.wire.blob import Blob

__all__ = [
    "CancelTasks",
    "ClientLost",
    "Continue",
    "DropCopies",
    "Event",
    "FromClient",
    "FromWorker",
    "HoldersFailed",
    "LogEvent",
    "Move",
    "PinCopies",
    "RestartAll",
    "RetireWorkers",
    "SetMetadata",
    "SetPlugin",
    "Tick",
    "WorkerLost",
]


class FromClient(msgspec.Struct, gc=False):
    """A batch of messages on a client's stream; the first ever is `ClientHello`."""

    client: str
    messages: list[Any]


class ClientLost(msgspec.Struct, gc=False):
    """A client's stream ended without a goodbye."""

    client: str
    reason: str = ""


class FromWorker(msgspec.Struct, gc=False):
    """A batch of messages on a worker's stream; the first ever is `RegisterWorker`."""

    address: str
    messages: list[Any]


class WorkerLost(msgspec.Struct, gc=False):
    """A worker's stream ended.

    `expected`: it was told to close, or said goodbye, or is connected anew. `dead`: its process is
    known to have ended; otherwise it may come back with what it holds. `running`: the numbers of
    the runs that it died in the midst of, as its nanny knows them; None where nobody knows.
    """

    address: str
    reason: str = "the connection to it was lost"
    expected: bool = False
    dead: bool = False
    running: tuple[int, ...] | None = None
    overdue: tuple[int, ...] = ()  # of these, those that its nanny ended it for


class Tick(msgspec.Struct, gc=False):
    """Time went by: the deadline of an earlier effect has come."""


class Continue(msgspec.Struct, gc=False):
    """The loop was released: go on with what an earlier event left to do."""


class RetireWorkers(msgspec.Struct, gc=False):
    """Empty these workers, then (`close`) close them; within so many seconds."""

    addresses: list[str]
    close: bool = True
    within: float | None = None


class RestartAll(msgspec.Struct, gc=False):
    """Forget all tasks."""


class CancelTasks(msgspec.Struct, gc=False):
    """Take these, and what depends on them, away from all clients: somebody else decided it."""

    keys: list[str]
    reason: str


class HoldersFailed(msgspec.Struct, gc=False):
    """These workers do not have this key, whatever the scheduler believes."""

    key: str
    addresses: list[str]


class Move(msgspec.Struct, gc=False):
    """Make copies of keys on a worker (replicate, rebalance)."""

    keys: list[str]
    to: str


class PinCopies(msgspec.Struct, gc=False):
    """A user wants so many copies of these; no policy goes below."""

    keys: list[str]
    count: int


class DropCopies(msgspec.Struct, gc=False):
    """Drop these copies, each (key, address), where others are left."""

    copies: list[tuple[str, str]]


class LogEvent(msgspec.Struct, gc=False):
    """Remember a structured event."""

    topic: str
    message: Any


class SetMetadata(msgspec.Struct, gc=False):
    """A user notes a value under nested keys."""

    keys: list[Any]
    value: Any


class SetPlugin(msgspec.Struct, gc=False):
    """A client registered a plugin, or took it back: None. It is opaque here."""

    kind: Literal["scheduler", "worker", "nanny"]
    name: str
    plugin: Blob | None


Event: TypeAlias = (
    FromClient
    | ClientLost
    | FromWorker
    | WorkerLost
    | Tick
    | Continue
    | RetireWorkers
    | RestartAll
    | CancelTasks
    | HoldersFailed
    | Move
    | DropCopies
    | PinCopies
    | LogEvent
    | SetMetadata
    | SetPlugin
)
