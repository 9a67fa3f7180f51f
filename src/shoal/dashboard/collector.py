"""The changes on a scheduler since the last frame, read from counters that it keeps anyway.

A frame looks at so many workers and groups at most, the next ones the next time, so that its cost
does not grow with the cluster. No task is looked at one by one, except those of a sample.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from dask.utils import key_split

from shoal.dashboard.task_sample import Run
from shoal.diagnostics.columns import float32, float64, uint8, uint32

if TYPE_CHECKING:
    from shoal.scheduler.scheduler import Scheduler

__all__ = ["STATES", "WORKER_NUMBERS", "Collector", "fault_of"]

STATES = ("released", "waiting", "no-worker", "queued", "processing", "memory", "erred")

# The columns of a worker's numbers, in the order of `_numbers_of`.
WORKER_NUMBERS = (
    "status",
    "cpu",
    "memory",
    "managed",
    "spilled",
    "unmanaged_old",
    "processing",
    "executing",
    "stored",
    "occupancy",
    "incoming",
    "outgoing",
    "outgoing_bytes",
    "bandwidth",
    "seen",
)
STATUSES = ("running", "paused", "retiring", "closed", "starting")

_SUMMED = ("cpu", "memory", "managed", "spilled", "processing", "occupancy", "executing")
_WORKERS_A_FRAME = 256
_GROUPS_A_FRAME = 512
_FAULTS = 500
_FAULT_TOPICS = ("all", "closing-worker", "worker-status-change", "steal")
_FAULT_ACTIONS = frozenset(
    {"remove-worker", "add-worker", "retire-workers", "leases-expired", "restart", "quarantine"}
)


class Collector:
    """Reads one scheduler.

    Parameters
    ----------
    scheduler : Scheduler
        Which one.
    """

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._workers: dict[str, int] = {}  # address -> its number
        self._worker_rows: dict[int, tuple[float, ...]] = {}
        self._worker_sums = [0.0] * len(WORKER_NUMBERS)
        self._limit = 0  # of the memory of all workers
        self._limits: dict[int, int] = {}
        self._prefixes: dict[str, int] = {}
        self._prefix_rows: dict[int, tuple[float, ...]] = {}
        self._prefix_sums = [0.0] * (len(STATES) + 3)
        self._numbers = 0  # of workers
        self._turn_of_workers: deque[str] = deque()
        self._turn_of_prefixes: deque[str] = deque()
        self._recent: deque[dict[str, Any]] = deque(maxlen=40)  # samples of the last frames
        self._events_seen: dict[str, float] = {}
        self._faults: deque[dict[str, Any]] = deque(maxlen=_FAULTS)
        self._new_faults()

    # -- frames ------------------------------------------------------------------

    def full(self) -> dict[str, Any]:
        """Return all there is, for a viewer that just came."""
        scheduler, history = self._scheduler, self._scheduler.history
        return {
            "kind": "full",
            "now": time.time(),
            "id": scheduler.id,
            "address": scheduler.address_safe,
            "started": scheduler.started_at,
            "states": list(STATES),
            "statuses": list(STATUSES),
            "numbers": list(WORKER_NUMBERS),
            "totals": self._totals(),
            "history": {
                "time": float64(history.times),
                "columns": {name: float32(column) for name, column in history.columns.items()},
            },
            "workers": [self._introduce(address) for address in self._workers],
            "worker_rows": self._packed_workers(self._worker_rows),
            "prefixes": list(self._prefixes),
            "prefix_rows": self._packed_prefixes(self._prefix_rows),
            "streams": list(self._recent),
            "faults": list(self._faults),
        }

    def delta(self, runs: list[Run], seen: int, lag: float) -> dict[str, Any]:
        """Return what changed since the last call.

        Parameters
        ----------
        runs : list of Run
            Runs of tasks that were chosen to be shown.
        seen : int
            How many runs there were, shown or not.
        lag : float
            Seconds by which the scheduler's loop was late just now.
        """
        frame: dict[str, Any] = {
            "kind": "delta",
            "now": time.time(),
            "seen": seen,
            "lag": lag,
            "own": self._own(),
        }
        came, went = self._compare_workers()
        if came:
            frame["came"] = came
        if went:
            frame["went"] = went
        rows = self._changed_workers()
        if rows:
            frame["worker_rows"] = self._packed_workers(rows)
        known = len(self._prefixes)
        changed = self._changed_prefixes()
        if runs:
            frame["stream"] = self._packed_runs(runs)
            self._recent.append(frame["stream"])
        if len(self._prefixes) > known:
            frame["prefixes"] = list(islice(self._prefixes, known, None))
        if changed:
            frame["prefix_rows"] = self._packed_prefixes(changed)
        frame["totals"] = self._totals()
        faults = self._new_faults()
        if faults:
            frame["faults"] = faults
        return frame

    def _totals(self) -> dict[str, float]:
        """Return the sums over the rows that were told, by the names that the history has too."""
        of_worker = dict(zip(WORKER_NUMBERS, self._worker_sums, strict=True))
        by_state = dict(zip(STATES, self._prefix_sums, strict=False))
        state = self._scheduler.state
        return {
            "workers": len(state.workers),
            "threads": state.total_nthreads,
            "clients": sum(client.real for client in state.clients.values()),
            "tasks": len(state.tasks),
            "limit": self._limit,
            "outgoing": of_worker["outgoing_bytes"],
            "waiting": by_state["waiting"] + by_state["queued"] + by_state["no-worker"],
            "stored": by_state["memory"],
            "erred": by_state["erred"],
            **{name: of_worker[name] for name in _SUMMED},
        }

    def _own(self) -> dict[str, float]:
        """Return the numbers of the scheduler's own process."""
        recent = self._scheduler.monitor.recent()
        return {name: value for name, value in recent.items() if name != "time"}

    # -- workers -----------------------------------------------------------------

    def _compare_workers(self) -> tuple[list[dict[str, Any]], list[int]]:
        there = self._scheduler.state.workers
        went = [address for address in self._workers if address not in there]
        gone = []
        for address in went:
            number = self._workers.pop(address)
            _replace(self._worker_sums, self._worker_rows.pop(number, None), None)
            self._limit -= self._limits.pop(number, 0)
            gone.append(number)
        came = []
        if len(there) > len(self._workers):
            for address in there:
                if address not in self._workers:
                    self._workers[address] = self._numbers
                    self._numbers += 1
                    self._turn_of_workers.append(address)
                    told = self._introduce(address)
                    self._limits[told["number"]] = told["limit"]
                    self._limit += told["limit"]
                    came.append(told)
        return came, gone

    def _introduce(self, address: str) -> dict[str, Any]:
        ws = self._scheduler.state.workers.get(address)
        told: dict[str, Any] = {"number": self._workers[address], "address": address}
        if ws is not None:
            told["name"] = str(ws.name)
            told["threads"] = ws.nthreads
            told["limit"] = ws.info.memory_limit or 0
            told["host"] = ws.info.host
            told["pid"] = ws.info.pid
        return told

    def _changed_workers(self) -> dict[int, tuple[float, ...]]:
        turn, there = self._turn_of_workers, self._scheduler.state.workers
        changed: dict[int, tuple[float, ...]] = {}
        for _ in range(min(len(turn), _WORKERS_A_FRAME)):
            address = turn.popleft()
            ws = there.get(address)
            number = self._workers.get(address)
            if ws is None or number is None:
                continue
            turn.append(address)
            row = _numbers_of(ws, self._scheduler.state.now)
            before = self._worker_rows.get(number)
            if before != row:
                _replace(self._worker_sums, before, row)
                self._worker_rows[number] = changed[number] = row
        return changed

    @staticmethod
    def _packed_workers(rows: dict[int, tuple[float, ...]]) -> dict[str, Any]:
        # Bytes are counted exactly; 32 bits of a float hold seven digits of them.
        columns = list(zip(*rows.values(), strict=True)) or [()] * len(WORKER_NUMBERS)
        return {"number": uint32(rows), "columns": [float32(column) for column in columns]}

    # -- prefixes ----------------------------------------------------------------

    def _changed_prefixes(self) -> dict[int, tuple[float, ...]]:
        there, turn = self._scheduler.state.prefixes, self._turn_of_prefixes
        if len(there) > len(turn):
            turn.extend(name for name in there if name not in self._prefixes)
            for name in there:
                self._prefix_number(name)
        changed: dict[int, tuple[float, ...]] = {}
        looked_at = 0
        for _ in range(len(turn)):
            if looked_at >= _GROUPS_A_FRAME:
                break
            name = turn.popleft()
            prefix = there.get(name)
            if prefix is None:
                continue
            turn.append(name)
            looked_at += max(1, len(prefix.groups))
            number = self._prefix_number(name)
            row = _counts_of(prefix)
            before = self._prefix_rows.get(number)
            if before != row:
                _replace(self._prefix_sums, before, row)
                self._prefix_rows[number] = changed[number] = row
        return changed

    def _prefix_number(self, name: str) -> int:
        number = self._prefixes.get(name)
        if number is None:
            number = self._prefixes[name] = len(self._prefixes)
        return number

    @staticmethod
    def _packed_prefixes(rows: dict[int, tuple[float, ...]]) -> dict[str, Any]:
        columns = list(zip(*rows.values(), strict=True)) or [()] * (len(STATES) + 3)
        return {"number": uint32(rows), "columns": [float64(column) for column in columns]}

    # -- runs and faults ---------------------------------------------------------

    def _packed_runs(self, runs: list[Run]) -> dict[str, Any]:
        tasks = self._scheduler.state.tasks
        prefixes = []
        for run in runs:
            ts = tasks.get(run.key)
            name = key_split(run.key) if ts is None else ts.group.prefix.name
            prefixes.append(self._prefix_number(name))
        nobody = 0xFFFFFFFF
        return {
            "worker": uint32(self._workers.get(run.worker, nobody) for run in runs),
            "prefix": uint32(prefixes),
            "start": float64(run.start for run in runs),
            "stop": float64(run.stop for run in runs),
            "nbytes": float64(run.nbytes for run in runs),
            "failed": uint8(run.failed for run in runs),
            "keys": [run.key[:200] for run in runs],
        }

    def _new_faults(self) -> list[dict[str, Any]]:
        state, found = self._scheduler.state, []
        for topic in _FAULT_TOPICS:
            events = state.notes.events.get(topic)
            if not events:
                continue
            last = self._events_seen.get(topic, float("-inf"))
            for when, message in _newer(events, last):
                self._events_seen[topic] = when
                fault = fault_of(self._scheduler.wall_time(when), topic, message)
                if fault is not None:
                    found.append(fault)
        self._faults.extend(found)
        return found


def fault_of(when: float, topic: str, message: Any) -> dict[str, Any] | None:
    """Return what an event tells of workers and faults, None where it tells nothing of them."""
    action = message.get("action") if isinstance(message, dict) else None
    if topic not in _FAULT_TOPICS or (topic == "all" and action not in _FAULT_ACTIONS):
        return None
    return {
        "time": when,
        "topic": topic,
        "action": str(action or topic),
        "worker": str(message.get("worker", "")) if action else "",
        "text": _told(message),
    }


def _replace(
    sums: list[float], before: tuple[float, ...] | None, after: tuple[float, ...] | None
) -> None:
    """Bring sums over rows up to date, one row being replaced."""
    for i in range(len(sums)):
        sums[i] += (after[i] if after else 0) - (before[i] if before else 0)


def _newer(events: Iterable[tuple[float, Any]], last: float) -> list[tuple[float, Any]]:
    newer = []
    for entry in reversed(list(events)):
        if entry[0] <= last:
            break
        newer.append(entry)
    return newer[::-1]


def _told(message: Any) -> str:
    if not isinstance(message, dict):
        return str(message)[:400]
    rest = [f"{k}: {v}" for k, v in message.items() if k not in ("action", "worker")]
    return ", ".join(rest)[:400]


def _numbers_of(ws: Any, now: float) -> tuple[float, ...]:
    metrics = ws.metrics
    transfer = metrics.get("transfer", {})
    status = "retiring" if ws.retiring else ws.status
    return (
        STATUSES.index(status) if status in STATUSES else 0,
        metrics.get("cpu", 0.0),
        metrics.get("memory", 0),
        metrics.get("managed_bytes", 0),
        metrics.get("spilled_bytes", 0),
        metrics.get("unmanaged_old", 0),
        len(ws.processing),
        metrics.get("executing", 0),
        len(ws.held),
        round(max(0.0, ws.occupancy), 3),
        transfer.get("incoming_count", 0),
        transfer.get("outgoing_count", 0),
        transfer.get("outgoing_bytes_total", 0),
        metrics.get("bandwidth", {}).get("total", 0.0),
        round(max(0.0, now - ws.last_seen)),
    )


def _counts_of(prefix: Any) -> tuple[float, ...]:
    row = [0.0] * len(STATES)
    nbytes = 0
    for group in prefix.groups.values():
        nbytes += group.nbytes
        counts = group.counts
        for i, state in enumerate(STATES):
            row[i] += counts[state]
    return (*row, prefix.duration, nbytes, prefix.suspicious)
