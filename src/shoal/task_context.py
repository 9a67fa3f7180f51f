"""A task's view of where it runs, and how it leaves the worker's threads.

The executor sets the context around each task; the functions here are for users' code in tasks.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from types import TracebackType

    from shoal.worker.core import TaskRun

__all__ = [
    "TaskContext",
    "aside",
    "at_lock",
    "away",
    "current_task",
    "get_worker",
    "in_actor",
    "nearness",
    "on_worker",
    "rejoin",
    "secede",
    "time_to_stay",
]


_NEARER = 2.0**-10  # so little that priorities of users, which are whole numbers, come first
_MOMENT = 0.1  # seconds


class _Place(Protocol):
    """The executor of a task: the pool's threads, the loop, another executor."""

    def secede(self, context: TaskContext) -> None: ...

    def rejoin(self, context: TaskContext) -> None: ...


class TaskContext(msgspec.Struct, eq=False):
    """Where and what a task is.

    Attributes
    ----------
    worker : Worker
        The worker that runs it.
    task : TaskRun or None
        The task that runs; None where code runs on a worker outside of tasks (`Client.run`).
    seceded : bool
        Whether it left the worker's threads.
    at_lock : bool
        Whether it waits for a lock; see the class of that name.
    coroutine : bool
        Whether it runs on the worker's loop.
    """

    worker: Any
    task: TaskRun | None
    place: _Place | None
    seceded: bool = False
    at_lock: bool = False
    coroutine: bool = False

    @property
    def key(self) -> str | None:
        """The key of the task."""
        return None if self.task is None else self.task.key

    @property
    def priority(self) -> tuple[float, int, int] | None:
        """The priority of the task; what it submits can come before others with it."""
        return None if self.task is None else self.task.compute.priority


current: ContextVar[TaskContext | None] = ContextVar("shoal_task", default=None)

# Key, worker and instance of the actor whose method runs.
current_actor: ContextVar[tuple[str, str, Any] | None] = ContextVar("shoal_actor", default=None)


class on_worker:
    """Context manager: code in it runs on a worker, though it is no task."""

    def __init__(self, worker: Any) -> None:
        self._context = TaskContext(worker, None, None)

    def __enter__(self) -> None:
        self._token = current.set(self._context)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        current.reset(self._token)


def current_task() -> TaskContext | None:
    """Return the context of the task that runs here; None outside of tasks."""
    context = current.get()
    return None if context is None or context.task is None else context


def nearness() -> float:
    """Return the least priority of what is submitted here: a little above that of the task here.

    The inputs of a waiting task go before other tasks that would come to wait, too. Each of these
    keeps a thread; depth first there are fewer of them.
    """
    context = current_task()
    if context is None or context.priority is None:
        return 0.0
    if context.seceded and not context.coroutine:  # coroutines that waited once do not come back
        return 0.0
    return _NEARER - context.priority[0]


def in_actor() -> bool:
    """Whether this is code of an actor, or makes one: what it gets may be kept for long."""
    if current_actor.get() is not None:
        return True
    context = current_task()
    if context is None or context.task is None:
        return False
    options = context.task.compute.options
    return options is not None and options.actor


def get_worker() -> Any:
    """Return the worker that runs this task.

    Raises
    ------
    ValueError
        Outside of tasks.

    Examples
    --------
    >>> def where():
    ...     return get_worker().address
    >>> client.submit(where).result()  # doctest: +SKIP
    'tcp://127.0.0.1:40123'
    """
    context = current.get()
    if context is None:
        raise ValueError("No worker found: get_worker() works only in code that a worker runs")
    return context.worker


def secede() -> None:
    """Leave the worker's threads: another task may take the place of this one.

    For tasks that wait for other tasks, or that wait for long. They go on as before, but do not
    count as one of the `nthreads` tasks that the worker runs at a time.

    Raises
    ------
    ValueError
        Outside of tasks.
    """
    context = current_task()
    if context is None or context.place is None:
        raise ValueError("secede() works only in tasks that run on a worker")
    if not context.seceded:
        context.seceded = True
        context.place.secede(context)


def rejoin() -> None:
    """Come back to the worker's threads after `secede`; waits until there is room.

    Raises
    ------
    ValueError
        Outside of tasks.
    """
    context = current_task()
    if context is None or context.place is None:
        raise ValueError("rejoin() works only in tasks that run on a worker")
    if context.seceded:
        context.place.rejoin(context)
        context.seceded = False


class away:
    """Context manager: the task in it waits for the cluster, and does not take a thread meanwhile.

    Outside of tasks, and in tasks that seceded, it does nothing.
    """

    __slots__ = ("_left",)

    def __enter__(self) -> None:
        context = current_task()
        self._left = context is not None and context.place is not None and not context.seceded
        if self._left:
            secede()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        context = current_task()
        if self._left and context is not None and not context.at_lock:
            rejoin()


class aside:
    """`away` for coroutines: a task that is one takes no place from now on, and does not come back.

    Only for those: what runs on the loop on behalf of a thread has the context of that task, too,
    and the thread itself is away.
    """

    __slots__ = ("_timer",)

    def __enter__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        context = current_task()
        if context is not None and context.coroutine and not context.seceded:
            if moment := time_to_stay():
                self._timer = asyncio.get_running_loop().call_later(moment, secede)
            else:
                secede()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()


class at_lock:
    """Context manager: what the task in it waits for is a lock.

    It keeps its thread for a moment: most locks are free, and programs rely on the tasks of a
    worker with one thread to come one by one. Once it has the lock it goes on without a place, as
    those that have one may stop at something that this task holds, such as a lock of this process.
    """

    __slots__ = ("_before", "_context")

    def __enter__(self) -> None:
        self._context = current_task()
        if self._context is not None:
            self._before = self._context.at_lock
            self._context.at_lock = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        if self._context is not None:
            self._context.at_lock = self._before


def time_to_stay() -> float:
    """Return for how many seconds a wait here keeps its thread before it is `away`."""
    context = current_task()
    return _MOMENT if context is not None and context.at_lock else 0.0
