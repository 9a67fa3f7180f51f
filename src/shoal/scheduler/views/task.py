"""`TaskState`: a task, as plugins see it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal._base.keys import decode_key
from shoal.scheduler.core.policies.restrictions import allowed_workers
from shoal.scheduler.core.transitions.table import ACTIVE
from shoal.scheduler.views.view import View
from shoal.wire.annotations import OWN
from shoal.wire.serialize.wrappers import Serialized

if TYPE_CHECKING:
    from shoal.scheduler.core import state as core
    from shoal.scheduler.views.client import ClientState
    from shoal.scheduler.views.group import TaskGroup, TaskPrefix
    from shoal.scheduler.views.registry import Views
    from shoal.scheduler.views.worker import WorkerState

__all__ = ["RunSpec", "TaskState"]

# Options of users beside a function and its arguments; they are told again as annotations.
_ASKED = ("workers", "allow_other_workers", "resources", "retries", "executor")


class RunSpec:
    """How a task is run: opaque, for workers to open.

    Attributes
    ----------
    key : str or tuple
        Of the task.
    function : Blob
        The pickled function.
    args : bytes
        Its arguments, in which those that are results of other tasks have placeholders.
    """

    __slots__ = ("args", "function", "key")

    def __init__(self, key: Any, function: Any, args: bytes) -> None:
        self.key = key
        self.function = function
        self.args = args

    def __repr__(self) -> str:
        return f"<RunSpec of {self.key!r}, {len(self.args)} bytes of arguments>"


class TaskState(View):
    """A task of the scheduler.

    Attributes
    ----------
    key : str or tuple
        As the user knows it.
    state : str
        released, waiting, no-worker, queued, processing, memory, erred or forgotten.
    priority : tuple
        Smaller runs first.
    type : str or None
        Of the result, where there is one.
    nbytes : int
        Of the result; -1 where there was none yet.
    run_id : int
        The number of the run that is under way; 0 where none is.
    """

    __slots__ = ()
    _core: core.TaskState
    _views: Views

    def __repr__(self) -> str:
        return f"<TaskState {self.key!r} {self.state}>"

    # -- attributes ------------------------------------------------------------------------

    @property
    def key(self) -> Any:
        """The user's key."""
        return decode_key(self._core.key)

    @property
    def state(self) -> str:
        """The state."""
        return self._core.state

    @property
    def priority(self) -> tuple[float, ...]:
        """Smaller runs first."""
        return self._core.priority

    @property
    def group(self) -> TaskGroup:
        """The tasks that were made together with this one."""
        return self._views.group(self._core.group)

    @property
    def group_key(self) -> str:
        """The name of its group."""
        return self._core.group.name

    @property
    def prefix(self) -> TaskPrefix:
        """All tasks of the same kind of work."""
        return self._views.prefix(self._core.group.prefix)

    @property
    def run_spec(self) -> RunSpec | None:
        """How it is run; None for data that was scattered."""
        function = self._core.function
        if function is None:
            return None
        return RunSpec(self.key, function.blob, self._core.args)

    @property
    def actor(self) -> bool:
        """Whether the result is an actor."""
        return self._core.options.actor

    @property
    def annotations(self) -> dict[str, Any]:
        """The user's annotations and options."""
        options = self._core.options
        found = dict(options.annotations or {})
        for name in OWN:
            found.pop(name, None)
        for name in _ASKED:
            value = getattr(options, name)
            if value:
                found.setdefault(name, value)
        if self._core.priority[0]:
            found.setdefault("priority", -self._core.priority[0])
        return found

    @property
    def metadata(self) -> dict[str, Any] | None:
        """Notes of tasks, plugins or users about it."""
        rare = self._core.rare
        return None if rare is None else rare.metadata

    # -- dependencies and dependents -------------------------------------------------------

    @property
    def dependencies(self) -> set[TaskState]:
        """The tasks whose results it needs."""
        return self._views.tasks(self._core.deps)

    @property
    def dependents(self) -> set[TaskState]:
        """The tasks that need its result."""
        return self._views.tasks(self._core.dependents or ())

    @property
    def waiting_on(self) -> set[TaskState] | None:
        """Dependencies that are not in memory; None when it does not wait, run or queue."""
        if self._core.state not in ACTIVE:
            return None
        return self._views.tasks(dep for dep in self._core.deps if dep.state != "memory")

    @property
    def waiters(self) -> set[TaskState]:
        """Dependents that did not run yet."""
        dependents = self._core.dependents or ()
        return self._views.tasks(ts for ts in dependents if ts.state in ACTIVE)

    @property
    def who_wants(self) -> set[ClientState]:
        """The clients that want the result."""
        return self._views.clients(self._core.wanted_by)

    @property
    def has_lost_dependencies(self) -> bool:
        """Whether a dependency is not known any more. Never: they stay as long as this one."""
        return any(dep.state == "forgotten" for dep in self._core.deps)

    # -- where it is -----------------------------------------------------------------------

    @property
    def who_has(self) -> set[WorkerState]:
        """The workers that hold the result."""
        return self._views.workers(self._core.who_has)

    @property
    def processing_on(self) -> WorkerState | None:
        """The worker that runs it, or is to run it next."""
        ts = self._core
        if ts.state != "processing" or ts.worker is None:
            return None
        return self._views.worker(ts.worker)

    @property
    def run_id(self) -> int:
        """The number of the run under way."""
        return self._core.run

    @property
    def type(self) -> str | None:
        """The type of the result."""
        return self._core.type or None

    @property
    def nbytes(self) -> int:
        """The size of the result in bytes."""
        return self._core.nbytes

    def get_nbytes(self) -> int:
        """Return the size of the result; where there was none yet, what is assumed."""
        return self._core.nbytes if self._core.nbytes >= 0 else self._views.default_size

    def get_nbytes_deps(self) -> int:
        """Return the size of all dependencies together."""
        return sum(ts.get_nbytes() for ts in self.dependencies)

    # -- where it may run ------------------------------------------------------------------

    @property
    def worker_restrictions(self) -> set[str] | None:
        """Addresses of the workers that the user named; None: any."""
        named = self._core.options.workers
        if not named:
            return None
        s = self._views.state
        hosts = s.hosts
        return {s.aliases.get(name, name) for name in named if name not in hosts} or None

    @property
    def host_restrictions(self) -> set[str] | None:
        """Hosts that the user named; None: any."""
        hosts = self._views.state.hosts
        return {name for name in self._core.options.workers or () if name in hosts} or None

    @property
    def resource_restrictions(self) -> dict[str, float] | None:
        """How much of which resource it takes; None: of none."""
        return dict(self._core.options.resources or {}) or None

    @property
    def loose_restrictions(self) -> bool:
        """Whether it may run elsewhere when it cannot run where the user said."""
        return self._core.options.allow_other_workers

    @property
    def valid_workers(self) -> set[WorkerState] | None:
        """The workers that it may run on; None: any."""
        found = allowed_workers(self._views.state, self._core)
        return None if found is None else self._views.workers(found)

    # -- how it failed ---------------------------------------------------------------------

    @property
    def retries(self) -> int:
        """How often it is run again when it fails."""
        rare = self._core.rare
        return self._core.options.retries - (0 if rare is None else rare.retries_used)

    @property
    def suspicious(self) -> int:
        """How many workers died while they ran it."""
        rare = self._core.rare
        return 0 if rare is None else len(rare.deaths)

    @property
    def _error(self) -> core.Erred | None:
        rare = self._core.rare
        return None if rare is None else rare.error

    @property
    def exception(self) -> Serialized | None:
        """Why it failed, pickled: `deserialize` opens it."""
        error = self._error
        return None if error is None else Serialized(error.exception)

    @property
    def traceback(self) -> Serialized | None:
        """Where it failed, pickled."""
        error = self._error
        return None if error is None else Serialized(error.traceback)

    @property
    def exception_text(self) -> str | None:
        """Why it failed."""
        error = self._error
        return None if error is None else error.exception_text

    @property
    def traceback_text(self) -> str | None:
        """Where it failed."""
        error = self._error
        return None if error is None else error.traceback_text

    @property
    def exception_blame(self) -> TaskState | None:
        """The task that failed: this one, or one that it needs."""
        rare = self._core.rare
        if rare is None or rare.error is None:
            return None
        return self._views.task_of(rare.blame)

    @property
    def erred_on(self) -> set[str] | None:
        """Addresses of the workers that it failed on."""
        error = self._error
        return None if error is None else {error.worker} if error.worker else set()
