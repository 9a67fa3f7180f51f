"""The scheduler's pure core: tasks, workers and clients as data, and one `Machine` that changes
them.

Nothing in here may touch a socket, a clock, a thread, a file, a logger, the configuration or a
user's object. See `machine` for the entry point and `transitions.table` for the states of a task.
"""

from shoal.scheduler.core.effects import Effects
from shoal.scheduler.core.events import (
    CancelTasks,
    ClientLost,
    Continue,
    DropCopies,
    FromClient,
    FromWorker,
    HoldersFailed,
    LogEvent,
    Move,
    RestartAll,
    RetireWorkers,
    SetMetadata,
    SetPlugin,
    Tick,
    WorkerLost,
)
from shoal.scheduler.core.machine import Machine
from shoal.scheduler.core.settings import Settings

__all__ = [
    "CancelTasks",
    "ClientLost",
    "Continue",
    "DropCopies",
    "Effects",
    "FromClient",
    "FromWorker",
    "HoldersFailed",
    "LogEvent",
    "Machine",
    "Move",
    "RestartAll",
    "RetireWorkers",
    "SetMetadata",
    "SetPlugin",
    "Settings",
    "Tick",
    "WorkerLost",
]
