"""A worker's reports of itself to the scheduler: when it joins, and then once a second or so."""

from __future__ import annotations

import inspect
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from shoal import config
from shoal._base.process_memory import taken
from shoal.wire.plain import plain

if TYPE_CHECKING:
    import psutil

    from shoal.worker.executor.pool import ThreadPool
    from shoal.worker.memory_watch import MemoryWatch
    from shoal.worker.store import Store
    from shoal.worker.transfers import Transfers

__all__ = ["DEFAULT_METRICS", "DEFAULT_STARTUP_INFORMATION", "Report"]

logger = logging.getLogger("shoal.worker")

# For packages to add to: functions that all workers of a process call, by name.
DEFAULT_METRICS: dict[str, Callable[[Any], Any]] = {}
DEFAULT_STARTUP_INFORMATION: dict[str, Callable[[Any], Any]] = {}


class ReportHost(Protocol):
    """A worker, as it is measured; the functions of users get the whole."""

    pool: ThreadPool
    store: Store
    transfers: Transfers
    memory_watch: MemoryWatch
    _process: psutil.Process


class Report:
    """The reports of one worker.

    Parameters
    ----------
    worker : Worker
        The worker.
    metrics, startup_information : mapping, optional
        Functions of the user's, by the name under which what they return is told.

    Attributes
    ----------
    interval : float
        Seconds between two heartbeats.
    latency : float
        Seconds that a question to the scheduler took when the worker joined.
    """

    def __init__(
        self,
        worker: ReportHost,
        metrics: Mapping[str, Callable[[Any], Any]] | None,
        startup_information: Mapping[str, Callable[[Any], Any]] | None,
    ) -> None:
        self._worker = worker
        self.metrics = {**DEFAULT_METRICS, **(metrics or {})}
        self.startup_information = {**DEFAULT_STARTUP_INFORMATION, **(startup_information or {})}
        self.interval = 1.0
        self.latency = 0.0
        self._old = config.get_seconds("distributed.worker.memory.recent-to-old-time")
        self._unmanaged: deque[tuple[float, int]] = deque()  # when, and how much
        self._failed: set[str] = set()

    def own(self) -> dict[str, Any]:
        """Return what people want to know of a worker at work."""
        worker = self._worker
        process = worker._process
        store, pool, transfers = worker.store, worker.pool, worker.transfers
        memory = taken()
        return {
            "time": time.time(),
            "cpu": process.cpu_percent(),
            "memory": memory,
            "managed_bytes": store.memory_bytes,
            "spilled_bytes": store.disk_bytes,
            "unmanaged_old": self._least_unmanaged(memory - store.memory_bytes),
            "held": worker.memory_watch.held(),
            "task_memory": worker.memory_watch.take_prefixes(),
            "executing": pool.executing,
            "ready": pool.ready,
            "in_memory": len(store),
            "bandwidth": {
                "total": self.bandwidth(),
                "types": transfers.incoming.bandwidths_by_kind(),
            },
            "transfer": {
                "incoming_count": transfers.incoming.active,
                "incoming_count_total": transfers.incoming.count,
                "outgoing_count": transfers.outgoing.active,
                "outgoing_count_total": transfers.outgoing.count,
                "outgoing_bytes_total": transfers.outgoing.nbytes,
                "seconds": transfers.incoming.seconds,
            },
            "num_fds": process.num_fds() if hasattr(process, "num_fds") else 0,
        }

    def _least_unmanaged(self, now_used: int) -> int:
        """Return the least of what was used beside results in the time that counts as recent."""
        now = time.monotonic()
        seen = self._unmanaged
        while seen and seen[0][0] < now - self._old:
            seen.popleft()
        # A sample that is larger than a later one is never the least again.
        while seen and seen[-1][1] >= now_used:
            seen.pop()
        seen.append((now, now_used))
        return max(0, seen[0][1])

    def bandwidth(self) -> float:
        """Return the mean of bytes a second that came; before there were any, what is assumed."""
        known = self._worker.transfers.incoming.bandwidths().values()
        if not known:
            return float(config.get_bytes("distributed.scheduler.bandwidth"))
        return sum(known) / len(known)

    async def measure(self) -> dict[str, Any]:
        """Return what is told with a heartbeat: the worker's own numbers and the user's."""
        found = self.own()
        if self.metrics:
            for name, value in (await self._ask(self.metrics)).items():
                if name not in found or (_is_number(value) and _is_number(found[name])):
                    found[name] = value
                elif name not in self._failed:
                    self._failed.add(name)
                    logger.warning(
                        "the metric %r is one of every worker's own, so %r is not told under that "
                        "name: choose another",
                        name,
                        value,
                    )
        return found

    async def introduce(self) -> dict[str, Any]:
        """Return what is told when the worker joins."""
        return await self._ask(self.startup_information)

    async def _ask(self, functions: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, function in list(functions.items()):
            try:
                value = function(self._worker)
                found[name] = plain(await value if inspect.isawaitable(value) else value)
            except Exception:
                if name not in self._failed:  # once is enough for the log
                    self._failed.add(name)
                    logger.exception("what is to be told as %r could not be found out", name)
        return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)
