"""`WorkerState`: all tasks and data of a worker, as monitoring reads them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from shoal._base.keys import decode_key, encode_key
from shoal.worker.views.task import TaskState, state_of

if TYPE_CHECKING:
    from shoal.worker.context import WorkerContext

__all__ = ["TasksOfWorker", "WorkerState"]


_RECENT = 60.0  # seconds in which scattered data is told of, though nobody needs it any more


class TasksOfWorker(Mapping[Any, TaskState]):
    """Tasks and data of a worker by the users' keys; to be read only.

    Data that came by `scatter` stays for a minute, as released, when it is dropped: tests ask for
    its story.
    """

    __slots__ = ("_worker",)

    def __init__(self, worker: WorkerContext) -> None:
        self._worker = worker

    def _keys(self) -> dict[str, None]:
        s = self._worker.machine.state
        return dict.fromkeys((*s.data, *s.missing_keys, *s.tasks, *self._scattered_lately()))

    def _scattered_lately(self) -> set[str]:
        since = time.time() - _RECENT
        return {key for at, keys in self._worker.exchange.scattered if at > since for key in keys}

    def __getitem__(self, key: Any) -> TaskState:
        if key not in self:
            raise KeyError(key)
        return TaskState(self._worker, encode_key(key))

    def __contains__(self, key: object) -> bool:
        try:
            name = encode_key(key)
        except TypeError:  # it can be no key
            return False
        return state_of(self._worker, name) != "released" or name in self._scattered_lately()

    def __iter__(self) -> Iterator[Any]:
        return map(decode_key, self._keys())

    def __len__(self) -> int:
        return len(self._keys())

    def __repr__(self) -> str:
        return f"<{len(self)} tasks of worker {self._worker.name}>"


class WorkerState:
    """The state of a worker's tasks and data.

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
        """The resources that tasks may ask for."""
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

    def story(self, *keys_or_tasks: Any) -> list[tuple[Any, ...]]:
        """Return what came to this worker of keys, the oldest first.

        There is no log of each step of a task, which every task would pay for. Told are data that
        came by `scatter` or from other workers, and in which state a key is now, as tuples of the
        key, the event (``"receive-from-scatter"``, ``"receive-dep"``, or the state), where it came
        from or None, a name of the event, and the time.

        Parameters
        ----------
        *keys_or_tasks
            Keys, or tasks of `tasks`; all of them where there are none.
        """
        worker = self._worker
        wanted = {encode_key(getattr(each, "key", each)) for each in keys_or_tasks}
        found: list[tuple[Any, ...]] = []
        for when, keys in worker.exchange.scattered:
            for key in wanted.intersection(keys) if wanted else keys:
                named = f"update-data-{when}"
                found.append((decode_key(key), "receive-from-scatter", None, named, when))
        for transfer in worker.transfers.incoming.log:
            when = transfer["stop"]
            for key in wanted.intersection(transfer["keys"]) if wanted else transfer["keys"]:
                named = f"gather-dep-{when}"
                found.append((decode_key(key), "receive-dep", transfer["who"], named, when))
        found.sort(key=lambda entry: entry[-1])
        now = time.time()
        for name in map(decode_key, wanted) if wanted else self.tasks:
            ts = self.tasks.get(name)
            if ts is not None:
                found.append((name, ts.state, None, f"story-{now}", now))
        return found
