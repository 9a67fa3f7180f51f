"""A scheduler's attributes, by the documented names. Looked up in the core when asked
for.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from shoal._base.keys import decode_key
from shoal.preloading import Preloads
from shoal.scheduler.context import SchedulerContext
from shoal.scheduler.core.handlers.timers import is_busy
from shoal.scheduler.core.invariants import check
from shoal.scheduler.views import tables
from shoal.scheduler.views.group import Computation, TaskGroup, TaskPrefix, computations
from shoal.scheduler.views.memory import MemoryState, memory_of_workers
from shoal.scheduler.views.sums import bandwidths_by_type, changes_of_state, seconds_by_activity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shoal.scheduler.views.client import ClientState
    from shoal.scheduler.views.task import TaskState
    from shoal.scheduler.views.worker import WorkerState

__all__ = ["SchedulerAttributes"]


class SchedulerAttributes(SchedulerContext):
    """Tables, lists and numbers of a scheduler: the part of `Scheduler` that others read."""

    _preloads: Preloads
    _http_server: Any

    # -- tables ----------------------------------------------------------------------------

    @property
    def tasks(self) -> tables.ByKey:
        """All tasks by key."""
        return tables.ByKey(self.views, self.state.tasks)

    @property
    def workers(self) -> tables.Table[WorkerState]:
        """All workers by address."""
        return tables.workers(self.views)

    @property
    def clients(self) -> tables.Table[ClientState]:
        """All clients by id."""
        return tables.clients(self.views)

    @property
    def task_groups(self) -> tables.Table[TaskGroup]:
        """The groups of tasks by name."""
        return tables.groups(self.views)

    @property
    def task_prefixes(self) -> tables.Table[TaskPrefix]:
        """The kinds of work by name."""
        return tables.prefixes(self.views)

    @property
    def aliases(self) -> dict[str, str]:
        """Addresses of workers by their names."""
        return dict(self.state.aliases)

    @property
    def host_info(self) -> dict[str, dict[str, Any]]:
        """The workers on each host: their addresses, and threads."""
        s = self.state
        return {
            host: {
                "addresses": set(addresses),
                "nthreads": sum(s.workers[address].nthreads for address in addresses),
                "last-seen": max(
                    self.views.wall_time(s.workers[address].last_seen) for address in addresses
                ),
            }
            for host, addresses in s.hosts.items()
        }

    @property
    def resources(self) -> dict[str, dict[str, float]]:
        """How much of each resource each worker has, by its address."""
        found: dict[str, dict[str, float]] = {}
        for ws in self.state.workers.values():
            for name, n in ws.info.resources.items():
                found.setdefault(name, {})[ws.address] = n
        return found

    @property
    def events(self) -> Mapping[str, deque[tuple[float, Any]]]:
        """The events that are remembered, (time, message), by topic."""
        wall_time = self.views.wall_time
        return {
            topic: deque((wall_time(when), message) for when, message in events)
            for topic, events in self.state.notes.events.items()
        }

    @property
    def task_metadata(self) -> dict[str, Any]:
        """The notes of users, made with `Client.set_metadata`."""
        return self.state.notes.metadata

    # -- tasks by what becomes of them -----------------------------------------------------

    @property
    def processing(self) -> dict[str, set[Any]]:
        """The keys that each worker runs, or is to run next, by its address."""
        return {
            ws.address: {decode_key(ts.key) for ts in ws.processing}
            for ws in self.state.workers.values()
        }

    @property
    def unrunnable(self) -> dict[TaskState, float]:
        """Tasks that no worker fits, and since when, in seconds since the epoch."""
        views = self.views
        return {
            views.task(ts): views.wall_time(ts.rarities().unrunnable_since)
            for ts in self.state.unrunnable
        }

    @property
    def queued(self) -> list[TaskState]:
        """Tasks that wait for a worker with room, those that run first at first."""
        s = self.state
        if not s.queue.size and not s.parked:
            return []
        waiting = [ts for ts in s.tasks.values() if ts.state == "queued"]
        return [self.views.task(ts) for ts in sorted(waiting, key=lambda ts: ts.priority)]

    @property
    def replicated_tasks(self) -> set[TaskState]:
        """Tasks whose results are on several workers."""
        return self.views.tasks(ts for ts in self.state.replicated if len(ts.who_has) > 1)

    @property
    def n_tasks(self) -> int:
        """How many tasks there are."""
        return len(self.state.tasks)

    @property
    def transition_log(self) -> tables.Changes:
        """The last changes of tasks' states."""
        return tables.Changes(self.state.log, self.views.wall_time)

    @property
    def computations(self) -> deque[Computation]:
        """The groups of tasks that there are, by the times at which they ran."""
        return deque(computations(self.views))

    # -- workers by what they do -----------------------------------------------------------

    @property
    def running(self) -> set[WorkerState]:
        """Workers that take tasks."""
        return self.views.workers(ws for ws in self.state.workers.values() if ws.running)

    @property
    def idle(self) -> dict[str, WorkerState]:
        """Workers with a thread that has nothing to do, by address."""
        return {ws.address: self.views.worker(ws) for ws in self.state.idle}

    @property
    def idle_task_count(self) -> set[WorkerState]:
        """Workers with a thread that has nothing to do."""
        return self.views.workers(self.state.idle)

    @property
    def saturated(self) -> set[WorkerState]:
        """Workers that hold so many tasks that they are sent no other."""
        s = self.state
        return self.views.workers(ws for ws in s.loaded if ws not in s.open)

    # -- sums ------------------------------------------------------------------------------

    @property
    def total_nthreads(self) -> int:
        """Threads of all workers together."""
        return self.state.total_nthreads

    @property
    def total_memory(self) -> int:
        """Memory limits of all workers together, in bytes."""
        return sum(ws.info.memory_limit for ws in self.state.workers.values())

    @property
    def total_occupancy(self) -> float:
        """Estimated seconds of work that all workers together were sent."""
        return sum(max(0.0, ws.occupancy) for ws in self.state.workers.values())

    @property
    def memory(self) -> MemoryState:
        """The memory of all workers together."""
        return memory_of_workers(self.state.workers.values())

    @property
    def bandwidth(self) -> float:
        """Bytes a second between workers, as is assumed."""
        return self.state.settings.bandwidth

    @property
    def bandwidth_types(self) -> dict[str, float]:
        """Bytes a second between workers, by the type of the values; of large transfers."""
        return bandwidths_by_type(self.state)

    @property
    def transition_counter(self) -> int:
        """How often tasks came into a state so far."""
        return changes_of_state(self.state)

    @property
    def transition_counter_max(self) -> bool:
        """After how many changes of state the scheduler fails, in tests: it never does."""
        return False

    @property
    def cumulative_worker_metrics(self) -> dict[tuple[str, ...], float]:
        """Seconds that workers spent so far, by what for.

        The keys are ``("execute", prefix, "compute", "seconds")`` for runs, and ``("gather-dep",
        "network", "seconds")`` for what the workers that are there fetched from each other.
        """
        return seconds_by_activity(self.state)

    @property
    def UNKNOWN_TASK_DURATION(self) -> float:
        """Seconds that a task is expected to take of whose kind none has run yet."""
        return self.state.settings.unknown_task_duration

    @property
    def generation(self) -> int:
        """How many times a later graph began to run after an earlier one (`fifo_timeout`)."""
        return self.state.order.generation

    # -- idleness --------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs or waits, nor can be run."""
        return not is_busy(self.state)

    @property
    def idle_since(self) -> float | None:
        """Since when there is nothing to do, in seconds since the epoch; None: there is work."""
        s = self.state
        if is_busy(s):
            return None
        since = s.idle_since  # kept where there is an idle timeout
        if since is None or s.settings.idle_timeout is None:
            since = s.log.last()[-1] if len(s.log) else s.started
        return self.views.wall_time(since)

    def check_idle(self) -> float | None:
        """Return `idle_since`."""
        return self.idle_since

    @property
    def idle_timeout(self) -> float | None:
        """Seconds of idleness after which the scheduler closes; None: never."""
        return self.settings.idle_timeout

    @property
    def no_workers_timeout(self) -> float | None:
        """Seconds after which tasks fail that no worker fits; None: never."""
        return self.settings.no_workers_timeout

    @property
    def worker_ttl(self) -> float | None:
        """Seconds after which a worker that says nothing is dead; None: never."""
        return self.settings.worker_ttl

    @property
    def allowed_failures(self) -> int:
        """Workers that may die while they run a task before it is blamed."""
        return self.settings.allowed_failures

    @property
    def validate(self) -> bool:
        """Whether the state is checked after every event."""
        return self.settings.validate

    @property
    def preloads(self) -> Preloads:
        """The users' modules that ran at the start."""
        return self._preloads

    def validate_state(self, allow_overlap: bool = False) -> None:
        """Check the whole state; an `AssertionError` says what does not fit."""
        check(self.state)

    @property
    def services(self) -> dict[str, Any]:
        """Its other servers: the pages are ``"dashboard"``, an object with a `port`."""
        return {} if self._http_server is None else {"dashboard": self._http_server}

    @property
    def http_server(self) -> Any:
        """The server of the pages, an object with a `port`; None where there are none."""
        return self._http_server

    @property
    def time_started(self) -> float:
        """When it was made, in seconds since the epoch."""
        return self.started_at

    @property
    def jupyter(self) -> bool:
        """Whether a notebook server runs in it: none ever does."""
        return False
