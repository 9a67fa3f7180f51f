"""`Views`: which view stands for which object of a scheduler's core."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from weakref import WeakValueDictionary

from dask.utils import parse_bytes

from shoal import config
from shoal.scheduler.core_access import CoreAccess
from shoal.scheduler.views.client import ClientState
from shoal.scheduler.views.group import TaskGroup, TaskPrefix
from shoal.scheduler.views.task import TaskState
from shoal.scheduler.views.view import View
from shoal.scheduler.views.worker import WorkerState

if TYPE_CHECKING:
    from shoal.scheduler.core import state as core

__all__ = ["Views"]

V = TypeVar("V", bound=View)

_JITTER = 1e-3  # seconds by which two clocks differ that were not read at the same moment


class ViewsHost(CoreAccess, Protocol):
    """A scheduler, as the views of its objects know it."""

    def describe_worker(self, ws: core.WorkerState) -> dict[str, Any]:
        """Return what is known of a worker, for people."""


class Views:
    """The views of one scheduler's objects.

    Parameters
    ----------
    scheduler : Scheduler
        Whose objects these are.
    """

    def __init__(self, scheduler: ViewsHost) -> None:
        self.scheduler = scheduler
        # By class of the view and id of the object, which the view keeps alive.
        self._epoch = float("-inf")  # of the core's clock
        self._made: WeakValueDictionary[tuple[type, int], View] = WeakValueDictionary()

    def of(self, kind: type[V], core: Any) -> V:
        """Return the view of an object."""
        place = (kind, id(core))
        view = self._made.get(place)
        if view is None:
            view = self._made[place] = kind(self, core)
        return view  # type: ignore[return-value]

    # -- each kind -------------------------------------------------------------------------

    def task(self, ts: core.TaskState) -> TaskState:
        """Return the view of a task."""
        return self.of(TaskState, ts)

    def tasks(self, found: Iterable[core.TaskState]) -> set[TaskState]:
        """Return the views of some tasks."""
        return set(map(partial(self.of, TaskState), found))

    def task_of(self, key: str) -> TaskState | None:
        """Return the view of the task of a key, as it is on the wire."""
        ts = self.state.tasks.get(key)
        return None if ts is None else self.of(TaskState, ts)

    def worker(self, ws: core.WorkerState) -> WorkerState:
        """Return the view of a worker."""
        return self.of(WorkerState, ws)

    def workers(self, found: Iterable[core.WorkerState]) -> set[WorkerState]:
        """Return the views of some workers."""
        return set(map(partial(self.of, WorkerState), found))

    def clients(self, found: Iterable[core.ClientState]) -> set[ClientState]:
        """Return the views of some clients."""
        return set(map(partial(self.of, ClientState), found))

    def client(self, client: core.ClientState) -> ClientState:
        """Return the view of a client."""
        return self.of(ClientState, client)

    def group(self, group: core.GroupState) -> TaskGroup:
        """Return the view of a group of tasks."""
        return self.of(TaskGroup, group)

    def groups(self, found: Iterable[core.GroupState]) -> set[TaskGroup]:
        """Return the views of some groups of tasks."""
        return set(map(partial(self.of, TaskGroup), found))

    def prefix(self, prefix: core.PrefixState) -> TaskPrefix:
        """Return the view of all tasks of one kind of work."""
        return self.of(TaskPrefix, prefix)

    # -- looked up by views ----------------------------------------------------------------

    @property
    def state(self) -> core.SchedulerState:
        """The state of the core."""
        return self.scheduler.state

    @property
    def default_size(self) -> int:
        """The assumed size, in bytes, of a result that was not seen yet."""
        return parse_bytes(config.get_str("distributed.scheduler.default-data-size"))

    def wall_time(self, when: float) -> float:
        """Return seconds since the epoch for a time of the core's clock: the same one each time."""
        now = self.scheduler.wall_time(0.0)
        if abs(now - self._epoch) > _JITTER:  # the clock was set
            self._epoch = now
        return self._epoch + when
