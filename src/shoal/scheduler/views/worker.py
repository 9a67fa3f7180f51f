"""`WorkerState`: a worker, as plugins see it."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import KeysView
from typing import TYPE_CHECKING, Any

from shoal.comm.status import Status
from shoal.scheduler.views.memory import MemoryState, memory_of_worker
from shoal.scheduler.views.task import TaskState
from shoal.scheduler.views.view import Ordered, View

if TYPE_CHECKING:
    from shoal.scheduler.core import state as core
    from shoal.scheduler.views.registry import Views

__all__ = ["WorkerState"]


class WorkerState(View):
    """A worker of the scheduler.

    Attributes
    ----------
    address, name : str
        Where it is, and what it is called.
    nthreads : int
        Threads that run tasks.
    occupancy : float
        Estimated seconds of work that it was sent.
    nbytes : int
        Bytes of all results that it holds.
    metrics : dict
        The latest metrics that it sent.
    """

    __slots__ = ()
    _core: core.WorkerState
    _views: Views

    def __repr__(self) -> str:
        return (
            f"<WorkerState {self.address!r}, name: {self.name}, status: {self.status.name}, "
            f"memory: {len(self.has_what)}, processing: {len(self._core.processing)}>"
        )

    # -- attributes ------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Where it is reached."""
        return self._core.address

    @property
    def name(self) -> Any:
        """The worker's name."""
        return self._core.name

    @property
    def host(self) -> str:
        """The host that it is on."""
        return self._core.info.host

    @property
    def pid(self) -> int:
        """Its process."""
        return self._core.info.pid

    @property
    def nthreads(self) -> int:
        """Threads that run tasks."""
        return self._core.nthreads

    @property
    def memory_limit(self) -> int:
        """Bytes; 0 for none."""
        return self._core.info.memory_limit

    @property
    def local_directory(self) -> str:
        """Its folder."""
        return self._core.info.local_directory

    @property
    def nanny(self) -> str | None:
        """The address of its nanny, if it has one."""
        return self._core.info.nanny

    @property
    def server_id(self) -> str:
        """The id of this life of it."""
        return self._core.info.server_id

    @property
    def services(self) -> dict[str, Any]:
        """Ports of what else it serves, by name."""
        return self._core.info.services

    @property
    def versions(self) -> dict[str, Any]:
        """Of Python and of packages in its process."""
        return self._core.info.versions

    @property
    def extra(self) -> dict[str, Any]:
        """The worker's information when it joined (``Worker(startup_information=)``)."""
        return {k: v for k, v in self._core.info.extra.items() if k != "plugins"}

    @property
    def status(self) -> Status:
        """The worker's status."""
        ws = self._core
        if ws.retiring and ws.status == "running":
            return Status.closing_gracefully
        return Status(ws.status)

    @property
    def last_seen(self) -> float:
        """When it was last heard of, in seconds since the epoch."""
        return self._views.wall_time(self._core.last_seen)

    @property
    def time_delay(self) -> float:
        """How far its clock is ahead of the scheduler's, less what a message takes, in seconds."""
        told: float | None = self._core.metrics.get("time")
        return 0.0 if told is None else told - self._views.wall_time(self._core.told_at)

    @property
    def scheduler(self) -> Any:
        """The scheduler of the worker."""
        return self._views.scheduler

    @property
    def scheduler_ref(self) -> weakref.ref[Any]:
        """A weak reference to the scheduler."""
        return weakref.ref(self._views.scheduler)

    # -- work ------------------------------------------------------------------------------

    @property
    def processing(self) -> set[TaskState]:
        """The tasks that it runs, or is to run next."""
        return self._views.tasks(self._core.processing)

    @property
    def executing(self) -> dict[TaskState, float]:
        """For how many seconds tasks have been running, where that is long."""
        found = {self._views.task_of(key): s for key, s in self._core.executing.items()}
        return {ts: seconds for ts, seconds in found.items() if ts is not None}

    @property
    def long_running(self) -> set[TaskState]:
        """Tasks that seceded."""
        return self._views.tasks(self._core.long_running)

    @property
    def occupancy(self) -> float:
        """Estimated seconds of work that it was sent."""
        return max(0.0, self._core.occupancy)

    @property
    def metrics(self) -> dict[str, Any]:
        """The latest metrics that it sent."""
        return self._core.metrics

    @property
    def bandwidth(self) -> float:
        """Bytes a second between this worker and others, as is assumed."""
        told: float = self._core.metrics.get("bandwidth", {}).get("total", 0)
        return told or self._views.state.settings.bandwidth

    @property
    def resources(self) -> dict[str, float]:
        """The resources that tasks may ask for."""
        return dict(self._core.info.resources)

    @property
    def used_resources(self) -> dict[str, float]:
        """How much of it the tasks take that it runs, or is to run next."""
        used = dict.fromkeys(self._core.info.resources, 0.0)
        for ts in self._core.processing:
            for name, n in (ts.options.resources or {}).items():
                used[name] = used.get(name, 0.0) + n
        return used

    @property
    def task_prefix_count(self) -> dict[str, int]:
        """How many of the tasks that it runs, or is to run next, there are of each kind."""
        return dict(Counter(ts.group.prefix.name for ts in self._core.processing))

    @property
    def needs_what(self) -> dict[TaskState, int]:
        """Inputs that it does not hold, and how many of its tasks need them."""
        ws = self._core
        needed = Counter(
            dep for ts in ws.processing for dep in ts.deps if dep.serial not in ws.held
        )
        return {self._views.task(ts): n for ts, n in needed.items()}

    # -- data ------------------------------------------------------------------------------

    @property
    def has_what(self) -> KeysView[TaskState]:
        """The tasks whose results it holds."""
        held = self._core.held
        return Ordered(self._views, TaskState, held.values(), lambda ts: ts.serial in held)

    @property
    def actors(self) -> set[TaskState]:
        """The actors that live on it."""
        ws = self._core
        return self._views.tasks(
            ts for ts in ws.held.values() if ts.options.actor and ts.who_has[0] is ws
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all results that it holds."""
        return self._core.nbytes

    @property
    def memory(self) -> MemoryState:
        """The parts of its memory, as far as known."""
        return memory_of_worker(self._core)

    def identity(self) -> dict[str, Any]:
        """Return what is known of it, for people and for their programs."""
        return self._views.scheduler.describe_worker(self._core)
