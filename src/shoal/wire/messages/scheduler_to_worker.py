"""Messages from the scheduler to workers.

Definitions only; the conventions are in the package's docstring.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from shoal.wire.blob import Buffer
from shoal.wire.messages.several_edges import (
    Amount,
    DefineFunctions,
    ForgetFunctions,
    Inline,
    Life,
    Priority,
    Run,
    Size,
    TaskOptions,
)

__all__ = [
    "Acquire",
    "CallBack",
    "CloseWorker",
    "Compute",
    "ComputeMany",
    "Free",
    "Interrupt",
    "SchedulerToWorker",
    "Steal",
    "WorkerRejected",
    "WorkerWelcome",
]


class WorkerWelcome(msgspec.Struct, array_like=True, gc=False, tag="welcome"):
    """Answer to `RegisterWorker`: the worker is known, and may drop and stop what nobody wants."""

    scheduler: str
    heartbeat_interval: Amount  # seconds
    forget: list[str] = []  # held keys that nobody wants
    stop: list[str] = []  # running keys that nobody wants
    forget_lives: list[Life] = []


class WorkerRejected(msgspec.Struct, array_like=True, gc=False, tag="rejected"):
    """Registration refused (a name that is taken, an incompatible version); the worker closes."""

    reason: str


class Compute(msgspec.Struct, array_like=True, gc=False, tag="run"):
    """Run a task. `deps[i]` is what placeholder i in the pickled arguments stands for.

    The worker fetches what is missing and answers `Finished`, `Failed`, `Rescheduled` or
    `MissingDeps`.
    """

    key: str
    run: Run
    function: bytes
    args: bytes
    priority: Priority
    duration: Amount  # estimate, seconds
    wanted: bool  # a client waits for it: send a small result along
    # Tuples, because there is only one that is empty: a decoder makes no object for it.
    deps: tuple[str, ...] = ()
    dep_nbytes: tuple[Size, ...] = ()
    dep_holders: tuple[list[str], ...] = ()
    buffers: tuple[Buffer, ...] = ()
    options: TaskOptions | None = None
    # Per dependency its value, where it is small and elsewhere, else None; () when there is none.
    dep_values: tuple[Inline | None, ...] = ()
    life: Life = 0
    dep_lives: tuple[Life, ...] = ()  # of all dependencies the task's own, where it is empty


class ComputeMany(msgspec.Struct, array_like=True, gc=False, tag="runs"):
    """Run tasks that have nothing but a function and arguments: a `Compute` for each, in columns.

    Their runs are numbered one after the other.
    """

    keys: list[str]
    first_run: Run
    function: bytes
    args: list[bytes]
    priorities: list[Priority]
    duration: Amount  # estimate of each, seconds
    wanted: bool
    life: Life = 0  # of all of them


class Free(msgspec.Struct, array_like=True, gc=False, tag="free"):
    """No task or client needs these keys: drop the data; drop the task, or its result if it runs
    already.

    Of another life than the one named nothing is dropped.
    """

    keys: list[str]
    lives: list[Life] = []  # one for each key, or one for all


class Steal(msgspec.Struct, array_like=True, gc=False, tag="steal"):
    """Give back the tasks that did not start. The worker answers `StealReply`."""

    keys: list[str]


class Interrupt(msgspec.Struct, array_like=True, gc=False, tag="interrupt"):
    """Stop the code of these runs, which were freed before (`Free`) and may be under way.

    The worker answers `Interrupted` for each that it had begun.
    """

    keys: list[str]
    runs: list[Run]
    reason: str


class Acquire(msgspec.Struct, array_like=True, gc=False, tag="acquire"):
    """Fetch copies from peers (replicate, rebalance, retire).

    The worker answers `Acquired` or `NotAcquired` for each key.
    """

    keys: list[str]
    nbytes: list[Size]
    holders: list[list[str]]
    lives: list[Life] = []
    equal: list[Life] = []  # the life under which the worker has equal data already; [] if none has


class CloseWorker(msgspec.Struct, array_like=True, gc=False, tag="close"):
    """Close: the worker finishes nothing more, says `WorkerGoodbye` and ends."""

    reason: str
    restart: bool = False  # True: a nanny should start a new process


class CallBack(msgspec.Struct, array_like=True, gc=False, tag="call-back"):
    """Open a connection to the scheduler: no peer can open one to this worker.

    The worker names the token there, and answers on it as on one that a peer has opened.
    """

    token: str


SchedulerToWorker: TypeAlias = (
    WorkerWelcome
    | WorkerRejected
    | DefineFunctions
    | ForgetFunctions
    | Compute
    | ComputeMany
    | Free
    | Interrupt
    | Steal
    | Acquire
    | CloseWorker
    | CallBack
)
