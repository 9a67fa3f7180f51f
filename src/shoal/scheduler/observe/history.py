"""The last hour of a cluster as columns of numbers, in bounded memory, looked at or not.

A row costs the sums over the workers, once every two seconds.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.scheduler.core.state import SchedulerState

__all__ = ["COLUMNS", "History", "measure"]

COLUMNS = (
    "workers",
    "threads",
    "cpu",  # percent of one core, all workers together
    "memory",  # bytes, likewise; so are the next three
    "managed",
    "spilled",
    "limit",
    "processing",  # tasks
    "waiting",
    "stored",
    "erred",
    "occupancy",  # seconds of work that are assigned
    "outgoing",  # bytes that workers sent to each other so far
)

_INTERVAL = 2.0
_ROWS = 1800


def measure(state: SchedulerState) -> dict[str, float]:
    """Return a row: the totals of this moment."""
    row = dict.fromkeys(COLUMNS, 0.0)
    row["workers"] = len(state.workers)
    row["threads"] = state.total_nthreads
    for ws in state.workers.values():
        metrics = ws.metrics
        row["cpu"] += metrics.get("cpu", 0)
        row["memory"] += metrics.get("memory", 0)
        row["managed"] += metrics.get("managed_bytes", 0)
        row["spilled"] += metrics.get("spilled_bytes", 0)
        row["limit"] += ws.info.memory_limit or 0
        row["occupancy"] += max(0.0, ws.occupancy)
        row["processing"] += len(ws.processing)
        row["outgoing"] += metrics.get("transfer", {}).get("outgoing_bytes_total", 0)
    for group in state.groups.values():
        counts = group.counts
        row["waiting"] += counts["waiting"] + counts["queued"] + counts["no-worker"]
        row["stored"] += counts["memory"]
        row["erred"] += counts["erred"]
    return row


class History:
    """Rows of the last hour.

    Parameters
    ----------
    state_of : callable
        Returns the state whose history it is.

    Attributes
    ----------
    times : array
        Seconds since the epoch, oldest first.
    columns : dict of array
        The numbers at these times, by the names in `COLUMNS`.
    """

    def __init__(self, state_of: Callable[[], SchedulerState]) -> None:
        self._state_of = state_of
        self.times = array("d")
        self.columns = {name: array("f") for name in COLUMNS}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self.times)

    def start(self) -> None:
        """Begin to record, on the running loop."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(_INTERVAL, self._again)

    def stop(self) -> None:
        """Record no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self) -> None:
        self._timer = None
        self.add(time.time(), measure(self._state_of()))
        self.start()

    def add(self, when: float, row: dict[str, float]) -> None:
        """Add a row; the oldest ones go, a twentieth at a time, when there are too many."""
        if len(self.times) >= _ROWS:
            for column in (self.times, *self.columns.values()):
                del column[: _ROWS // 20]
        self.times.append(when)
        for name, column in self.columns.items():
            column.append(row[name])
