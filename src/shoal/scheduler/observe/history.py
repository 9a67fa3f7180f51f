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
    from collections.abc import Iterable

    from shoal.scheduler.core.state import GroupState, SchedulerState

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
_AT_ONCE = 2000  # groups


def measure(state: SchedulerState, tasks: tuple[int, int, int] | None = None) -> dict[str, float]:
    """Return a row: the totals of this moment.

    Parameters
    ----------
    tasks : tuple of int, optional
        How many tasks wait, are stored and failed, where that is known already.
    """
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
    row["waiting"], row["stored"], row["erred"] = tasks or _count(state.groups.values())
    return row


def _count(groups: Iterable[GroupState]) -> tuple[int, int, int]:
    """Return how many tasks of groups wait, are stored and failed."""
    waiting = stored = erred = 0
    for group in groups:
        came, left = group.entered, group.left
        for state in ("waiting", "queued", "no-worker"):
            waiting += came[state] - left[state]
        stored += came["memory"] - left["memory"]
        erred += came["erred"] - left["erred"]
    return waiting, stored, erred


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
        # Where there are many groups: those to be looked at yet, sums so far, and the last ones.
        self._groups: list[GroupState] = []
        self._so_far = self._sums = (0, 0, 0)

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
        state = self._state_of()
        self.add(time.time(), measure(state, self._tasks(state)))
        self.start()

    def _tasks(self, state: SchedulerState) -> tuple[int, int, int]:
        """Return what `_count` says; of many groups in turns, so that the loop is not held up."""
        if len(state.groups) <= _AT_ONCE:
            return _count(state.groups.values())
        if not self._groups:
            self._groups, self._so_far = list(state.groups.values()), (0, 0, 0)
        found = _count(self._groups[-_AT_ONCE:])
        del self._groups[-_AT_ONCE:]
        a, b = self._so_far, found
        self._so_far = a[0] + b[0], a[1] + b[1], a[2] + b[2]
        if not self._groups:
            self._sums = self._so_far
        return self._sums

    def add(self, when: float, row: dict[str, float]) -> None:
        """Add a row; the oldest ones go, a twentieth at a time, when there are too many."""
        if len(self.times) >= _ROWS:
            for column in (self.times, *self.columns.values()):
                del column[: _ROWS // 20]
        self.times.append(when)
        for name, column in self.columns.items():
            column.append(row[name])
