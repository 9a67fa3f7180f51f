"""The scheduler's tables as plugins see them: tasks by the users' keys, workers by address, and so
on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from shoal._base.keys import decode_key, encode_key
from shoal.scheduler.views.client import ClientState
from shoal.scheduler.views.group import TaskGroup, TaskPrefix
from shoal.scheduler.views.task import TaskState
from shoal.scheduler.views.view import View
from shoal.scheduler.views.worker import WorkerState

if TYPE_CHECKING:
    from shoal.scheduler.core import state as core
    from shoal.scheduler.core.log import TransitionLog
    from shoal.scheduler.views.registry import Views

__all__ = ["ByKey", "Changes", "Table", "clients", "groups", "prefixes", "workers"]

V = TypeVar("V", bound=View)


class Table(Mapping[str, V], Generic[V]):
    """Views by name; to be read only, and always what there is at the moment.

    Parameters
    ----------
    views : Views
        Where the views are.
    kind : type
        Of the views.
    cores : mapping
        The objects by name.
    """

    __slots__ = ("_cores", "_kind", "_views")

    def __init__(self, views: Views, kind: type[V], cores: Mapping[str, Any]) -> None:
        self._views = views
        self._kind = kind
        self._cores = cores

    def __getitem__(self, name: str) -> V:
        return self._views.of(self._kind, self._cores[name])

    def __contains__(self, name: object) -> bool:
        return name in self._cores

    def __iter__(self) -> Iterator[str]:
        return iter(self._cores)

    def __len__(self) -> int:
        return len(self._cores)

    def __repr__(self) -> str:
        return repr(dict(self))

    def copy(self) -> dict[str, V]:
        """Return what there is now."""
        return dict(self)

    def peekitem(self, index: int = -1) -> tuple[str, V]:
        """Return the name and the view at a place in the order of names."""
        name = sorted(self)[index]
        return name, self[name]


class ByKey(Mapping[Any, TaskState]):
    """All tasks by the users' keys; to be read only.

    Examples
    --------
    >>> scheduler.tasks["x", 0].state  # doctest: +SKIP
    'memory'
    """

    __slots__ = ("_cores", "_views")

    def __init__(self, views: Views, cores: Mapping[str, core.TaskState]) -> None:
        self._views = views
        self._cores = cores

    def __getitem__(self, key: Any) -> TaskState:
        ts = self._cores.get(_wire_key(key))
        if ts is None:
            raise KeyError(key)
        return self._views.task(ts)

    def __contains__(self, key: object) -> bool:
        return _wire_key(key) in self._cores

    def __iter__(self) -> Iterator[Any]:
        return map(decode_key, self._cores)

    def __len__(self) -> int:
        return len(self._cores)

    def __repr__(self) -> str:
        shown = ", ".join(f"{key!r}: {self[key]!r}" for key in islice(self, 20))
        return f"{{{shown}{', ...' if len(self) > 20 else ''}}}"

    def copy(self) -> dict[Any, TaskState]:
        """Return what there is now."""
        return dict(self)


def _wire_key(key: Any) -> str:
    try:
        return encode_key(key)
    except TypeError:  # it can be no key
        return ""


class Changes(Sequence[tuple[Any, ...]]):
    """The last changes of tasks' states, as plugins read them.

    Each is (key, start, finish, recommendations, stimulus, time): what it led to is {}, as it is
    not noted, and the time is in seconds since the epoch.
    """

    __slots__ = ("_log", "_wall_time")

    def __init__(self, log: TransitionLog, wall_time: Callable[[float], float]) -> None:
        self._log = log
        self._wall_time = wall_time

    def __len__(self) -> int:
        return len(self._log)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return map(self._shown, self._log)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._shown(change) for change in list(self._log)[index]]
        n = len(self)
        at = index + n if index < 0 else index
        if not 0 <= at < n:
            raise IndexError(f"there are {n} changes, and none with the number {index}")
        if at == n - 1:
            return self._shown(self._log.last())
        return self._shown(next(islice(self._log, at, None)))

    def _shown(self, change: tuple[str, str, str, str, float]) -> tuple[Any, ...]:
        key, start, finish, stimulus, when = change
        return decode_key(key), start, finish, {}, stimulus, self._wall_time(when)

    def __repr__(self) -> str:
        return f"<{len(self)} changes of tasks' states>"


def workers(views: Views) -> Table[WorkerState]:
    """Return the workers by address."""
    return Table(views, WorkerState, views.state.workers)


def clients(views: Views) -> Table[ClientState]:
    """Return the clients by id."""
    return Table(views, ClientState, views.state.clients)


def groups(views: Views) -> Table[TaskGroup]:
    """Return the groups of tasks by name."""
    return Table(views, TaskGroup, views.state.groups)


def prefixes(views: Views) -> Table[TaskPrefix]:
    """Return the kinds of work by name."""
    return Table(views, TaskPrefix, views.state.prefixes)
