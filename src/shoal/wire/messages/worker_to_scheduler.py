"""Messages from workers to the scheduler.

Definitions only; the conventions are in the package's docstring.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

from shoal.wire.blob import Blob
from shoal.wire.messages.several_edges import Amount, Clock, Count, Inline, Life, Run

__all__ = [
    "Acquired",
    "Dropped",
    "EventLogged",
    "Failed",
    "Finished",
    "Interrupted",
    "LongRunning",
    "MissingDeps",
    "NotAcquired",
    "RegisterWorker",
    "Rescheduled",
    "ResourcesChanged",
    "StealReply",
    "WorkerGoodbye",
    "WorkerHeartbeat",
    "WorkerStatus",
    "WorkerToScheduler",
]

Status: TypeAlias = Annotated[str, msgspec.Meta(pattern="^(running|paused|closing)$")]

Threads: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=2**20)]


class RegisterWorker(msgspec.Struct, array_like=True, gc=False, tag="register", kw_only=True):
    """First message on a worker's stream, with all that the worker holds and runs. Idempotent."""

    address: str
    name: str | int  # a number only to show it: names are compared as text
    nthreads: Threads
    memory_limit: Count  # bytes; 0: none
    resources: dict[str, Amount]
    pid: int
    host: str
    nanny: str | None
    status: Status
    server_id: str
    versions: dict[str, Any]
    local_directory: str
    services: dict[str, Any] = {}
    reconnect: bool = False
    lifetime: Amount | None = None  # seconds until the worker wants to retire
    held: list[str] = []
    held_nbytes: list[Count] = []
    held_types: list[str] = []
    running: list[str] = []  # tasks that execute now (long-running ones too)
    running_runs: list[Run] = []
    extra: dict[str, Any] = {}
    held_lives: list[Life] = []
    running_lives: list[Life] = []


class Finished(msgspec.Struct, array_like=True, gc=False, tag="done"):
    """Tasks that ended well; their results are stored on the worker that says so.

    The scheduler tells the clients that want them, and assigns what waited for them.
    """

    keys: list[str]
    runs: list[Run]
    nbytes: list[Count]
    types: list[str]
    starts: list[Clock]  # wall clock, seconds
    stops: list[Clock]
    values: list[Inline | None]  # a number; what else is small if the key is wanted; else None


class Failed(msgspec.Struct, array_like=True, gc=False, tag="failed"):
    """A task raised. The scheduler retries it or puts it, and what depends on it, into error."""

    key: str
    run: Run
    exception: Blob
    traceback: Blob
    exception_text: str
    traceback_text: str
    start: Clock
    stop: Clock
    # Where the task has a `RetryPolicy`: the classes of the exception, its own first, and what the
    # policy's function says of it.
    kinds: list[str] = []
    agreed: bool = True


class Rescheduled(msgspec.Struct, array_like=True, gc=False, tag="resched"):
    """A task raised `Reschedule`. The scheduler runs it again, elsewhere if possible."""

    key: str
    run: Run


class LongRunning(msgspec.Struct, array_like=True, gc=False, tag="long"):
    """The task seceded: it no longer takes a thread of the worker's pool."""

    key: str
    run: Run
    elapsed: Amount


class Interrupted(msgspec.Struct, array_like=True, gc=False, tag="interrupted"):
    """The code of a run was stopped, or could not be. The scheduler remembers it as an event."""

    key: str
    run: Run
    why: str  # "timeout", or why it was cancelled
    where: str  # the stack of its code at that moment
    seconds: Amount  # that it had run
    replaced: bool = False  # it did not stop: its process is being replaced, or the thread given up


class MissingDeps(msgspec.Struct, array_like=True, gc=False, tag="missing"):
    """A task cannot start: for each dependency named, no holder that the worker knew could serve
    it.

    The worker has dropped the task; the scheduler assigns it anew.
    """

    key: str
    run: Run
    deps: list[str]
    absent: list[list[str]]  # per dep: holders that answered "I do not have it"
    unreachable: list[list[str]]  # per dep: holders that could not be reached
    lives: list[Life] = []  # per dep


class StealReply(msgspec.Struct, array_like=True, gc=False, tag="stolen"):
    """Answer to `Steal`: the tasks given back (with their runs); all others were kept.

    The scheduler assigns those that were given back anew.
    """

    keys: list[str]
    runs: list[Run]
    kept: list[str]


class Acquired(msgspec.Struct, array_like=True, gc=False, tag="acquired"):
    """Copies the worker now holds: fetched from peers, or (`scattered`) put there by a client."""

    keys: list[str]
    nbytes: list[Count]
    types: list[str]
    scattered: bool = False
    lives: list[Life] = []
    equal: bool = True  # of scattered: whether all data under these keys is equal


class NotAcquired(msgspec.Struct, array_like=True, gc=False, tag="not-acquired"):
    """Copies asked for with `Acquire` that could not be had."""

    keys: list[str]
    reason: str
    lives: list[Life] = []


class Dropped(msgspec.Struct, array_like=True, gc=False, tag="dropped"):
    """Data that the worker held and lost (a spill file that cannot be read, say).

    The scheduler computes it again where it is needed.
    """

    keys: list[str]
    reason: str
    lives: list[Life] = []


class WorkerStatus(msgspec.Struct, array_like=True, gc=False, tag="status"):
    """The worker pauses, goes on, or closes. The scheduler sends nothing new to one that pauses."""

    status: Status


class WorkerHeartbeat(msgspec.Struct, array_like=True, gc=False, tag="beat"):
    """The worker is alive, and what it measured of itself. Not answered."""

    metrics: dict[str, Any]
    executing: dict[str, Amount]  # key -> seconds it runs already, for those over a second


class ResourcesChanged(msgspec.Struct, array_like=True, gc=False, tag="resources"):
    """All resources of this worker that tasks may ask for from now on, told for placing."""

    resources: dict[str, Amount]


class EventLogged(msgspec.Struct, array_like=True, gc=False, tag="event"):
    """Something to remember under these topics, and to tell the clients that subscribed to them."""

    topics: list[str]
    message: Any  # plain values


class WorkerGoodbye(msgspec.Struct, array_like=True, gc=False, tag="bye"):
    """The worker closes on purpose. The scheduler blames no task for it, and closes the stream."""

    reason: str


WorkerToScheduler: TypeAlias = (
    RegisterWorker
    | Finished
    | Failed
    | Rescheduled
    | LongRunning
    | Interrupted
    | MissingDeps
    | StealReply
    | Acquired
    | NotAcquired
    | Dropped
    | WorkerStatus
    | WorkerHeartbeat
    | ResourcesChanged
    | EventLogged
    | WorkerGoodbye
)
