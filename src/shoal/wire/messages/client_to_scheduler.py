"""Messages from clients to the scheduler.

Definitions only; the conventions are in the package's docstring.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from shoal.wire.blob import Blob, Buffer
from shoal.wire.messages.several_edges import (
    Amount,
    Count,
    DefineFunctions,
    ForgetFunctions,
    Index,
    Life,
    Position,
    Rank,
    TaskOptions,
)

__all__ = [
    "Ask",
    "Cancel",
    "ClientGoodbye",
    "ClientHeartbeat",
    "ClientHello",
    "ClientToScheduler",
    "FireAndForget",
    "Graph",
    "Publish",
    "Release",
    "Resume",
    "Retry",
    "Scattered",
    "Took",
    "Unask",
    "Want",
]


class ClientHello(msgspec.Struct, array_like=True, gc=False, tag="hello"):
    """First message on a client's stream.

    Sent again, followed by all that the client wants, after each reconnection. The scheduler
    answers `ClientWelcome`.
    """

    client: str
    name: str | None
    versions: dict[str, Any]
    reconnect: bool  # True: this client was registered with an earlier connection or scheduler
    known_workers: list[
        str
    ]  # on reconnect: workers the client knew; the scheduler waits for them a while


class Graph(msgspec.Struct, array_like=True, gc=False, tag="graph", kw_only=True):
    """Tasks to know and, where wanted, to run. Sent by a client at the end of a turn of its loop.

    Idempotent: keys that are known already keep their state. The scheduler says what becomes of
    those that are wanted (`KeysInMemory`, `KeyErred`).
    """

    keys: list[str]
    functions: list[bytes]  # function ids that this message uses
    function_of: list[Index] = []  # per task, index into `functions`; [] when there is only one
    args: list[bytes]  # per task, (args, kwargs or None): see `wire.plain_values`
    deps: list[
        list[Index | str]
    ] = []  # per task: index into `keys`, or the key itself; [] when no task has any
    buffers: dict[Index, list[Buffer]] = {}  # large out-of-band buffers of the arguments of task i
    groups: list[str] = []  # names of task groups ("inc", "x-123")
    group_of: list[Index] = []  # per task, index into `groups`; [] when there is only one
    wanted: list[Index] | None = None  # indices of tasks whose results the client wants; None: all
    order: list[Position] = []  # position per task (dask.order); [] when it is the order of `keys`
    priority: Rank = 0.0  # the user's; higher runs first
    fifo_timeout: Amount = 0.1  # seconds
    options: list[TaskOptions] = []
    option_of: list[
        Position
    ] = []  # per task, index into `options`, -1 for none; [] when options[0] is for all
    told: Life = 0  # also the life of those that are new, where `lives` does not say
    lives: list[Life] = []  # per task; [] when all begin with this message


class Want(msgspec.Struct, array_like=True, gc=False, tag="want"):
    """The client wants results of keys that it did not define (a Future by key).

    The scheduler keeps them for it, and says their state as for tasks of its own.
    """

    keys: list[str]
    told: Life = 0


class Release(msgspec.Struct, array_like=True, gc=False, tag="release"):
    """The client's last futures of these keys are gone: the scheduler forgets what nobody needs."""

    keys: list[str]


class FireAndForget(msgspec.Struct, array_like=True, gc=False, tag="fire"):
    """Run these tasks though the client may release them, or leave, before they end."""

    keys: list[str]


class Cancel(msgspec.Struct, array_like=True, gc=False, tag="cancel"):
    """Stop computing these keys, and what depends on them.

    The scheduler answers `KeysCancelled`. Without `force` other clients' wants keep a task alive,
    and what runs runs to its end; with it the code of running tasks is stopped (`Interrupt`).
    """

    keys: list[str]
    force: bool = False
    reason: str = "cancelled by the user"


class Retry(msgspec.Struct, array_like=True, gc=False, tag="retry"):
    """Run these failed tasks again. The scheduler answers `KeysPending`, then as for any task."""

    keys: list[str]


class Scattered(msgspec.Struct, array_like=True, gc=False, tag="scattered"):
    """Data that the client put on workers directly, and wants. `holders[i]` lists addresses.

    The scheduler counts the copies; workers tell of them too (`Acquired`), in either order.
    """

    keys: list[str]
    nbytes: list[Count]
    types: list[str]
    holders: list[list[str]]
    told: Life = 0
    lives: list[Life] = []  # as the workers were told
    equal: list[bool] = []  # whether all data under this key is equal; [] when all is


class Ask(msgspec.Struct, array_like=True, gc=False, tag="ask"):
    """A call of a coordination primitive; answered once, perhaps much later."""

    id: Position  # the client's own count; an answered request for a lock is known by it then
    kind: str  # "queue", "lock", ...
    name: str
    op: str
    args: list[Any] = []  # plain values
    keys: list[str] = []  # of futures in what is handed over: kept while it is


class Unask(msgspec.Struct, array_like=True, gc=False, tag="ask-"):
    """The caller waits no longer: answer now, if there was no answer yet.

    `back`: nobody will look at the answer either. If it is on its way, what it gave is taken back.
    """

    id: Position
    back: bool = False


class Took(msgspec.Struct, array_like=True, gc=False, tag="took"):
    """The values of these answers have arrived; the keys in them are wanted by now."""

    ids: list[Position]


class Resume(msgspec.Struct, array_like=True, gc=False, tag="resume"):
    """After a reconnection: all that was asked and not answered, and claims to what is held.

    All other answers to this client have arrived.
    """

    asks: list[Ask]


class Publish(msgspec.Struct, array_like=True, gc=False, tag="pub"):
    """Give values to the subscribers of a topic. Subscribers on workers were told already, or
    not.
    """

    topic: str
    values: list[Blob]
    workers_too: bool


class ClientHeartbeat(msgspec.Struct, array_like=True, gc=False, tag="beat"):
    """The client is alive. Sent when it said nothing else for a while; not answered."""


class ClientGoodbye(msgspec.Struct, array_like=True, gc=False, tag="bye"):
    """The client closes: the scheduler drops what it wanted, at once, and closes the stream."""


ClientToScheduler: TypeAlias = (
    ClientHello
    | DefineFunctions
    | ForgetFunctions
    | Graph
    | Want
    | Release
    | FireAndForget
    | Cancel
    | Retry
    | Scattered
    | Ask
    | Unask
    | Took
    | Resume
    | Publish
    | ClientHeartbeat
    | ClientGoodbye
)
