"""`TaskState`: a task, or data, as its worker knows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask.utils import key_split

from shoal._base.keys import decode_key

if TYPE_CHECKING:
    from shoal.worker.context import WorkerContext

__all__ = ["TaskState", "state_of"]

# The core's names for the states of a run, and what monitoring knows them by.
_STATES = {
    "returning": "ready",
    "recalled": "ready",
    "held": "constrained",
    "orphaned": "cancelled",
}


class TaskState:
    """A task that a worker is to run, or data that it holds or fetches.

    It looks things up when they are asked for. Two of the same key and worker are equal.

    Parameters
    ----------
    worker : Worker
        The worker.
    key : str
        As it is on the wire.
    """

    __slots__ = ("_key", "_worker")

    def __init__(self, worker: WorkerContext, key: str) -> None:
        self._worker = worker
        self._key = key

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TaskState):
            return NotImplemented
        return self._key == other._key and self._worker is other._worker

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"<TaskState {self.key!r} {self.state}>"

    @property
    def key(self) -> Any:
        """The user's key."""
        return decode_key(self._key)

    @property
    def prefix(self) -> str:
        """The kind of work."""
        name: str = key_split(self.key)
        return name

    @property
    def state(self) -> str:
        """released, waiting, constrained, ready, executing, long-running, flight, missing or
        memory.
        """
        return state_of(self._worker, self._key)

    @property
    def _run(self) -> Any:
        return self._worker.machine.state.tasks.get(self._key)

    @property
    def _missing(self) -> Any:
        return self._worker.machine.state.missing_keys.get(self._key)

    def _others(self, keys: Any) -> set[TaskState]:
        return {TaskState(self._worker, key) for key in keys}

    @property
    def run_id(self) -> int:
        """The number of the run; -1 where there is none."""
        return -1 if self._run is None else self._run.run

    @property
    def priority(self) -> tuple[float, ...] | None:
        """Smaller runs first."""
        run = self._run
        return None if run is None else run.compute.priority

    @property
    def duration(self) -> float | None:
        """Seconds that a run is expected to take."""
        return None if self._run is None else self._run.compute.duration

    @property
    def annotations(self) -> dict[str, Any] | None:
        """The user's annotations."""
        options = None if self._run is None else self._run.compute.options
        return None if options is None else options.annotations

    @property
    def resource_restrictions(self) -> dict[str, float]:
        """How much of which resource it takes."""
        options = None if self._run is None else self._run.compute.options
        return {} if options is None else dict(options.resources or {})

    @property
    def actor(self) -> bool:
        """Whether the result is an actor."""
        options = None if self._run is None else self._run.compute.options
        return options is not None and options.actor

    @property
    def dependencies(self) -> set[TaskState]:
        """The dependencies."""
        return set() if self._run is None else self._others(self._run.compute.deps)

    @property
    def dependents(self) -> set[TaskState]:
        """Tasks of this worker that need it."""
        tasks = self._worker.machine.state.tasks.values()
        return self._others(run.key for run in tasks if self._key in run.compute.deps)

    waiters = dependents

    @property
    def waiting_for_data(self) -> set[TaskState]:
        """The dependencies that are not here yet."""
        held = self._worker.machine.state.data
        return {ts for ts in self.dependencies if ts._key not in held}

    @property
    def who_has(self) -> set[str]:
        """Addresses of workers that hold it, as far as this one was told."""
        missing = self._missing
        found = set() if missing is None else set(missing.holders)
        if missing is not None and missing.peer is not None:
            found.add(missing.peer.address)
        for run in self._worker.machine.state.tasks.values():
            if self._key in run.compute.deps and run.compute.dep_holders:
                found |= set(run.compute.dep_holders[run.compute.deps.index(self._key)])
        return found

    @property
    def coming_from(self) -> str | None:
        """The address of the worker that it is being fetched from."""
        missing = self._missing
        return None if missing is None or missing.flight is None else missing.flight.peer.address

    @property
    def nbytes(self) -> int | None:
        """The size of the data."""
        known = self._worker.machine.state.data.get(self._key)
        if known is not None:
            return known[0]
        return None if self._missing is None else self._missing.nbytes

    def get_nbytes(self) -> int:
        """Return the size of the data; 0 where there is none yet."""
        return self.nbytes or 0

    @property
    def type(self) -> str | None:
        """The type of the data."""
        known = self._worker.machine.state.data.get(self._key)
        return None if known is None else known[1] or None

    @property
    def done(self) -> bool:
        """Whether nothing is left to do for it here."""
        return self.state in ("memory", "released")


def state_of(worker: WorkerContext, key: str) -> str:
    """Return the state of a key."""
    s = worker.machine.state
    run = s.tasks.get(key)
    if run is not None:
        if run.state in ("ready", "returning", "recalled"):
            if run in worker.pool.running:
                return "executing"
            if any(dep in s.tasks for dep in run.compute.deps):
                return "waiting"  # for a run here, after which it is in line
        return _STATES.get(run.state, run.state)
    missing = s.missing_keys.get(key)
    if missing is not None:
        return (
            "flight"
            if missing.flight is not None
            else "missing"
            if missing.waits_for_retry
            else "fetch"
        )
    return "memory" if key in s.data else "released"
