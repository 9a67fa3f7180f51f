"""Notes what an event changed of what no peer can repeat.

A journal is a table: an entry of a kind under a key is put, put again, or dropped, and the last
word counts. So what was noted twice does no harm, the file is made small by dropping what was
overwritten, and nothing but this table is needed to start anew.
"""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = [
    "ANSWER",
    "CLOSED",
    "DATASET",
    "DELIVERY",
    "EVENT",
    "FIRED",
    "FLAG",
    "FUNCTION",
    "HELD",
    "ITEM",
    "NOTE",
    "PLUGIN",
    "QUEUE",
    "SEMAPHORE",
    "TASK",
    "VARIABLE",
    "Change",
    "Recorder",
]

Change: TypeAlias = "tuple[int, Any, Any] | tuple[int, Any]"
"""(kind, key, value): the entry is this from now on; (kind, key): it is gone."""

# Kinds of entries: what the key is, and the value. Numbers in files: they must not change.
ITEM = 1  # number -> queue, value, keys in it
DELIVERY = 2  # client, ask -> the queue that its items go back to (None: nowhere), their numbers
QUEUE = 3  # name -> most items, where there is such a limit
VARIABLE = 4  # name -> value, keys
DATASET = 5  # name -> value, keys
FLAG = 6  # name of an event that is set -> nothing
SEMAPHORE = 7  # name -> most leases
CLOSED = 8  # name of a semaphore that was closed -> nothing
HELD = 9  # client, ask -> "lock" or "semaphore", names
ANSWER = 10  # client, ask -> value, error: if it is asked again, it is answered like this
TASK = 11  # serial number -> see `recipes.describe_task`
FUNCTION = 12  # id -> pickle, its buffers
FIRED = 13  # serial number of a task that runs though no client wants it -> nothing
NOTE = 14  # first key of users' metadata -> what is noted under it
EVENT = 15  # topic, number -> wall clock, message
PLUGIN = 16  # "scheduler", "worker" or "nanny", name -> pickle, its buffers

_DROPPED: Any = object()


class Recorder:
    """The changes since `take` was called last, and which tasks are recorded.

    Parameters
    ----------
    wall : float
        To be added to the core's time for seconds since the epoch.

    Attributes
    ----------
    changed : bool
        Whether there is something to `take`.

    Examples
    --------
    >>> recorder = Recorder()
    >>> recorder.put(VARIABLE, "x", (b"1", []))
    >>> recorder.drop(FLAG, "ready")
    >>> recorder.take()
    [(4, 'x', (b'1', [])), (6, 'ready')]
    """

    __slots__ = ("_changes", "functions", "logged", "tasks", "wall")

    def __init__(self, wall: float = 0.0) -> None:
        self.wall = wall
        self._changes: dict[tuple[int, Any], Any] = {}
        self.tasks: dict[int, tuple[Any, bytes | None]] = {}  # by serial: task, function
        self.functions: dict[bytes, int] = {}  # how many of these tasks use each
        self.logged: dict[str, int] = {}  # events so far, by topic

    @property
    def changed(self) -> bool:
        """Whether there is something to `take`."""
        return bool(self._changes)

    def put(self, kind: int, key: Any, value: Any = None) -> None:
        """Note that an entry is this from now on."""
        self._changes[kind, key] = value

    def drop(self, kind: int, key: Any) -> None:
        """Note that an entry is gone."""
        self._changes[kind, key] = _DROPPED

    def take(self) -> list[Change]:
        """Return what was changed, each entry once, and begin anew."""
        changes, self._changes = self._changes, {}
        return [
            (kind, key) if value is _DROPPED else (kind, key, value)
            for (kind, key), value in changes.items()
        ]

    def forget(self, serial: int) -> None:
        """A task is not known any more."""
        found = self.tasks.pop(serial, None)
        if found is None:
            return
        self.drop(TASK, serial)
        self.release(found[1])

    def release(self, function: bytes | None) -> None:
        """A task less uses this function."""
        if function is None:
            return
        self.functions[function] -= 1
        if not self.functions[function]:
            del self.functions[function]
            self.drop(FUNCTION, function)

    def log(self, topic: str, when: float, message: Any, most: int | None) -> None:
        """Note an event of a topic of which so many are remembered."""
        number = self.logged.get(topic, 0)
        self.logged[topic] = number + 1
        self.put(EVENT, (topic, number), (when + self.wall, message))
        if most is not None and number >= most:
            self.drop(EVENT, (topic, number - most))
