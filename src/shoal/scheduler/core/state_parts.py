"""The named parts of `SchedulerState`: what belongs together there, and is not used for each task.

Only data lives here. Attributes that every task needs stay in `SchedulerState` itself, as each step
on the way to an attribute is paid for a million times.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.scheduler.core.state import ClientState, TaskState, WorkerState
    from shoal.wire.blob import Blob

__all__ = ["Departures", "GraphOrder", "Notes", "Outbox", "Recovery"]


class Recovery:
    """Claims of peers that others have not confirmed yet: mostly after a restart of the scheduler.

    Attributes
    ----------
    until : float or None
        The end of the recovery window; None while nobody is waited for.
    client_came_back : bool
        A client of before is there, so it is known which workers there were.
    expected_workers : set of str
        Addresses of workers that clients knew, and that are not back.
    awaited : dict
        Data that a worker may bring or a client may define, and until when that is waited for.
    patient_until : float or None
        The same time for the data of the worker that is being lost.
    reported : dict
        By key, what workers run that no client has defined: the worker, the run, its life.
    reported_until : float
        When that is given up.
    unclaimed : dict
        Results whose life only the workers have named that brought them.
    puts : dict
        Lives under which workers were given data, and whether the client that gave it said so.
    """

    __slots__ = (
        "awaited",
        "client_came_back",
        "expected_workers",
        "patient_until",
        "puts",
        "reported",
        "reported_until",
        "unclaimed",
        "until",
    )

    def __init__(self) -> None:
        self.until: float | None = None
        self.client_came_back = False
        self.expected_workers: set[str] = set()
        self.awaited: dict[TaskState, float] = {}
        self.patient_until: float | None = None
        self.reported: dict[str, tuple[WorkerState, int, int]] = {}
        self.reported_until = 0.0
        self.unclaimed: dict[TaskState, None] = {}
        self.puts: dict[TaskState, dict[int, bool]] = {}


class Departures:
    """Workers that leave.

    Attributes
    ----------
    retiring : dict
        Workers whose data is moved away before they close.
    lifetimes : dict
        When a worker wants to retire.
    first_lifetime : float
        The first of these times, or that of a worker that is gone.
    leaving : dict
        Addresses of workers that said goodbye, and why.
    """

    __slots__ = ("first_lifetime", "leaving", "lifetimes", "retiring")

    def __init__(self) -> None:
        self.retiring: dict[WorkerState, None] = {}
        self.lifetimes: dict[WorkerState, float] = {}
        self.first_lifetime = 0.0
        self.leaving: dict[str, str] = {}


class Outbox:
    """The messages and effects of the event at work, for peers and for the shell.

    Attributes
    ----------
    clients : dict
        Clients that are told something. Workers are in `SchedulerState.touched_workers`.
    holding : dict
        Workers whose `frees` wait for a later message, in the order of time.
    stale_functions : dict
        Ids of functions that workers are to forget.
    close_workers, rejected, left_clients, retired, not_retired : list
        Fields of `Effects`.
    """

    __slots__ = (
        "clients",
        "close_workers",
        "holding",
        "left_clients",
        "not_retired",
        "rejected",
        "retired",
        "stale_functions",
    )

    def __init__(self) -> None:
        self.clients: dict[ClientState, None] = {}
        self.holding: dict[WorkerState, None] = {}
        self.stale_functions: dict[WorkerState, list[bytes]] = {}
        self.close_workers: list[tuple[str, str]] = []
        self.rejected: list[tuple[str, str]] = []
        self.left_clients: list[str] = []
        self.retired: list[str] = []
        self.not_retired: list[tuple[str, str]] = []


class GraphOrder:
    """In which order graphs run that came one after the other.

    Attributes
    ----------
    generation : int
        The graphs that came within `fifo_timeout` of each other are one.
    generation_started : float
        When the present one began.
    positions : int
        How many tasks of it came without a position of their own.
    """

    __slots__ = ("generation", "generation_started", "positions")

    def __init__(self) -> None:
        self.generation = 0
        self.generation_started = float("-inf")
        self.positions = 0


class Notes:
    """Records for people, which no decision uses.

    Attributes
    ----------
    events : dict
        The last events by topic: (time, message).
    metadata : dict
        Users' notes; those under a task's key go with the task.
    heard : list or None
        Where somebody listens: (topic, time, message) of events since they were last told.
    killed : int
        Tasks that were given up as `KilledWorker`.
    plugins : dict
        Where there is a journal, clients' plugins by their kind and name: opaque.
    stolen : dict
        Runs asked back from workers: how often, and seconds, by level (`policies.stealing`).
    """

    __slots__ = ("events", "heard", "killed", "metadata", "plugins", "stolen")

    def __init__(self) -> None:
        self.events: dict[str, deque[tuple[float, Any]]] = {}
        self.metadata: dict[str, Any] = {}
        self.plugins: dict[tuple[str, str], Blob] = {}
        self.heard: list[tuple[str, float, Any]] | None = None
        self.stolen: dict[int, list[float]] = {}
        self.killed = 0
