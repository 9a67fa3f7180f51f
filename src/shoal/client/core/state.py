"""The client's state: a record for each key that it wants or that such a key depends on.

Only data lives here. A `Record` is made by the shell, so that a `Future` can exist before the loop
hears of it, and given to the core with `Submitted`. From then on only the core writes to it, except
for the two fields at its end, which are the shell's own. Anybody may read it: the core writes
`status` last, so who sees "finished" also sees the value.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final, Literal, TypeAlias

import msgspec

from shoal.wire.blob import Blob, Buffer
from shoal.wire.messages import Inline, TaskOptions

__all__ = [
    "CANCELLED",
    "CLOSED",
    "DONE",
    "ERROR",
    "FINISHED",
    "HELD_UP",
    "LOST",
    "OPEN",
    "PENDING",
    "Call",
    "ClientState",
    "Extras",
    "Failure",
    "Function",
    "GraphState",
    "PendingGraph",
    "Record",
    "Status",
]

Status: TypeAlias = Literal["pending", "finished", "error", "cancelled", "lost"]
"""The status of a key."""

PENDING: Final = "pending"
FINISHED: Final = "finished"
ERROR: Final = "error"
CANCELLED: Final = "cancelled"
LOST: Final = "lost"

DONE: frozenset[Status] = frozenset((FINISHED, ERROR, CANCELLED, LOST))
"""Statuses in which there is nothing to wait for."""


class Function(msgspec.Struct, eq=False, weakref=True):
    """A pickled function. A client has one object for each id."""

    id: bytes
    blob: Blob
    tasks: int = 0  # records of the core that need it


class Call(msgspec.Struct, gc=False, eq=False, frozen=True):
    """The common part of the tasks of one submit or map."""

    function: Function
    group: str
    priority: float = 0.0
    fifo_timeout: float = 0.1
    options: TaskOptions | None = None


class Failure(msgspec.Struct, gc=False, eq=False, frozen=True):
    """Why a task failed; opaque."""

    exception: Blob
    traceback: Blob
    blame: str


class Extras(msgspec.Struct, gc=False, eq=False, kw_only=True):
    """The attributes that few records have."""

    buffers: list[Buffer] = []  # large out-of-band buffers of the arguments
    keep: tuple[Any, ...] = ()  # to be kept alive as long as the record, such as futures in objects
    mentioned: tuple[str, ...] = ()  # their keys
    nbytes: int = 0  # of scattered data
    equal: bool = True  # all data under this key is equal, for it is a digest
    holders: list[str] = []  # of scattered data; empty: this is a task, or a key of somebody else


class Record(msgspec.Struct, gc=False, eq=False):
    """One key. No record refers to another, so none is ever part of a reference cycle."""

    key: str
    call: Call | None = None  # None: data, or a task of another client
    args: bytes = b""
    deps: tuple[str, ...] = ()
    extras: Extras | None = None
    wanted: bool = True
    position: int = 0  # of a task in its graph, from 1; 0: tasks run in the order they are told
    dependents: int = 0  # records that have this key among their deps
    type: str = ""
    value: Inline | None = None  # the result, where it is small
    holder: str = ""  # a worker that has the result
    why: Failure | str | None = None  # the failure, or the reason of a cancellation or loss
    status: Status = PENDING
    told: int = 0  # `ClientState.told` when the scheduler was told of it
    life: int = 0  # of its key, where it is not `told`: it was told again, or others share it
    futures: int = 0  # the shell's: how many futures refer to it
    ending: int = 0  # the shell's: how many of these are gone, and not counted down yet
    watch: tuple[Any, ...] = ()  # the shell's: latches and callbacks to be told when it is done


GraphState: TypeAlias = Literal["open", "held up", "closed"]
"""The states of a graph that is being lowered; see `shoal.client.core.pending_graphs`."""

OPEN: Final = "open"
HELD_UP: Final = "held up"
CLOSED: Final = "closed"


class PendingGraph:
    """A graph whose futures are there and whose tasks are not all told yet.

    The shell makes it and reads `stopped` in the thread that lowers the graph; only the core writes
    to it.

    Attributes
    ----------
    records : dict
        The new records among those that are wanted; those that were not lowered have no call.
    state : GraphState
        `OPEN`, `HELD_UP` or `CLOSED`; see `shoal.client.core.pending_graphs`.
    stopped : bool
        No client wants any task of it: the rest need not be lowered.
    untold : dict
        The records whose part did not come yet.
    dropped : set
        Keys of the records that nobody wants any more.
    """

    __slots__ = ("dropped", "records", "state", "stopped", "untold")

    def __init__(self, records: dict[str, Record]) -> None:
        self.records = records
        self.state: GraphState = OPEN
        self.stopped = False
        self.untold = dict(records)
        self.dropped: set[str] = set()


class ClientState:
    """All of it."""

    __slots__ = (
        "client",
        "connected",
        "connected_at",
        "ended",
        "fired",
        "functions",
        "held_back",
        "idle_functions",
        "idle_functions_bytes",
        "known_workers",
        "name",
        "over",
        "part",
        "records",
        "registered_before",
        "scheduler",
        "told",
        "versions",
        "workers",
    )

    def __init__(
        self, client: str, name: str | None, versions: dict[str, Any], first_life: int = 0
    ) -> None:
        self.client = client
        # Numbers what the scheduler is told of records, and the lives of keys that begin with it.
        # It grows where a key may begin a new life, so that words about an older one are known.
        self.told = first_life
        self.over = False  # a life has ended since it grew
        self.name = name
        self.versions = versions
        self.connected = False
        self.connected_at = 0.0
        self.registered_before = False
        # Tasks of one message when all is said again: the scheduler has other things to do, too,
        # than to read it.
        self.part = 2000
        self.ended: str | None = None  # why this client can do nothing any more
        self.scheduler = ""  # the scheduler's incarnation
        self.workers: dict[str, None] = {}
        # Workers to name to the next scheduler: it waits for them.
        self.known_workers: dict[str, None] = {}
        self.records: dict[str, Record] = {}
        # Records that the scheduler was not told of on this connection: failed ones, and what only
        # they need. A reconnection does not run them again.
        self.held_back: dict[str, Record] = {}
        # Fire and forget: keys that stay wanted until they are done; True when no future is left.
        self.fired: dict[str, bool] = {}
        # Functions that the scheduler was told on this connection, and those of them that no record
        # needs, the least recently used first.
        self.functions: dict[bytes, Function] = {}
        self.idle_functions: OrderedDict[bytes, Function] = OrderedDict()
        self.idle_functions_bytes = 0
