"""Every typed message of shoal, one tagged union per edge and direction.

Only message definitions live here: no behaviour, no I/O, no imports but `msgspec` and `wire.blob`.
Messages that carry many tasks are columnar (one list per field) because a list of a thousand ints
encodes and decodes many times faster than a thousand small objects.

Conventions
-----------
- A *key* on the wire is always a `str` (`shoal._base.keys` converts tuple keys at the edges).
- A *function id* is the 16-byte digest of the pickled function; the blob is sent once per
  connection, always before the first message that refers to it.
- A *run* is a number the scheduler draws for each assignment of a task to a worker. It only grows,
  over restarts of the scheduler too, so a message about an older run of a key is dropped.
- A *life* is the number of one life of a key: from the moment a client defines it, or puts data
  under it, until nobody needs it any more. Clients draw them; see `docs/decisions`. Wherever a key
  crosses a connection that does not keep its order with all others about it, its life goes along.
  0 stands for one that the sender does not know.
- `told` counts what a client tells on one connection, and only grows. What is said to the client
  says how far it was `heard`: a word about a key that was told later is about an older life of it.
- A list that is documented as "`[]` when ..." saves bytes and time in the common case.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from shoal.wire.blob import Blob, Buffer

Priority: TypeAlias = tuple[float, int, int]
"""(minus the user's priority, generation, position in the graph); smaller runs first."""


Inline: TypeAlias = bytes | bool | int | float
"""A small result that comes along: a pickle, or a number as it is."""


class TaskOptions(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What a user asked for a task beyond function and arguments; shared by the tasks of one
    call.
    """

    workers: list[str] | None = None  # addresses, names or host names; None: anywhere
    allow_other_workers: bool = False
    resources: dict[str, float] | None = None
    retries: int = 0
    actor: bool = False
    executor: str | None = None
    annotations: dict[str, Any] | None = None
    alone: bool = False  # said by the scheduler: run it while nothing else runs on the worker


# --------------------------------------------------------------------------- client -> scheduler


class ClientHello(msgspec.Struct, array_like=True, gc=False, tag="hello"):
    """First message on a client's stream. Sent again, with all wants, after each reconnection."""

    client: str
    name: str | None
    versions: dict[str, Any]
    reconnect: bool  # True: this client was registered with an earlier connection or scheduler
    known_workers: list[
        str
    ]  # on reconnect: workers the client knew; the scheduler waits for them a while


class DefineFunctions(msgspec.Struct, array_like=True, gc=False, tag="fn"):
    """Functions by id; valid on this connection until `ForgetFunctions`."""

    ids: list[bytes]
    blobs: list[Blob]


class ForgetFunctions(msgspec.Struct, array_like=True, gc=False, tag="fn-"):
    ids: list[bytes]


class Graph(msgspec.Struct, array_like=True, gc=False, tag="graph", kw_only=True):
    """Tasks to know and, where wanted, to run. Idempotent: keys already known keep their state."""

    keys: list[str]
    functions: list[bytes]  # function ids that this message uses
    function_of: list[int] = []  # per task, index into `functions`; [] when there is only one
    args: list[bytes]  # per task, (args, kwargs or None): see `wire.plain_values`
    deps: list[
        list[int | str]
    ] = []  # per task: index into `keys`, or the key itself; [] when no task has any
    buffers: dict[int, list[Buffer]] = {}  # large out-of-band buffers of the arguments of task i
    groups: list[str] = []  # names of task groups ("inc", "x-123")
    group_of: list[int] = []  # per task, index into `groups`; [] when there is only one
    wanted: list[int] | None = None  # indices of tasks whose results the client wants; None: all
    order: list[int] = []  # position per task (dask.order); [] when it is the order of `keys`
    priority: float = 0.0  # the user's; higher runs first
    fifo_timeout: float = 0.1  # seconds
    options: list[TaskOptions] = []
    option_of: list[
        int
    ] = []  # per task, index into `options`, -1 for none; [] when options[0] is for all
    told: int = 0  # also the life of those that are new, where `lives` does not say
    lives: list[int] = []  # per task; [] when all begin with this message


class Want(msgspec.Struct, array_like=True, gc=False, tag="want"):
    """The client wants results of keys that it did not define (a Future by key)."""

    keys: list[str]
    told: int = 0


class Release(msgspec.Struct, array_like=True, gc=False, tag="release"):
    keys: list[str]


class FireAndForget(msgspec.Struct, array_like=True, gc=False, tag="fire"):
    keys: list[str]


class Cancel(msgspec.Struct, array_like=True, gc=False, tag="cancel"):
    keys: list[str]
    force: bool = False
    reason: str = "cancelled by the user"


class Retry(msgspec.Struct, array_like=True, gc=False, tag="retry"):
    keys: list[str]


class Scattered(msgspec.Struct, array_like=True, gc=False, tag="scattered"):
    """Data that was put on workers directly; the client wants it. `holders[i]` lists addresses."""

    keys: list[str]
    nbytes: list[int]
    types: list[str]
    holders: list[list[str]]
    told: int = 0
    lives: list[int] = []  # as the workers were told
    equal: list[bool] = []  # whether all data under this key is equal; [] when all is


class Ask(msgspec.Struct, array_like=True, gc=False, tag="ask"):
    """A call of a coordination primitive; answered once, perhaps much later."""

    id: int  # the client's own count; an answered request for a lock is known by it from then on
    kind: str  # "queue", "lock", ...
    name: str
    op: str
    args: list[Any] = []  # plain values
    keys: list[str] = []  # of futures in what is handed over: kept while it is


class Unask(msgspec.Struct, array_like=True, gc=False, tag="ask-"):
    """Nobody waits any longer: answer now, if there was no answer yet.

    `back`: nobody will look at the answer either. If it is on its way, what it gave is taken back.
    """

    id: int
    back: bool = False


class Took(msgspec.Struct, array_like=True, gc=False, tag="took"):
    """What these answers handed over has arrived; the keys in it are wanted by now."""

    ids: list[int]


class Resume(msgspec.Struct, array_like=True, gc=False, tag="resume"):
    """After a reconnection: all that was asked and not answered, and claims to what is held.

    Whatever else was answered to this client has arrived.
    """

    asks: list[Ask]


class Publish(msgspec.Struct, array_like=True, gc=False, tag="pub"):
    """Give values to the subscribers of a topic. Those on workers were told already, or not."""

    topic: str
    values: list[Blob]
    workers_too: bool


class ClientHeartbeat(msgspec.Struct, array_like=True, gc=False, tag="beat"):
    pass


class ClientGoodbye(msgspec.Struct, array_like=True, gc=False, tag="bye"):
    pass


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

# --------------------------------------------------------------------------- scheduler -> client


class ClientWelcome(msgspec.Struct, array_like=True, gc=False, tag="welcome"):
    scheduler: str  # id of this incarnation of the scheduler
    workers: list[str]


class KeysInMemory(msgspec.Struct, array_like=True, gc=False, tag="memory"):
    """Results are there. Small ones come along."""

    keys: list[str]
    types: list[str]
    values: list[Inline | None]  # the result where it is small, else None
    holders: list[str]  # one address for each None in `values`, in order
    heard: int = 0


class KeyErred(msgspec.Struct, array_like=True, gc=False, tag="erred"):
    key: str
    exception: Blob  # pickled exception instance
    traceback: Blob  # pickled traceback (tblib), or a pickled None
    blame: str  # the key whose run failed: this one, or one it depends on
    heard: int = 0


class KeysPending(msgspec.Struct, array_like=True, gc=False, tag="pending"):
    """Results that were there are being computed again, or a retry began."""

    keys: list[str]
    heard: int = 0


class KeysLost(msgspec.Struct, array_like=True, gc=False, tag="lost"):
    """Keys that nobody holds and nobody can compute."""

    keys: list[str]
    reason: str
    heard: int = 0


class KeysCancelled(msgspec.Struct, array_like=True, gc=False, tag="cancelled"):
    keys: list[str]
    reason: str
    heard: int = 0


class KeysShared(msgspec.Struct, array_like=True, gc=False, tag="shared"):
    """Others had defined these keys before, and still need them: these are their lives."""

    keys: list[str]
    lives: list[int]
    heard: int = 0


class WorkersChanged(msgspec.Struct, array_like=True, gc=False, tag="workers"):
    added: list[str]
    removed: list[str]


class Restarted(msgspec.Struct, array_like=True, gc=False, tag="restarted"):
    """The cluster was restarted: every key is forgotten."""


class Answer(msgspec.Struct, array_like=True, gc=False, tag="answer"):
    """To the `Ask` of that id."""

    id: int
    value: Any = None
    error: str = ""  # kind of error; then `value` says more
    keys: list[str] = []  # of futures in the value: kept until the client says `Took`


class Published(msgspec.Struct, array_like=True, gc=False, tag="published"):
    """Values for the subscribers to a topic at this client."""

    topic: str
    values: list[Blob]


class Subscribers(msgspec.Struct, array_like=True, gc=False, tag="subscribers"):
    """Who subscribes to a topic that this client publishes to, each time that changes."""

    topic: str
    workers: list[str]  # addresses: to be told directly by those who can
    others: int  # subscribers that are told through the scheduler


class TopicEvent(msgspec.Struct, array_like=True, gc=False, tag="event"):
    """Something was logged under a topic that this client subscribed to."""

    topic: str
    time: float  # wall clock of the scheduler, seconds
    message: Any


class SchedulerClosing(msgspec.Struct, array_like=True, gc=False, tag="closing"):
    """The scheduler closes on purpose; do not reconnect."""

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

# --------------------------------------------------------------------------- worker -> scheduler


class RegisterWorker(msgspec.Struct, array_like=True, gc=False, tag="register", kw_only=True):
    """First message on a worker's stream, with all that the worker holds and runs. Idempotent."""

    address: str
    name: str | int  # a number only to show it: names are compared as text
    nthreads: int
    memory_limit: int  # bytes; 0: none
    resources: dict[str, float]
    pid: int
    host: str
    nanny: str | None
    status: str  # "running" or "paused"
    server_id: str
    versions: dict[str, Any]
    local_directory: str
    services: dict[str, Any] = {}
    reconnect: bool = False
    lifetime: float | None = None  # seconds until the worker wants to retire
    held: list[str] = []
    held_nbytes: list[int] = []
    held_types: list[str] = []
    running: list[str] = []  # tasks that execute now (long-running ones too)
    running_runs: list[int] = []
    extra: dict[str, Any] = {}
    held_lives: list[int] = []
    running_lives: list[int] = []


class Finished(msgspec.Struct, array_like=True, gc=False, tag="done"):
    """Tasks that ended well; their results are stored on the worker that says so."""

    keys: list[str]
    runs: list[int]
    nbytes: list[int]
    types: list[str]
    starts: list[float]  # wall clock, seconds
    stops: list[float]
    values: list[Inline | None]  # a number; what else is small if the key is wanted; else None


class Failed(msgspec.Struct, array_like=True, gc=False, tag="failed"):
    key: str
    run: int
    exception: Blob
    traceback: Blob
    exception_text: str
    traceback_text: str
    start: float
    stop: float


class Rescheduled(msgspec.Struct, array_like=True, gc=False, tag="resched"):
    """The task raised `Reschedule`: run it again, elsewhere if possible."""

    key: str
    run: int


class LongRunning(msgspec.Struct, array_like=True, gc=False, tag="long"):
    """The task seceded: it no longer takes a thread of the worker's pool."""

    key: str
    run: int
    elapsed: float


class MissingDeps(msgspec.Struct, array_like=True, gc=False, tag="missing"):
    """A task cannot start: for each dependency named, no holder that the worker knew could serve
    it.

    The worker has dropped the task; the scheduler assigns it anew.
    """

    key: str
    run: int
    deps: list[str]
    absent: list[list[str]]  # per dep: holders that answered "I do not have it"
    unreachable: list[list[str]]  # per dep: holders that could not be reached
    lives: list[int] = []  # per dep


class StealReply(msgspec.Struct, array_like=True, gc=False, tag="stolen"):
    """Answer to `Steal`: the tasks given back (with their runs); all others were kept."""

    keys: list[str]
    runs: list[int]
    kept: list[str]


class Acquired(msgspec.Struct, array_like=True, gc=False, tag="acquired"):
    """Copies the worker now holds: fetched from peers, or (`scattered`) put there by a client."""

    keys: list[str]
    nbytes: list[int]
    types: list[str]
    scattered: bool = False
    lives: list[int] = []
    equal: bool = True  # of scattered: whether all data under these keys is equal


class NotAcquired(msgspec.Struct, array_like=True, gc=False, tag="not-acquired"):
    """Copies asked for with `Acquire` that could not be had."""

    keys: list[str]
    reason: str
    lives: list[int] = []


class Dropped(msgspec.Struct, array_like=True, gc=False, tag="dropped"):
    """Data the worker held and lost (a spill file that cannot be read, say)."""

    keys: list[str]
    reason: str
    lives: list[int] = []


class WorkerStatus(msgspec.Struct, array_like=True, gc=False, tag="status"):
    status: str  # "running", "paused" or "closing"


class WorkerHeartbeat(msgspec.Struct, array_like=True, gc=False, tag="beat"):
    metrics: dict[str, Any]
    executing: dict[str, float]  # key -> seconds it runs already, for those over a second


class ResourcesChanged(msgspec.Struct, array_like=True, gc=False, tag="resources"):
    """What tasks may ask for on this worker from now on, all of it."""

    resources: dict[str, float]


class EventLogged(msgspec.Struct, array_like=True, gc=False, tag="event"):
    """Something to remember under these topics, and to tell those who subscribed to them."""

    topics: list[str]
    message: Any  # plain values


class WorkerGoodbye(msgspec.Struct, array_like=True, gc=False, tag="bye"):
    reason: str


WorkerToScheduler: TypeAlias = (
    RegisterWorker
    | Finished
    | Failed
    | Rescheduled
    | LongRunning
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

# --------------------------------------------------------------------------- scheduler -> worker


class WorkerWelcome(msgspec.Struct, array_like=True, gc=False, tag="welcome"):
    scheduler: str
    heartbeat_interval: float  # seconds
    forget: list[str] = []  # held keys that nobody wants
    stop: list[str] = []  # running keys that nobody wants
    forget_lives: list[int] = []


class WorkerRejected(msgspec.Struct, array_like=True, gc=False, tag="rejected"):
    """Registration refused (a name that is taken, an incompatible version); the worker closes."""

    reason: str


class Compute(msgspec.Struct, array_like=True, gc=False, tag="run"):
    """Run a task. `deps[i]` is what placeholder i in the pickled arguments stands for."""

    key: str
    run: int
    function: bytes
    args: bytes
    priority: Priority
    duration: float  # estimate, seconds
    wanted: bool  # a client waits for it: send a small result along
    # Tuples, because there is only one that is empty: a decoder makes no object for it.
    deps: tuple[str, ...] = ()
    dep_nbytes: tuple[int, ...] = ()
    dep_holders: tuple[list[str], ...] = ()
    buffers: tuple[Buffer, ...] = ()
    options: TaskOptions | None = None
    # Per dependency its value, where it is small and elsewhere, else None; () when there is none.
    dep_values: tuple[Inline | None, ...] = ()
    life: int = 0
    dep_lives: tuple[int, ...] = ()


class ComputeMany(msgspec.Struct, array_like=True, gc=False, tag="runs"):
    """Run tasks that have nothing but a function and arguments: a `Compute` for each, in columns.

    Their runs are numbered one after the other.
    """

    keys: list[str]
    first_run: int
    function: bytes
    args: list[bytes]
    priorities: list[Priority]
    duration: float  # estimate of each, seconds
    wanted: bool
    life: int = 0  # of all of them


class Free(msgspec.Struct, array_like=True, gc=False, tag="free"):
    """Nobody needs these keys: drop the data; drop the task, or its result if it runs already.

    Of another life than the one named nothing is dropped.
    """

    keys: list[str]
    lives: list[int] = []


class Steal(msgspec.Struct, array_like=True, gc=False, tag="steal"):
    """Give back the tasks that did not start."""

    keys: list[str]


class Acquire(msgspec.Struct, array_like=True, gc=False, tag="acquire"):
    """Fetch copies from peers (replicate, rebalance, retire)."""

    keys: list[str]
    nbytes: list[int]
    holders: list[list[str]]
    lives: list[int] = []
    equal: list[int] = []  # the life under which the worker has equal data already; [] if none has


class CloseWorker(msgspec.Struct, array_like=True, gc=False, tag="close"):
    reason: str
    restart: bool = False  # True: a nanny should start a new process


SchedulerToWorker: TypeAlias = (
    WorkerWelcome
    | WorkerRejected
    | DefineFunctions
    | ForgetFunctions
    | Compute
    | ComputeMany
    | Free
    | Steal
    | Acquire
    | CloseWorker
)
