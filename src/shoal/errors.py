"""Every exception that shoal raises on its own account.

Exception
├── OSError
│   ├── RPCClosed                   a call through an `rpc` that was closed
│   └── CommClosedError             a connection ended
│       └── FatalCommClosedError    and trying again is of no use
│           └── HandshakeError      peers could not agree: secret, version, not shoal at all
│               └── InterruptedHandshakeError   the peer hung up before they could
├── ValueError
│   └── ProtocolError               a message that is not what the connection carries
├── RuntimeError
│   ├── ActorLostError              an actor is gone with its worker
│   ├── ClosedClientError           something is asked of a client that was closed
│   ├── JournalError                a scheduler's journal cannot be read, or is another's
│   ├── RemoteError                 a remote exception that could not be pickled
│   └── StartError                  a scheduler's or worker's process ended before it was up
├── AttributeError
│   └── UnknownOperationError       an `op` the server does not have
├── MemoryError
│   └── NoMemoryError               a worker has no memory for a task, and can make none
├── KilledWorker                    a task died with too many workers
├── NoValidWorkerError              no worker may run the task
├── Reschedule                      raised by a task: run me elsewhere
├── TimeoutError                    the builtin
│   └── TaskTimeout                 a task ran longer than its `timeout=`
└── CancelledError                  of concurrent.futures
    ├── FuturesCancelledError       of several futures
    └── FutureCancelledError        with the key and the reason
        └── DataLostError           data that nobody holds and nobody can compute

BaseException
└── TaskInterrupted                 raised in a task's code, to stop it
"""

from __future__ import annotations

import builtins
from concurrent.futures import CancelledError

__all__ = [
    "ActorLostError",
    "CancelledError",
    "ClosedClientError",
    "CommClosedError",
    "DataLostError",
    "FatalCommClosedError",
    "FutureCancelledError",
    "FuturesCancelledError",
    "HandshakeError",
    "InterruptedHandshakeError",
    "JournalError",
    "KilledWorker",
    "NoMemoryError",
    "NoValidWorkerError",
    "ProtocolError",
    "RPCClosed",
    "RemoteError",
    "Reschedule",
    "StartError",
    "TaskInterrupted",
    "TaskTimeout",
    "TimeoutError",
    "UnknownOperationError",
    "WorkerStartTimeoutError",
]

TimeoutError = builtins.TimeoutError


class CommClosedError(OSError):
    """A connection is closed: by the peer, by us, or by the network."""


class RPCClosed(OSError):
    """An operation was called through an `rpc` that was closed."""


class FatalCommClosedError(CommClosedError):
    """A connection is closed for a reason that trying again does not change."""


class HandshakeError(FatalCommClosedError):
    """The peers could not agree at the start of a connection; the text says on what."""


class InterruptedHandshakeError(HandshakeError):
    """The peer hung up in the midst of the handshake: it ended, or expects something else."""


class JournalError(RuntimeError):
    """A scheduler's journal cannot be read, or another scheduler writes it; the text says which."""


class ProtocolError(ValueError):
    """A peer sent something that does not belong on this connection."""


class RemoteError(RuntimeError):
    """An exception of a remote process that could not be brought here; the text is all there is."""


class StartError(RuntimeError):
    """The process of a scheduler or worker ended before the server in it was up."""


class UnknownOperationError(AttributeError):
    """A request names an operation that the server does not have."""


class NoMemoryError(MemoryError):
    """A worker has no memory for a task and can make none; the text says what fills it."""


class KilledWorker(Exception):
    """A task was given up because too many workers died while they ran it.

    Parameters
    ----------
    task : str
        Its key.
    deaths : list of (str, str)
        Address of each worker, and how it died.
    allowed_failures : int
        ``distributed.scheduler.allowed-failures``.
    """

    def __init__(self, task: str, deaths: list[tuple[str, str]], allowed_failures: int) -> None:
        super().__init__(task, deaths, allowed_failures)
        self.task = task
        self.deaths = deaths
        self.last_worker = deaths[-1][0] if deaths else None
        self.allowed_failures = allowed_failures

    def __str__(self) -> str:
        how = "; ".join(f"{worker}: {reason}" for worker, reason in self.deaths)
        return (
            f"Attempted to run task {self.task!r} on {len(self.deaths)} workers, but all of them "
            f"died while running it ({how}). See the worker logs; "
            "'distributed.scheduler.allowed-failures' is "
            f"{self.allowed_failures}."
        )


class NoValidWorkerError(Exception):
    """No worker may run a task, and none came in time.

    Parameters
    ----------
    task : str
        Its key.
    why : str
        The name that was not found.
    """

    def __init__(self, task: str, why: str) -> None:
        super().__init__(task, why)
        self.task = task
        self.why = why

    def __str__(self) -> str:
        return f"No worker can run task {self.task!r}: {self.why}"


class ActorLostError(RuntimeError):
    """An actor is not there any more: its worker is gone, or nobody wanted it any longer.

    Parameters
    ----------
    key : str
        The actor's key.
    worker : str
        Address of the worker that had it.
    reason : str
        The fate of the data.
    """

    def __init__(self, key: str, worker: str, reason: str) -> None:
        super().__init__(key, worker, reason)
        self.key = key
        self.worker = worker
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"The actor {self.key!r} on the worker {self.worker} is lost: {self.reason}. "
            "What it knew is gone with it; make another one."
        )


class Reschedule(Exception):
    """Raise this in a task to have it run again, on another worker if possible.

    Examples
    --------
    >>> def f(x):
    ...     if not ready_here():
    ...         raise Reschedule
    ...     return x
    """


class TaskTimeout(TimeoutError):
    """A task ran longer than its ``timeout=`` and was stopped.

    Parameters
    ----------
    key : str
        Its key.
    timeout : float
        Seconds that a run of it may take.
    where : str
        The stack of its code when the time was over.

    Examples
    --------
    >>> str(TaskTimeout("slow-1", 30.0, "module.py:3 in slow"))
    "the task 'slow-1' ran longer than its timeout of 30 s, and was stopped at: module.py:3 in slow"
    """

    def __init__(self, key: str, timeout: float, where: str) -> None:
        super().__init__(key, timeout, where)
        self.key = key
        self.timeout = timeout
        self.where = where

    def __str__(self) -> str:
        return (
            f"the task {self.key!r} ran longer than its timeout of {self.timeout:g} s, "
            f"and was stopped at: {self.where}"
        )


class TaskInterrupted(BaseException):
    """Raised in the midst of a task's code when its time is over, or when it is cancelled by force.

    Not an `Exception`, so that code which goes on after errors does not go on after this one. A
    task may clean up in ``finally``. One that goes on all the same is ended with its process.
    """


class FutureCancelledError(CancelledError):
    """A future was cancelled.

    Parameters
    ----------
    key : str
        Its key.
    reason : str
        Why.
    """

    def __init__(self, key: str, reason: str, msg: str | None = None) -> None:
        super().__init__(key, reason, msg)
        self.key = key
        self.reason = reason
        self.msg = msg

    def __str__(self) -> str:
        return f"{self.key} cancelled for reason: {self.reason}." + (
            f" {self.msg}" if self.msg else ""
        )


class DataLostError(FutureCancelledError):
    """Data is gone with the workers that held it, and there is no task to compute it again.

    Parameters
    ----------
    key : str
        The key of the data.
    reason : str
        How it was lost.
    """

    def __str__(self) -> str:
        return f"The data of {self.key!r} is lost and cannot be computed again: {self.reason}"


class FuturesCancelledError(CancelledError):
    """Several futures were cancelled.

    Parameters
    ----------
    errors : list of FutureCancelledError
        One for each.
    """

    def __init__(self, errors: list[FutureCancelledError]) -> None:
        super().__init__(errors)
        self.errors = errors

    def __str__(self) -> str:
        return "; ".join(map(str, self.errors))


class ClosedClientError(RuntimeError):
    """Something is asked of a client that was closed, or whose cluster is gone."""


class WorkerStartTimeoutError(TimeoutError):
    """Too few workers came within the time to wait.

    Parameters
    ----------
    available, expected : int
        Numbers of workers.
    timeout : float
        Seconds waited.
    """

    def __init__(self, available: int, expected: int, timeout: float) -> None:
        super().__init__(available, expected, timeout)
        self.available = available
        self.expected = expected
        self.timeout = timeout

    def __str__(self) -> str:
        return f"Only {self.available}/{self.expected} workers arrived after {self.timeout} s"
