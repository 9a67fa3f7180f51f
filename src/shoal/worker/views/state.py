"""`WorkerState`: all tasks and data of a worker, as monitoring reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from shoal._base.keys import decode_key, encode_key
from shoal.worker.views.task import TaskState, state_of

if TYPE_CHECKING:
    from shoal.worker.context import WorkerContext

__all__ = ["TasksOfWorker", "WorkerState"]


class TasksOfWorker(Mapping[Any, TaskState]):
    """Tasks and data of a worker by the users' keys; to be read only."""

    __slots__ = ("_worker",)

    def __init__(self, worker: WorkerContext) -> None:
        self._worker = worker

    def _keys(self) -> dict[str, None]:
        s = self._worker.machine.state
        return dict.fromkeys((*s.data, *s.missing_keys, *s.tasks))

    def __getitem__(self, key: Any) -> TaskState:
        if key not in self:
            raise KeyError(key)
        return TaskState(self._worker, encode_key(key))

    def __contains__(self, key: object) -> bool:
        try:
            return state_of(self._worker, encode_key(key)) != "released"
        except TypeError:  # nobody's key
            return False

    def __iter__(self) -> Iterator[Any]:
        return map(decode_key, self._keys())

    def __len__(self) -> int:
        return len(self._keys())

    def __repr__(self) -> str:
        return f"<{len(self)} tasks of worker {self._worker.name}>"


class WorkerState:
    """What a worker knows of its tasks and data.

    Parameters
    ----------
    worker : Worker
        The worker.
    """

    __slots__ = ("_worker",)

    def __init__(self, worker: WorkerContext) -> None:
        self._worker = worker

    def __repr__(self) -> str:
        counts = ", ".join(f"{state}: {n}" for state, n in self.task_counts.items())
        return f"<WorkerState {self.address!r}, {counts or 'no tasks'}>"

    @property
    def address(self) -> str:
        """Where it is reached."""
        return self._worker.address

    @property
    def nthreads(self) -> int:
        """Threads that run tasks."""
        return self._worker.nthreads

    @property
    def running(self) -> bool:
        """Whether it begins tasks; not while it is paused."""
        return not self._worker.machine.state.paused

    @property
    def validate(self) -> bool:
        """Whether the state is checked after every event."""
        return self._worker.machine.state.settings.validate

    @property
    def data(self) -> Any:
        """The values that it holds, by the users' keys."""
        return self._worker.data

    @property
    def tasks(self) -> TasksOfWorker:
        """Tasks and data by the users' keys."""
        return TasksOfWorker(self._worker)

    def _in(self, *states: str) -> set[TaskState]:
        worker = self._worker
        tasks = worker.machine.state.tasks
        return {TaskState(worker, key) for key in tasks if state_of(worker, key) in states}

    @property
    def waiting(self) -> set[TaskState]:
        """Tasks whose inputs are not all here."""
        return self._in("waiting")

    @property
    def ready(self) -> list[TaskState]:
        """Tasks that wait for a thread, those that run first at first."""
        return sorted(self._in("ready"), key=lambda ts: ts.priority or ())

    @property
    def constrained(self) -> list[TaskState]:
        """Tasks that wait for resources, those that run first at first."""
        return sorted(self._in("constrained"), key=lambda ts: ts.priority or ())

    @property
    def executing(self) -> set[TaskState]:
        """Tasks that run on the threads."""
        return self._in("executing")

    @property
    def long_running(self) -> set[TaskState]:
        """Tasks that seceded."""
        return self._in("long-running")

    @property
    def all_running_tasks(self) -> set[TaskState]:
        """Tasks that run, those that seceded included."""
        return self._in("executing", "long-running")

    @property
    def executing_count(self) -> int:
        """How many tasks run, those that seceded included."""
        return self._worker.pool.executing

    @property
    def in_flight_tasks(self) -> set[TaskState]:
        """Data that is being fetched."""
        worker = self._worker
        missing = worker.machine.state.missing_keys
        return {TaskState(worker, key) for key, each in missing.items() if each.flight is not None}

    @property
    def in_flight_tasks_count(self) -> int:
        """How many keys are being fetched."""
        return len(self.in_flight_tasks)

    @property
    def in_flight_workers(self) -> dict[str, set[Any]]:
        """The keys that are being fetched, by the address they come from."""
        return {
            peer.address: {decode_key(key) for flight in peer.flights for key in flight.keys}
            for peer in self._worker.machine.state.peers.values()
            if peer.flights
        }

    @property
    def missing_dep_flight(self) -> set[TaskState]:
        """Data that could not be had so far, and is tried again."""
        worker = self._worker
        missing = worker.machine.state.missing_keys
        return {TaskState(worker, key) for key, each in missing.items() if each.waits_for_retry}

    @property
    def has_what(self) -> dict[str, set[Any]]:
        """Keys that tasks here need and others hold, by the address of the holder."""
        found: dict[str, set[Any]] = {}
        for run in self._worker.machine.state.tasks.values():
            for key, holders in zip(run.compute.deps, run.compute.dep_holders, strict=False):
                for address in holders:
                    found.setdefault(address, set()).add(decode_key(key))
        return found

    @property
    def actors(self) -> dict[Any, Any]:
        """The actors that live here, by their keys."""
        return {decode_key(key): instance for key, instance in self._worker.actors.instances()}

    @property
    def task_counts(self) -> dict[str, int]:
        """How many tasks are in each state."""
        return dict(Counter(state_of(self._worker, key) for key in self.tasks._keys()))

    @property
    def nbytes(self) -> int:
        """Bytes of the data that it holds."""
        return sum(known[0] for known in self._worker.machine.state.data.values())

    @property
    def total_resources(self) -> dict[str, float]:
        """What tasks may ask for."""
        return dict(self._worker.resources)

    @property
    def available_resources(self) -> dict[str, float]:
        """How much of it no task has taken."""
        available = self._worker.machine.state.available
        return {name: available[name] for name in self.total_resources}

    @property
    def transfer_incoming_bytes(self) -> int:
        """Bytes that are being fetched."""
        return self._worker.machine.state.fetching_bytes

    @property
    def transfer_incoming_count(self) -> int:
        """How many requests for data are under way."""
        return self._worker.transfers.incoming.active

    @property
    def transfer_incoming_count_total(self) -> int:
        """How many there were."""
        return self._worker.transfers.incoming.count
