"""The events of the client's core: calls, messages, connections made and lost."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from shoal.client.core.asks import Asking
from shoal.client.core.state import Failure, PendingGraph, Record

__all__ = [
    "CancelRequested",
    "Closed",
    "Connected",
    "Disconnected",
    "Event",
    "FireRequested",
    "FromScheduler",
    "GaveUp",
    "GraphAnnounced",
    "GraphComplete",
    "GraphPart",
    "Interrupted",
    "PutAgain",
    "Released",
    "RequestMade",
    "RetryRequested",
    "Spoke",
    "Submitted",
    "TookAnswer",
    "Unasked",
]


class Connected(msgspec.Struct, gc=False):
    """A stream to a scheduler is up."""


class Disconnected(msgspec.Struct, gc=False):
    """The stream ended. Nothing is given up yet."""


class GaveUp(msgspec.Struct, gc=False):
    """No scheduler was found for too long."""

    reason: str


class FromScheduler(msgspec.Struct, gc=False):
    """A batch of messages."""

    messages: list[Any]


class Submitted(msgspec.Struct, gc=False):
    """New records: tasks (they have a call), scattered data (holders), keys of others (neither).

    A record for a key that is known takes the place of the one before. Records that are not wanted
    are inputs of others in the same list; they are left out where the key is known.
    """

    records: list[Record]


class PutAgain(msgspec.Struct, gc=False):
    """Data was put on workers that equals what there is a record of; this would be its record."""

    record: Record


class Released(msgspec.Struct, gc=False):
    """The last future of each of these keys is gone."""

    keys: list[str]


class GraphAnnounced(msgspec.Struct, gc=False):
    """A thread begins to lower a graph; futures of the graph's new records are there."""

    graph: PendingGraph


class GraphPart(msgspec.Struct, gc=False):
    """Tasks of an announced graph, inputs first."""

    graph: PendingGraph
    records: list[Record]


class GraphComplete(msgspec.Struct, gc=False):
    """Nothing more comes of a graph: all was told, or (`failure`) the rest cannot be."""

    graph: PendingGraph
    failure: Failure | None = None


class Interrupted(msgspec.Struct, gc=False):
    """A thread that told of these itself was interrupted; nobody knows how far it came."""

    records: list[Record]
    released: list[str]


class CancelRequested(msgspec.Struct, gc=False):
    """These keys were cancelled by a call; their dependents are cancelled as well."""

    keys: list[str]
    force: bool = False
    reason: str = "cancelled by the user"


class RetryRequested(msgspec.Struct, gc=False):
    """Failed tasks shall run again."""

    keys: list[str]


class FireRequested(msgspec.Struct, gc=False):
    """These keys shall be computed even when no future is left."""

    keys: list[str]


class RequestMade(msgspec.Struct, gc=False):
    """A call asks something of a primitive."""

    asking: Asking


class Unasked(msgspec.Struct, gc=False):
    """The caller waits no longer for an answer; `back`: nor looks at it when it comes."""

    asking: Asking
    back: bool = False


class TookAnswer(msgspec.Struct, gc=False):
    """The caller has the value that an answer handed over."""

    asking: Asking


class Spoke(msgspec.Struct, gc=False):
    """Messages for the scheduler, if it is there."""

    messages: list[Any]


class Closed(msgspec.Struct, gc=False):
    """The client closes."""

    reason: str = "the client was closed"


Event: TypeAlias = (
    Connected
    | Disconnected
    | GaveUp
    | FromScheduler
    | Submitted
    | Released
    | PutAgain
    | GraphAnnounced
    | GraphPart
    | GraphComplete
    | Interrupted
    | CancelRequested
    | RetryRequested
    | FireRequested
    | RequestMade
    | Unasked
    | TookAnswer
    | Spoke
    | Closed
)
