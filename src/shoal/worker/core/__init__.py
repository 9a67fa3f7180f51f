"""The worker's pure core: runs, data and fetches as books, and one `Machine` that keeps them.

Nothing in here may touch a socket, a clock, a thread, a file, a logger, the configuration or a
user's object. See `machine` for the entry point and `transitions` for the states of a run.
"""

from shoal.worker.core.effects import Effects, Fetch, Registration
from shoal.worker.core.events import (
    Close,
    Connected,
    DataAdded,
    DataLost,
    Disconnected,
    Evicted,
    Fetched,
    FetchFailed,
    FromScheduler,
    Interrupted,
    MemoryMeasured,
    Outcome,
    Outcomes,
    ResourcesSet,
    Revoked,
    Seceded,
    Started,
    Tick,
)
from shoal.worker.core.machine import Machine
from shoal.worker.core.settings import Settings
from shoal.worker.core.state import TaskRun

__all__ = [
    "Close",
    "Connected",
    "DataAdded",
    "DataLost",
    "Disconnected",
    "Effects",
    "Evicted",
    "Fetch",
    "FetchFailed",
    "Fetched",
    "FromScheduler",
    "Interrupted",
    "Machine",
    "MemoryMeasured",
    "Outcome",
    "Outcomes",
    "Registration",
    "ResourcesSet",
    "Revoked",
    "Seceded",
    "Settings",
    "Started",
    "TaskRun",
    "Tick",
]
