"""The scheduler's state: tasks, workers, clients, groups, functions.

Only data and its smallest bookkeeping live here. Its changes are in `transitions`, their causes
in `handlers`, and the choices in `policies`.

Four habits keep a task near 600 bytes and 10 microseconds:

- `wanted_by` and `who_has` are tuples, and the usual one-element tuple is shared
  (`ClientState.alone`, `WorkerState.alone`), so most tasks own no container but their dependencies.
- `waiting_on` and `waiters` are counts; containers exist only where somebody iterates. These are
  dicts and not sets, whose order differs from run to run: the same events must give the same
  effects.
- where there may be a million (`ClientState.wants`, `WorkerState.held`) they are found by a serial
  number: the slots of numbers that follow each other follow each other, too, while those of
  addresses are all over a table that is in no cache.
- what only few tasks have (retries, errors, restrictions at work) is in `Rare`, made when first
  needed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, get_args

from shoal.scheduler.core.log import TransitionLog
from shoal.scheduler.core.state_parts import Departures, GraphOrder, Notes, Outbox, Recovery
from shoal.scheduler.core.task_queue import TaskQueue
from shoal.scheduler.core.task_table import TaskTable
from shoal.wire.messages import TaskOptions

if TYPE_CHECKING:
    from shoal.scheduler.core.journal.recorder import Recorder
    from shoal.scheduler.core.settings import Settings
    from shoal.wire.blob import Blob, Buffer
    from shoal.wire.messages import Inline, Priority, RegisterWorker

__all__ = [
    "ClientState",
    "Coordination",
    "Erred",
    "FunctionState",
    "GroupState",
    "PrefixState",
    "Rare",
    "SchedulerState",
    "StateName",
    "TaskState",
    "WorkerState",
]

NO_OPTIONS = TaskOptions()

StateName: TypeAlias = Literal[
    "released", "waiting", "no-worker", "queued", "processing", "memory", "erred", "forgotten"
]
"""The states of a task; `transitions.table` says what they mean, and which follow which."""

STATES: tuple[StateName, ...] = get_args(StateName)


class FunctionState:
    """A pickled function; kept while a client's connection or a task refers to it."""

    __slots__ = ("blob", "id", "references", "workers")

    def __init__(self, id: bytes, blob: Blob) -> None:
        self.id = id
        self.blob = blob
        self.references = 0  # clients' definitions + tasks
        self.workers: dict[WorkerState, None] = {}  # the workers it was sent to


class PrefixState:
    """All groups whose tasks run the same kind of work; knows how long it takes."""

    __slots__ = (
        "duration",
        "entered",
        "groups",
        "name",
        "nbytes",
        "options",
        "seconds",
        "suspicious",
    )

    def __init__(self, name: str, duration: float, timeout: float = 0.0) -> None:
        self.name = name
        # Of tasks that ask for nothing.
        self.options = TaskOptions(timeout=timeout) if timeout else NO_OPTIONS
        self.duration = duration  # seconds, -1 when unknown
        self.groups: dict[str, GroupState] = {}
        self.suspicious = 0
        # Of groups that are gone: tasks that came into each state, seconds of runs, bytes of
        # results.
        self.entered: dict[str, int] = dict.fromkeys(STATES, 0)
        self.seconds = 0.0
        self.nbytes = 0

    @property
    def counts(self) -> dict[str, int]:
        """Number of tasks per state."""
        total: dict[str, int] = {}
        for group in self.groups.values():
            for state, n in group.counts.items():
                total[state] = total.get(state, 0) + n
        return total


class GroupState:
    """Tasks that were made together, such as the chunks of one array operation."""

    __slots__ = (
        "created",
        "duration",
        "entered",
        "left",
        "name",
        "nbytes",
        "prefix",
        "size",
        "stop",
        "types",
    )

    def __init__(self, name: str, prefix: PrefixState, now: float) -> None:
        self.name = name
        self.prefix = prefix
        self.created = now
        self.stop = 0.0  # when the last run ended
        self.size = 0  # tasks that are known now
        # Tasks that came into each state, and that left it: the difference is how many are there.
        # So each change of a state is counted as cheaply as `counts` would be, and for ever.
        self.entered = dict.fromkeys(STATES, 0)
        self.left = dict.fromkeys(STATES, 0)
        self.nbytes = 0  # of all results so far
        self.duration = 0.0  # of all runs so far
        self.types: set[str] = set()

    @property
    def counts(self) -> dict[str, int]:
        """Number of tasks per state."""
        left = self.left
        return {state: n - left[state] for state, n in self.entered.items()}


class Erred:
    """Why a task failed."""

    __slots__ = ("exception", "exception_text", "traceback", "traceback_text", "worker")

    def __init__(
        self,
        exception: Blob,
        traceback: Blob,
        exception_text: str,
        traceback_text: str,
        worker: str,
    ) -> None:
        self.exception = exception
        self.traceback = traceback
        self.exception_text = exception_text
        self.traceback_text = traceback_text
        self.worker = worker


class Rare:
    """The attributes that only few tasks have."""

    __slots__ = (
        "alone",
        "avoid",
        "blame",
        "deaths",
        "error",
        "kept_run",
        "long_running",
        "metadata",
        "retries_used",
        "thief",
        "unrunnable_since",
        "wake_at",
    )

    def __init__(self) -> None:
        self.retries_used = 0
        self.deaths: list[tuple[str, str]] = []  # (worker, how it died) while it ran this task
        self.alone = False  # it runs with nothing else on its worker: see `policies.blame`
        self.error: Erred | None = None
        self.blame = ""  # the key whose run failed: this one, or one it depends on
        self.avoid: WorkerState | None = None  # where it should rather not run next
        self.thief: WorkerState | None = None  # gets it once the victim gives it back
        self.long_running = False
        self.kept_run = -1  # the run that its worker did not give back
        self.unrunnable_since = 0.0
        self.wake_at = 0.0  # not placed before
        self.metadata: dict[str, Any] | None = None


class TaskState:
    """One task. See the module's docstring for why it looks the way it does."""

    __slots__ = (
        "args",
        "buffers",
        "dependents",
        "deps",
        "estimate",
        "function",
        "group",
        "hint",
        "key",
        "life",
        "nbytes",
        "options",
        "priority",
        "rare",
        "run",
        "serial",
        "state",
        "type",
        "unsent",
        "value",
        "waiters",
        "waiting_on",
        "wanted_by",
        "who_has",
        "worker",
    )

    def __init__(
        self, key: str, group: GroupState, priority: Priority, serial: int, life: int = 0
    ) -> None:
        self.key = key
        self.life = life  # see `handlers.lives`; 0: nobody has said it yet
        self.serial = serial  # in large tables it is found by this: see the module's docstring
        self.state: StateName = "released"
        self.group = group
        self.priority = priority
        self.function: FunctionState | None = None  # None: data that cannot be computed here
        self.args = b""
        self.buffers: list[Buffer] | None = None
        self.deps: tuple[TaskState, ...] = ()
        self.dependents: dict[TaskState, None] | None = None
        self.waiting_on = 0  # dependencies that are not in memory, while waiting
        self.unsent = 0  # of these, how many were with no worker yet; a hint
        self.waiters = 0  # dependents that are waiting, ready or processing
        self.wanted_by: tuple[ClientState, ...] = ()
        self.who_has: tuple[WorkerState, ...] = ()
        # Where it is processing, or was sent ahead of its inputs, or whose queue it is in.
        self.worker: WorkerState | None = None
        self.run = 0
        self.estimate = 0.0  # seconds, as counted in the worker's occupancy
        self.nbytes = -1
        self.type = ""
        self.value: Inline | None = None  # of a small result in memory that others wait for
        self.options: TaskOptions = NO_OPTIONS
        self.hint: WorkerState | None = None  # where a sibling of its inputs went
        self.rare: Rare | None = None

    def __repr__(self) -> str:
        return f"<TaskState {self.key!r} {self.state}>"

    @property
    def needed(self) -> bool:
        """Whether a client or a dependent waits for the result."""
        return bool(self.wanted_by) or self.waiters > 0

    @property
    def begun(self) -> bool:
        """Whether its worker said that it began: it seceded, or was not given back."""
        rare = self.rare
        return rare is not None and (rare.long_running or rare.kept_run == self.run)

    def rarities(self) -> Rare:
        """Return the rare attributes, made at first use."""
        if self.rare is None:
            self.rare = Rare()
        return self.rare


class WorkerState:
    """One worker as the scheduler sees it."""

    __slots__ = (
        "address",
        "ahead",
        "ahead_work",
        "alone",
        "close_when_retired",
        "executing",
        "free_lives",
        "frees",
        "held",
        "held_since",
        "info",
        "joined",
        "last_seen",
        "long_running",
        "look_again",
        "metrics",
        "must_go",
        "name",
        "nbytes",
        "nthreads",
        "occupancy",
        "out",
        "pending",
        "processing",
        "queue",
        "queued_work",
        "retire_until",
        "retiring",
        "returning",
        "status",
        "told_at",
        "urgent",
        "used_functions",
    )

    def __init__(self, info: RegisterWorker, now: float) -> None:
        self.address = info.address
        self.name = info.name
        self.nthreads = info.nthreads
        self.info = info
        self.status = info.status
        self.alone = (self,)
        self.joined = now
        self.last_seen = now
        self.processing: dict[TaskState, None] = {}  # in the order of assignment
        self.ahead: dict[TaskState, None] = {}  # sent while they wait for inputs computed here
        self.ahead_work = 0.0  # estimated seconds of these
        self.long_running: set[TaskState] = set()
        self.held: dict[int, TaskState] = {}  # results that are there, by serial number
        self.nbytes = 0
        self.occupancy = 0.0  # estimated seconds of work in `processing`
        self.queue = TaskQueue()  # tasks that wait in the scheduler for this worker
        self.queued_work = 0.0  # estimated seconds in `queue`
        self.retiring = False
        self.close_when_retired = False
        self.must_go = False  # at `retire_until`, also with results that could not move
        self.retire_until = 0.0
        self.look_again = 0.0  # when its results are looked through next, while it retires
        self.returning: set[TaskState] = set()  # asked back with `Steal`, not answered yet
        self.pending: dict[TaskState, None] = {}  # copies asked for with `Acquire`
        self.used_functions: set[FunctionState] = set()
        self.metrics: dict[str, Any] = {}
        self.told_at = now  # when it said so
        self.executing: dict[str, float] = {}
        self.out: list[Any] = []  # messages of the event at work
        self.frees: list[str] = []  # keys for the next Free
        self.free_lives: list[int] = []  # and their lives
        self.urgent = False  # which must not wait: see `collect`
        self.held_since = 0.0  # when the first of them began to wait

    def __repr__(self) -> str:
        return f"<WorkerState {self.address!r} {self.status} processing={len(self.processing)}>"

    @property
    def has_what(self) -> Collection[TaskState]:
        """The results that it holds."""
        return self.held.values()

    @property
    def running(self) -> bool:
        """Whether it takes new tasks."""
        return self.status == "running" and not self.retiring


class ClientState:
    """One client as the scheduler sees it."""

    __slots__ = (
        "alone",
        "defined",
        "done_holders",
        "done_keys",
        "done_types",
        "done_values",
        "heard",
        "id",
        "last_seen",
        "name",
        "out",
        "real",
        "versions",
        "wants",
    )

    def __init__(self, id: str, now: float, name: str | None = None, real: bool = True) -> None:
        self.id = id
        self.real = real  # False: not a connection, nobody to tell
        self.name = name
        self.versions: dict[str, Any] = {}
        self.alone = (self,)
        self.wants: dict[int, TaskState] = {}  # by serial number
        self.defined: dict[bytes, FunctionState] = {}
        self.last_seen = now
        self.heard = 0  # the last `told` of its messages
        self.out: list[Any] = []
        self.done_keys: list[str] = []  # columns of the KeysInMemory at work
        self.done_types: list[str] = []
        self.done_values: list[Inline | None] = []
        self.done_holders: list[str] = []

    def __repr__(self) -> str:
        return f"<ClientState {self.id!r} wants={len(self.wants)}>"


class Coordination(Protocol):
    """`core.coordination.state.CoordinationState`, as those know it who keep lives of keys."""

    @property
    def retaining_client(self) -> ClientState:
        """The client that does not exist, and wants what is in queues and variables."""


class SchedulerState:
    """All of it, and the worklists of the event at work."""

    __slots__ = (
        "adopted",
        "adopted_until",
        "ahead_candidates",
        "aliases",
        "budget",
        "clientless_since",
        "clients",
        "coordination",
        "crowded",
        "departures",
        "fire_and_forget",
        "functions",
        "groups",
        "hosts",
        "id",
        "idle",
        "idle_since",
        "inbox",
        "last_serial",
        "loaded",
        "log",
        "next_run",
        "notes",
        "now",
        "open",
        "order",
        "outbox",
        "parked",
        "pinned",
        "prefixes",
        "queue",
        "ready",
        "recorded",
        "recorder",
        "recovery",
        "refill",
        "replicated",
        "restrictions",
        "settings",
        "sleeping",
        "started",
        "stimuli",
        "stimulus",
        "task_memory",
        "tasks",
        "total_nthreads",
        "touched_workers",
        "unneeded",
        "unrunnable",
        "watch",
        "work",
        "workers",
    )

    def __init__(
        self, settings: Settings, scheduler_id: str, started: float, first_run: int
    ) -> None:
        self.settings = settings
        self.id = scheduler_id
        self.started = started
        self.now = started
        self.tasks = TaskTable()
        self.workers: dict[str, WorkerState] = {}
        self.aliases: dict[str, str] = {}  # worker name -> address
        self.hosts: dict[str, dict[str, None]] = {}  # host -> addresses
        self.clients: dict[str, ClientState] = {}
        self.functions: dict[bytes, FunctionState] = {}
        self.prefixes: dict[str, PrefixState] = {}
        self.groups: dict[str, GroupState] = {}
        # Clients that are not connections: they keep what would otherwise be dropped.
        self.fire_and_forget = ClientState("fire-and-forget", started, real=False)
        self.adopted = ClientState("adopted", started, real=False)
        self.adopted_until: dict[str, float] = {}
        self.recorder: Recorder | None = None  # where there is a journal
        self.recorded: dict[int, Any] = {}  # the tasks in it, by serial number; empty without one
        self.coordination: Coordination | None = None  # made when a client uses a primitive

        self.queue = TaskQueue()  # ready tasks that may run anywhere
        self.replicated: dict[TaskState, None] = {}  # results with several copies, and maybe others
        self.pinned: dict[str, int] = {}  # how many copies users want, by key
        self.parked = 0  # ready tasks in the workers' own queues
        self.crowded: dict[WorkerState, None] = {}  # workers with such a queue
        self.loaded: dict[WorkerState, None] = {}  # workers that hold more tasks than threads
        self.unrunnable: dict[TaskState, None] = {}  # "no-worker"
        self.sleeping: dict[TaskState, None] = {}  # ready, but not before their `wake_at`
        self.open: dict[WorkerState, None] = {}  # workers with room, emptiest first more or less
        self.idle: dict[WorkerState, None] = {}  # workers with a thread that has nothing to do
        self.refill: dict[WorkerState, None] = {}  # workers with room, and with a queue
        self.total_nthreads = 0

        self.next_run = first_run
        self.recovery = Recovery()
        self.last_serial = 0  # of the tasks ever made
        self.order = GraphOrder()
        self.departures = Departures()
        self.idle_since: float | None = started
        self.clientless_since: float | None = started  # kept where there is a timeout for it

        self.restrictions: dict[int, tuple[TaskOptions, dict[WorkerState, None] | None]] = {}
        self._make_worklists()
        self.stimulus = ""
        self.stimuli = 0
        self.log = TransitionLog(settings.log_length)
        self.watch: Any = None  # called with (task, start, finish) where somebody asked for it
        self.notes = Notes()
        # By prefix: of how many runs the memory was looked at, and how far a process grew at most.
        self.task_memory: dict[str, tuple[int, int]] = {}

    def _make_worklists(self) -> None:
        """Set up what is filled and emptied within events, or a few of them."""
        # The work that is left to do; see `slices`. Small things are done when an event ends.
        self.budget = self.settings.slice  # tasks that this turn may still touch
        self.ready: list[TaskState] = []  # found ready, to be placed
        self.ahead_candidates: list[TaskState] = []  # may be sent ahead of their inputs
        self.unneeded: list[TaskState] = []  # lost their last user, to be dropped
        self.work: deque[Iterator[int]] = deque()  # large changes under way
        self.inbox: deque[tuple[ClientState, list[Any]]] = deque()  # batches that wait
        self.touched_workers: dict[WorkerState, None] = {}
        self.outbox = Outbox()

    def group(self, name: str, prefix: str) -> GroupState:
        """Return the group of that name, made at first use."""
        group = self.groups.get(name)
        if group is None:
            prefix_state = self.prefixes.get(prefix)
            if prefix_state is None:
                duration = self.settings.default_task_durations.get(prefix, -1.0)
                timeout = self.settings.task_timeouts.get(prefix, 0.0)
                prefix_state = self.prefixes[prefix] = PrefixState(prefix, duration, timeout)
            group = self.groups[name] = GroupState(name, prefix_state, self.now)
            prefix_state.groups[name] = group
        return group

    def log_event(self, topic: str, message: Any) -> None:
        """Remember something for `get_events`."""
        notes = self.notes
        events = notes.events.get(topic)
        if events is None:
            events = notes.events[topic] = deque(maxlen=self.settings.events_length)
        events.append((self.now, message))
        if self.recorder is not None:
            self.recorder.log(topic, self.now, message, self.settings.events_length)
        if notes.heard is not None:
            notes.heard.append((topic, self.now, message))
