"""The worker's state: tasks, data, fetches under way, resources. No logic."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from shoal._base.resources import offered
from shoal.worker.core.budget import Budget

if TYPE_CHECKING:
    from shoal.wire.messages import Compute, Priority
    from shoal.worker.core.effects import Effects
    from shoal.worker.core.settings import Settings

__all__ = ["Flight", "Limit", "MissingKey", "Need", "Peer", "RunState", "TaskRun", "WorkerState"]

Need: TypeAlias = tuple[tuple[str, float], ...]
"""Resources of a task, sorted by name; tasks with equal needs wait in one heap."""

RunState: TypeAlias = Literal[
    "waiting",
    "constrained",
    "held",
    "ready",
    "returning",
    "recalled",
    "long-running",
    "orphaned",
    "ended",
]
"""The states of a run; `transitions.TRANSITIONS` says which follow which."""


class TaskRun(msgspec.Struct, gc=False, eq=False):
    """One assignment of a task to this worker.

    The executor knows it by identity and changes nothing of it. The task's definition is in
    `compute`, the scheduler's message; key and run are the same as there.
    """

    compute: Compute
    key: str
    run: int
    state: RunState = "ready"
    lacking: int = 0  # dependencies that are being fetched
    need: Need = ()  # resources; taken in the states that transitions.py names

    def __repr__(self) -> str:
        return f"<TaskRun {self.key!r} run {self.run}, {self.state}>"


class MissingKey:
    """A key that is not here and should be: what is tried to get it, and for whom."""

    __slots__ = (
        "absent",
        "acquire",
        "flight",
        "here",
        "holders",
        "key",
        "life",
        "nbytes",
        "peer",
        "priority",
        "retries",
        "tasks",
        "unreachable",
        "waits_for_retry",
    )

    def __init__(
        self, key: str, nbytes: int, priority: tuple[float, int, int], life: int = 0
    ) -> None:
        self.key = key
        self.life = life
        self.nbytes = nbytes
        self.priority = priority
        self.holders: list[str] = []  # not tried yet
        self.absent: list[str] = []
        self.unreachable: list[str] = []
        self.tasks: dict[TaskRun, None] = {}
        self.acquire = False  # the scheduler asked for a copy
        self.peer: Peer | None = None  # the peer whose queue or request it is in
        self.flight: Flight | None = None  # the request it is part of
        self.here = False  # a run of this worker computes it; nobody is asked
        self.retries = 0
        self.waits_for_retry = False

    def __repr__(self) -> str:
        return f"<MissingKey {self.key!r}, {self.nbytes} bytes, for {len(self.tasks)} tasks>"


class Flight:
    """One request under way to a peer. It outlives missing_keys that are given up meanwhile."""

    __slots__ = ("keys", "lives", "peer")

    def __init__(self, peer: Peer, keys: dict[str, int], lives: dict[str, int]) -> None:
        self.peer = peer
        self.keys = keys  # not answered yet, with their sizes
        self.lives = lives  # of these keys; 0 stands for any


class Peer:
    """A worker that data is fetched from; known only while something is."""

    __slots__ = ("address", "assigned", "flights", "queue")

    def __init__(self, address: str) -> None:
        self.address = address
        self.queue: list[
            tuple[tuple[float, int, int], int, MissingKey]
        ] = []  # a heap; may hold stale ones
        self.assigned = 0  # bytes queued and in flight
        self.flights: list[Flight] = []


class Limit:
    """A run whose code is to be stopped at some time, or was to stop and goes on."""

    __slots__ = ("due", "interrupted", "since", "task", "where", "why")

    def __init__(self, task: TaskRun, why: str, since: float, due: float) -> None:
        self.task = task
        self.why = why
        self.since = since  # when it began
        self.due = due  # when it is to be stopped, or given up
        self.interrupted = False  # its executor was told to stop it
        self.where = "(unknown)"  # the stack of its code then


class WorkerState:
    """All of it. `effects` and `now` are those of the event that is being handled."""

    __slots__ = (
        "also",
        "available",
        "budget",
        "closing",
        "connected",
        "constrained",
        "data",
        "effects",
        "fetching_bytes",
        "functions",
        "guard",
        "landed",
        "limits",
        "missed",
        "missing_keys",
        "next_limit",
        "now",
        "orphans",
        "paused",
        "peers",
        "replacing",
        "requests",
        "resources",
        "retries",
        "scattered",
        "serial",
        "settings",
        "spilling",
        "stuck_since",
        "tasks",
        "unmade",
    )

    def __init__(self, settings: Settings, effects: Effects) -> None:
        self.settings = settings
        self.effects = effects
        self.now = 0.0
        self.connected = False
        self.paused = False
        self.spilling = False  # the process passed `memory_spill` and is not below target yet
        self.stuck_since: float | None = None  # paused, with nothing that could free memory
        self.budget = Budget(settings)
        self.guard: Budget | None = None  # the budget, while memory is short
        self.requests = 0  # tasks that ask for memory themselves
        self.closing = False
        self.tasks: dict[str, TaskRun] = {}
        # By key and run: discarded, not known to have ended.
        self.orphans: dict[tuple[str, int], TaskRun] = {}
        self.limits: dict[int, Limit] = {}  # by run: those that are, or may have to be, stopped
        self.next_limit = inf  # when the first of them is due, or earlier
        self.replacing = False  # this process makes room for another
        self.data: dict[str, tuple[int, str, int]] = {}  # by key in the store: size, type, life
        self.also: dict[str, set[int]] = {}  # other lives of which it is a copy, for it is equal
        self.scattered: dict[str, None] = {}  # keys that a client put here
        self.functions: set[bytes] = set()
        self.resources = offered(settings.resources, settings.memory_limit)
        self.available = dict(self.resources)  # below zero: fewer than are taken
        self.constrained: dict[Need, list[tuple[Priority, int, TaskRun]]] = {}
        self.missing_keys: dict[str, MissingKey] = {}
        self.peers: dict[str, Peer] = {}
        self.fetching_bytes = 0
        self.retries: list[
            tuple[float, int, MissingKey]
        ] = []  # a heap of what is tried again, and when
        self.serial = 0  # breaks ties in heaps, and which of equal holders is asked
        self.landed: list[str] = []  # fetched in this event, to be acquired in one message
        self.unmade: list[str] = []  # runs that ended without the result that others wait for
        self.missed: list[tuple[str, int]] = []  # copies that could not be had, in this event
