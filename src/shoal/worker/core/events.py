"""The events that the worker's shell tells its core; they carry facts about values, not values."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from shoal.wire.messages import Inline
from shoal.worker.core.state import TaskRun

__all__ = [
    "Close",
    "Connected",
    "DataAdded",
    "DataLost",
    "Disconnected",
    "Event",
    "Evicted",
    "FetchFailed",
    "Fetched",
    "FromScheduler",
    "Interrupted",
    "MemoryMeasured",
    "Outcome",
    "Outcomes",
    "ResourcesSet",
    "Revoked",
    "Seceded",
    "Started",
    "Tick",
]


class Connected(msgspec.Struct, gc=False):
    """A stream to a scheduler is up; the effects say what to register with."""


class Disconnected(msgspec.Struct, gc=False):
    reason: str = ""


class FromScheduler(msgspec.Struct, gc=False):
    messages: list[Any]


class Outcome(msgspec.Struct, gc=False):
    """How one run ended.

    `kind` is ``"ok"`` (the result is in the store), ``"error"``, ``"reschedule"``, ``"missing"``
    (dependencies were not in the store when the run was to start), ``"unread"`` (the task could not
    read its sources) or ``"discarded"`` (the core had discarded the run; nothing was stored).
    """

    key: str
    run: int
    kind: str
    start: float = 0.0  # wall clock
    stop: float = 0.0
    nbytes: int = 0
    type: str = ""
    value: Inline | None = None  # the result of a wanted task, where small
    failure: Any = None  # exception, traceback: Blob; exception_text, traceback_text: str
    missing: tuple[str, ...] = ()
    # Of each source: its key, who does not have it, and who could not be reached.
    unread: tuple[tuple[str, list[str], list[str]], ...] = ()


class Outcomes(msgspec.Struct, gc=False):
    outcomes: list[Outcome]


class Seceded(msgspec.Struct, gc=False):
    key: str
    run: int
    elapsed: float


class Started(msgspec.Struct, gc=False):
    """A run with a timeout began, so many seconds ago."""

    key: str
    run: int
    elapsed: float


class Interrupted(msgspec.Struct, gc=False):
    """Answer to `Effects.interrupt` for a run under way: where its code was, and for how long."""

    run: int
    where: str
    elapsed: float


class Fetched(msgspec.Struct, gc=False):
    """A peer's answer to all or some of the keys of one `Fetch`; each key is answered for once.

    The shell stores the values of those keys that the effects name in `keep`, and no others.
    """

    peer: str
    got: list[tuple[str, int, str]]  # key, nbytes, type
    absent: list[str] = []
    lives: dict[str, int] = {}  # of the `Fetch`


class FetchFailed(msgspec.Struct, gc=False):
    """The peer could not be reached, or broke off; about the keys it did not answer for."""

    peer: str
    keys: list[str]
    reason: str = ""
    lives: dict[str, int] = {}  # of the `Fetch`


class DataAdded(msgspec.Struct, gc=False):
    """A client scattered data to this worker. The shell stores it when the effects say `keep`."""

    keys: list[str]
    nbytes: list[int]
    types: list[str]
    lives: list[int] = []
    equal: bool = True  # all data under these keys is equal, whenever it came


class DataLost(msgspec.Struct, gc=False):
    """The store lost data it had (a spill file that cannot be read)."""

    keys: list[str]
    reason: str


class Revoked(msgspec.Struct, gc=False):
    """Answer of the executor to `Effects.revoke` and `Effects.discard`, fed back at once.

    `revoked` had not started and never will, `kept` had started or ended.
    """

    revoked: list[TaskRun]
    kept: list[TaskRun]


class MemoryMeasured(msgspec.Struct, gc=False):
    process_bytes: int
    managed_bytes: int  # the values that the store holds in memory
    running: int = 0  # runs under way
    giving: int = 0  # bytes that are on their way to peers
    peaks: dict[bytes, int] = {}  # by function: how far the process grew while one ran, lately


class Evicted(msgspec.Struct, gc=False):
    """The answer to `Effects.evict`, when all that could be written is on disk."""

    asked: int
    freed: int
    keys: list[str] = []  # of values that are only on disk now
    reason: str = ""  # why no more can be written at all: the disk is full
    then: MemoryMeasured | None = None  # how much memory was in use after that


class ResourcesSet(msgspec.Struct, gc=False):
    """This is what tasks may ask for from now on."""

    resources: dict[str, float]


class Tick(msgspec.Struct, gc=False):
    """The deadline of an earlier batch of effects has come."""


class Close(msgspec.Struct, gc=False):
    """A caller other than the scheduler wants this worker to close."""

    reason: str


Event: TypeAlias = (
    Connected
    | Disconnected
    | FromScheduler
    | Outcomes
    | Seceded
    | Started
    | Interrupted
    | Fetched
    | FetchFailed
    | DataAdded
    | DataLost
    | Revoked
    | MemoryMeasured
    | Evicted
    | ResourcesSet
    | Tick
    | Close
)
