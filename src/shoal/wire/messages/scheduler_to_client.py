"""Messages from the scheduler to clients.

Definitions only; the conventions are in the package's docstring.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from shoal.wire.blob import Blob
from shoal.wire.messages.several_edges import Clock, Count, Inline, Life, Position

__all__ = [
    "Answer",
    "ClientWelcome",
    "KeyErred",
    "KeysCancelled",
    "KeysInMemory",
    "KeysLost",
    "KeysPending",
    "KeysShared",
    "Published",
    "Restarted",
    "SchedulerClosing",
    "SchedulerToClient",
    "Subscribers",
    "TopicEvent",
    "WorkersChanged",
]


class ClientWelcome(msgspec.Struct, array_like=True, gc=False, tag="welcome"):
    """Answer to `ClientHello`: the scheduler knows the client, which may send its tasks."""

    scheduler: str  # id of this incarnation of the scheduler
    workers: list[str]


class KeysInMemory(msgspec.Struct, array_like=True, gc=False, tag="memory"):
    """Results that the client wants are there. Small ones come along; others it fetches itself."""

    keys: list[str]
    types: list[str]
    values: list[Inline | None]  # the result where it is small, else None
    holders: list[str]  # one address for each None in `values`, in order
    heard: Life = 0


class KeyErred(msgspec.Struct, array_like=True, gc=False, tag="erred"):
    """A task that the client wants has failed. Its futures raise the exception."""

    key: str
    exception: Blob  # pickled exception instance
    traceback: Blob  # pickled traceback (tblib), or a pickled None
    blame: str  # the key whose run failed: this one, or one it depends on
    heard: Life = 0


class KeysPending(msgspec.Struct, array_like=True, gc=False, tag="pending"):
    """Results that were there are being computed again, or a retry began: futures are pending."""

    keys: list[str]
    heard: Life = 0


class KeysLost(msgspec.Struct, array_like=True, gc=False, tag="lost"):
    """Data that nobody holds and nobody can compute. Its futures are cancelled, as lost."""

    keys: list[str]
    reason: str
    heard: Life = 0


class KeysCancelled(msgspec.Struct, array_like=True, gc=False, tag="cancelled"):
    """Keys that the client wanted were cancelled, by it or by another. It forgets them."""

    keys: list[str]
    reason: str
    heard: Life = 0


class KeysShared(msgspec.Struct, array_like=True, gc=False, tag="shared"):
    """Others had defined these keys before, and still need them: these are their lives."""

    keys: list[str]
    lives: list[Life]
    heard: Life = 0


class WorkersChanged(msgspec.Struct, array_like=True, gc=False, tag="workers"):
    """Workers that came and went. The client stops fetching from those that are gone."""

    added: list[str]
    removed: list[str]


class Restarted(msgspec.Struct, array_like=True, gc=False, tag="restarted"):
    """The cluster was restarted: the client cancels every future, as every key is forgotten."""


class Answer(msgspec.Struct, array_like=True, gc=False, tag="answer"):
    """Answer to the `Ask` of that id. The client says `Took` when it has what was handed over."""

    id: Position
    value: Any = None
    error: str = ""  # kind of error; then `value` says more
    keys: list[str] = []  # of futures in the value: kept until the client says `Took`


class Published(msgspec.Struct, array_like=True, gc=False, tag="published"):
    """Values for the subscribers to a topic at this client. It hands them over in order."""

    topic: str
    values: list[Blob]


class Subscribers(msgspec.Struct, array_like=True, gc=False, tag="subscribers"):
    """The subscribers to a topic that this client publishes to, told each time they change."""

    topic: str
    workers: list[str]  # addresses: publishers that can reach them tell them directly
    others: Count  # subscribers that are told through the scheduler


class TopicEvent(msgspec.Struct, array_like=True, gc=False, tag="event"):
    """Something was logged under a topic that this client subscribed to: its handlers run."""

    topic: str
    time: Clock  # wall clock of the scheduler, seconds
    message: Any


class SchedulerClosing(msgspec.Struct, array_like=True, gc=False, tag="closing"):
    """The scheduler closes on purpose: the client does not look for another one."""

    reason: str


SchedulerToClient: TypeAlias = (
    ClientWelcome
    | KeysInMemory
    | KeyErred
    | KeysPending
    | KeysLost
    | KeysCancelled
    | KeysShared
    | WorkersChanged
    | Restarted
    | Answer
    | Published
    | Subscribers
    | TopicEvent
    | SchedulerClosing
)
