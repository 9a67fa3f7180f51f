"""`TaskGroup`, `TaskPrefix`, `Computation`: tasks that belong together, as plugins see them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from shoal import config
from shoal.scheduler.views.sums import entered
from shoal.scheduler.views.view import View
from shoal.wire.annotations import CODE

if TYPE_CHECKING:
    from collections.abc import KeysView

    from shoal.scheduler.core import state as core
    from shoal.scheduler.views.registry import Views

__all__ = ["Computation", "TaskGroup", "TaskPrefix", "computations"]

_STATES = (
    "released",
    "waiting",
    "processing",
    "memory",
    "erred",
    "queued",
    "no-worker",
    "forgotten",
)
_UNDONE = ("waiting", "processing", "queued", "no-worker")


def _add_up(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total = dict.fromkeys(_STATES, 0)
    for each in counts:
        for state, n in each.items():
            total[state] += n
    return total


class TaskGroup(View):
    """Tasks that were made together, such as the chunks of one array operation.

    Attributes
    ----------
    name : str
        The beginning of their keys.
    states : dict
        How many are in each state.
    duration : float
        Seconds of all their runs together.
    nbytes_total : int
        Bytes of all their results together, those that are gone included.
    types : keys view of str
        Types of their results.
    start, stop : float
        When the first came to the scheduler, and when the last of those that ended did, in seconds
        since the epoch; 0 while there is none.
    """

    __slots__ = ()
    _core: core.GroupState
    _views: Views

    def __repr__(self) -> str:
        counts = " ".join(f"{state}: {n}" for state, n in self.states.items() if n)
        return f"<{self.name or 'no-group'}: {counts}>"

    def __len__(self) -> int:
        return sum(self.states.values())

    @property
    def name(self) -> str:
        """The beginning of the keys."""
        return self._core.name

    @property
    def prefix(self) -> TaskPrefix:
        """All tasks of the same kind of work."""
        return self._views.prefix(self._core.prefix)

    @property
    def states(self) -> dict[str, int]:
        """How many tasks are in each state."""
        return _add_up([self._core.counts])

    @property
    def dependencies(self) -> set[TaskGroup]:
        """The groups that it needs results of; found by looking at all tasks there are."""
        group = self._core
        needed: dict[core.GroupState, None] = {}
        for ts in self._views.state.tasks.values():
            if ts.group is group:
                needed.update(dict.fromkeys(dep.group for dep in ts.deps))
        return self._views.groups(needed)

    @property
    def nbytes_total(self) -> int:
        """Bytes of all results so far."""
        return self._core.nbytes

    @property
    def duration(self) -> float:
        """Seconds of all runs so far."""
        return self._core.duration

    @property
    def all_durations(self) -> dict[str, float]:
        """Seconds of all runs so far, by what was done."""
        return {"compute": self._core.duration} if self._core.duration else {}

    @property
    def types(self) -> KeysView[str]:
        """Types of the results."""
        return dict.fromkeys(self._core.types).keys()

    @property
    def start(self) -> float:
        """When the first task came to the scheduler."""
        return self._views.wall_time(self._core.created)

    @property
    def stop(self) -> float:
        """When the last task that ended did."""
        return self._views.wall_time(self._core.stop) if self._core.stop else 0.0

    @property
    def done(self) -> bool:
        """Whether nothing of it is to be run any more."""
        return not any(self._core.counts[state] for state in _UNDONE)


class TaskPrefix(View):
    """All tasks of one kind of work: what their keys begin with, without numbers.

    Attributes
    ----------
    name : str
        The group's name.
    groups : keys view of TaskGroup
        The groups of it that have tasks.
    states : dict
        How many tasks are in each state.
    duration_average : float
        The expected time of a run, in seconds; -1 where nothing is known.
    suspicious : int
        How often a worker died while it ran one of its tasks.
    """

    __slots__ = ()
    _core: core.PrefixState
    _views: Views

    def __repr__(self) -> str:
        counts = " ".join(f"{state}: {n}" for state, n in self.states.items() if n)
        return f"<{self.name}: {counts}>"

    def __len__(self) -> int:
        return sum(self.states.values())

    @property
    def name(self) -> str:
        """The name of the kind of work."""
        return self._core.name

    @property
    def groups(self) -> KeysView[TaskGroup]:
        """The groups of it that have tasks."""
        return dict.fromkeys(map(self._views.group, self._core.groups.values())).keys()

    @property
    def active(self) -> list[TaskGroup]:
        """The groups that have tasks."""
        return list(self.groups)

    @property
    def states(self) -> dict[str, int]:
        """How many tasks are in each state."""
        return _add_up(group.counts for group in self._core.groups.values())

    @property
    def state_counts(self) -> dict[str, int]:
        """How often tasks of it came into each state so far."""
        return entered(self._core)

    @property
    def active_states(self) -> dict[str, int]:
        """How many tasks are in each state."""
        return self.states

    @property
    def duration_average(self) -> float:
        """The expected time of a run, in seconds; -1 where nothing is known."""
        return self._core.duration

    @property
    def duration(self) -> float:
        """Seconds of all runs of its groups so far."""
        return sum(group.duration for group in self._core.groups.values())

    @property
    def all_durations(self) -> dict[str, float]:
        """Seconds of all runs of its groups so far, by what was done."""
        return {"compute": self.duration} if self.duration else {}

    @property
    def nbytes_total(self) -> int:
        """Bytes of all results of its groups so far."""
        return sum(group.nbytes for group in self._core.groups.values())

    @property
    def types(self) -> KeysView[str]:
        """Types of the results of its groups."""
        groups = self._core.groups.values()
        return dict.fromkeys(kind for group in groups for kind in group.types).keys()

    @property
    def suspicious(self) -> int:
        """How often a worker died while it ran one of its tasks."""
        return self._core.suspicious


class Computation:
    """Groups of tasks that ran at the same time, so probably one question of a user.

    Attributes
    ----------
    groups : set of TaskGroup
        The groups that have tasks.
    code : list of tuple of str
        The users' code that sent them, where ``distributed.diagnostics.computations.nframes`` says
        that it is to be sent along; innermost first.
    start, stop : float
        In seconds since the epoch; `stop` is -1 while it runs.
    id : str
        Names it.
    """

    def __init__(self, views: Views, groups: list[core.GroupState]) -> None:
        self._cores = groups
        self._views = views
        self.groups = views.groups(groups)
        self.id = f"computation-{groups[0].name}"

    @property
    def code(self) -> list[tuple[str, ...]]:
        """The users' code that sent them, once each; found by looking at all tasks there are."""
        among = set(map(id, self._cores))
        found: dict[tuple[str, ...], None] = {}
        for ts in self._views.state.tasks.values():
            noted = ts.options.annotations
            if noted and CODE in noted and id(ts.group) in among:
                found[tuple(noted[CODE])] = None
        return list(found)

    @property
    def start(self) -> float:
        """When the first task came."""
        return self._views.wall_time(self._cores[0].created)

    @property
    def stop(self) -> float:
        """When the last task ended."""
        if not all(group.done for group in self.groups):
            return -1
        return max(group.stop for group in self.groups)

    @property
    def states(self) -> dict[str, int]:
        """How many tasks are in each state."""
        return _add_up(group.counts for group in self._cores)

    def __repr__(self) -> str:
        counts = " ".join(f"{state}: {n}" for state, n in self.states.items() if n)
        return f"<Computation {self.id}: {counts}>"


def computations(views: Views) -> list[Computation]:
    """Return the groups that there are by the times at which they ran, oldest first.

    One ends when nothing was left to do; what came later is another.
    """
    found: list[list[Any]] = []
    busy_until = float("-inf")
    for group in sorted(views.state.groups.values(), key=lambda group: group.created):
        if group.created > busy_until:
            found.append([])
        found[-1].append(group)
        undone = any(group.counts[state] for state in _UNDONE)
        busy_until = max(busy_until, float("inf") if undone else max(group.stop, group.created))
    most = config.get_int("distributed.diagnostics.computations.max-history", minimum=0)
    return [Computation(views, groups) for groups in found[-most:] if most]
