"""Carries out what the worker's core asks for; the order is that of the fields of `Effects`.

Nothing here touches a socket, a thread, a value or a log: that is what the ports are for. The real
worker and the simulator's use the same `WorkerApplier` with ports of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias

from shoal._base.applier import Applier
from shoal.wire import messages as m
from shoal.wire.blob import Blob
from shoal.worker.core import (
    Effects,
    Fetch,
    Interrupted,
    Machine,
    Registration,
    Revoked,
    TaskRun,
)
from shoal.worker.core.events import Event

__all__ = ["Calls", "Executor", "Functions", "Link", "Store", "Timer", "WorkerApplier"]

Values: TypeAlias = Mapping[str, Any]
"""The values that came with an event, by key."""


class Link(Protocol):
    """The connection to the scheduler."""

    def send(self, messages: list[Any], /) -> None:
        """Send a batch; without a connection it is dropped."""


class Store(Protocol):
    """The values of this worker."""

    def put(self, key: str, value: Any, nbytes: int, /) -> None:
        """Store a value, in place of an older one."""

    def drop(self, keys: Iterable[str], /) -> None:
        """Drop values, where they are here."""


class Functions(Protocol):
    """The functions that runs call."""

    def define(self, function: bytes, blob: Blob, /) -> None:
        """Keep a function's pickle."""

    def forget(self, function: bytes, /) -> None:
        """Drop it."""


class Executor(Protocol):
    """The threads. The outcome of a run is told later, by `Outcomes` and `Seceded`."""

    def submit(self, runs: list[TaskRun], after: Mapping[TaskRun, tuple[TaskRun, ...]], /) -> None:
        """Put runs into the ready queue, some of them not before others have ended."""

    def revoke(self, runs: list[TaskRun], /) -> tuple[list[TaskRun], list[TaskRun]]:
        """Take back what did not start; return what was taken back, and the others."""

    def discard(self, runs: list[TaskRun], /) -> tuple[list[TaskRun], list[TaskRun]]:
        """The same, and the others store no result."""

    def interrupt(self, runs: list[TaskRun], /) -> list[tuple[TaskRun, str, float]]:
        """Stop the code of runs; return those under way, where each was, and for how long."""

    def abandon(self, runs: list[TaskRun], /) -> None:
        """Take the threads of these, which do not stop, for lost."""

    def pause(self) -> None:
        """Start nothing until `resume`."""

    def resume(self) -> None:
        """Go on."""


class Timer(Protocol):
    """Feeds a `Tick` when it rings."""

    def set(self, deadline: float, /) -> None:
        """Ring at this time, or earlier if it was set to that."""


class Calls(Protocol):
    """The other things that happen in the worker's process."""

    def introduce(self, known: Registration, /) -> m.RegisterWorker:
        """Return what the worker says of itself, with what the core knows."""

    def took_back(self, answer: Revoked, /) -> None:
        """Feed the executor's answer, now or later."""

    def stopped(self, answer: Interrupted, /) -> None:
        """Feed the executor's answer."""

    def fetch(self, fetch: Fetch, /) -> None:
        """Begin to get values from a peer; feed `Fetched` or `FetchFailed` in the end."""

    def call_back(self, token: str, /) -> None:
        """Begin to open a connection to the scheduler, on which peers are answered."""

    def paused(self) -> None:
        """The executor pauses."""

    def resumed(self) -> None:
        """It goes on."""

    def refuse(self, task: TaskRun, reason: str, /) -> None:
        """Feed the outcome of a run that fails without having begun, for this reason."""

    def evict(self, nbytes: int, in_use: frozenset[str], spare: list[str], /) -> None:
        """Begin to write values to disk, on a thread that may block; feed `Evicted` in the end."""

    def reclaim(self, how: str, /) -> None:
        """Begin to give free memory back; feed `MemoryMeasured` when that is done."""

    def leave(self, reason: str, /) -> None:
        """Begin to hand over the data, and to make room for a new process."""

    def replace(self, reason: str, /) -> None:
        """The same, in a short time."""

    def close(self, reason: str, restart: bool, /) -> None:
        """Begin to close the worker."""


class WorkerApplier(Applier[Event, Effects, Values]):
    """Carries out effects of a worker's core.

    Events are given with the values that came with them; those that the core wants are stored.

    Parameters
    ----------
    machine : Machine
        The core.
    clock : callable
        Returns the time.
    link : Link
        Speaks to the scheduler.
    store : Store
        Has the values.
    functions : Functions
        Has the functions.
    executor : Executor
        Runs what is to run.
    timer : Timer
        Rings for the core.
    calls : Calls
        Does the rest.
    """

    def __init__(
        self,
        machine: Machine,
        clock: Callable[[], float],
        *,
        link: Link,
        store: Store,
        functions: Functions,
        executor: Executor,
        timer: Timer,
        calls: Calls,
    ) -> None:
        self._machine = machine
        self._link = link
        self._store = store
        self._functions = functions
        self._executor = executor
        self._timer = timer
        self._calls = calls
        super().__init__(machine.handle, clock, Effects)

    def _register(self, effects: Effects, values: Values | None) -> None:
        assert effects.register is not None
        self._link.send([self._calls.introduce(effects.register)])

    def _keep(self, effects: Effects, values: Values | None) -> None:
        assert values is not None
        sizes = self._machine.state.data
        for key in effects.keep:
            self._store.put(key, values[key], sizes[key][0])

    def _define(self, effects: Effects, values: Values | None) -> None:
        for function, blob in effects.define.items():
            self._functions.define(function, blob)

    def _revoke(self, effects: Effects, values: Values | None) -> None:
        self._calls.took_back(Revoked(*self._executor.revoke(effects.revoke)))

    def _discard(self, effects: Effects, values: Values | None) -> None:
        self._calls.took_back(Revoked(*self._executor.discard(effects.discard)))

    def _drop(self, effects: Effects, values: Values | None) -> None:
        self._store.drop(effects.drop)

    def _execute(self, effects: Effects, values: Values | None) -> None:
        self._executor.submit(effects.execute, effects.after)

    def _after(self, effects: Effects, values: Values | None) -> None:
        """A part of `execute`."""

    def _interrupt(self, effects: Effects, values: Values | None) -> None:
        for task, where, elapsed in self._executor.interrupt(effects.interrupt):
            self._calls.stopped(Interrupted(task.run, where, elapsed))

    def _abandon(self, effects: Effects, values: Values | None) -> None:
        self._executor.abandon(effects.abandon)

    def _forget(self, effects: Effects, values: Values | None) -> None:
        for function in effects.forget:
            self._functions.forget(function)

    def _fetch(self, effects: Effects, values: Values | None) -> None:
        for fetch in effects.fetch:
            self._calls.fetch(fetch)

    def _call_back(self, effects: Effects, values: Values | None) -> None:
        for token in effects.call_back:
            self._calls.call_back(token)

    def _pause(self, effects: Effects, values: Values | None) -> None:
        self._executor.pause()
        self._calls.paused()

    def _resume(self, effects: Effects, values: Values | None) -> None:
        self._executor.resume()
        self._calls.resumed()

    def _refuse(self, effects: Effects, values: Values | None) -> None:
        for task, reason in effects.refuse.items():
            self._calls.refuse(task, reason)

    def _evict(self, effects: Effects, values: Values | None) -> None:
        self._calls.evict(effects.evict, effects.in_use, effects.spare)

    def _in_use(self, effects: Effects, values: Values | None) -> None:
        """A part of `evict`."""

    def _spare(self, effects: Effects, values: Values | None) -> None:
        """A part of `evict`."""

    def _reclaim(self, effects: Effects, values: Values | None) -> None:
        self._calls.reclaim(effects.reclaim)

    def _send(self, effects: Effects, values: Values | None) -> None:
        self._link.send(effects.send)

    def _deadline(self, effects: Effects, values: Values | None) -> None:
        assert effects.deadline is not None
        self._timer.set(effects.deadline)

    def _leave(self, effects: Effects, values: Values | None) -> None:
        self._calls.leave(effects.leave)

    def _replace(self, effects: Effects, values: Values | None) -> None:
        self._calls.replace(effects.replace)

    def _close(self, effects: Effects, values: Values | None) -> None:
        assert effects.close is not None
        self._calls.close(*effects.close)
