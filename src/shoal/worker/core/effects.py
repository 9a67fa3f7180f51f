"""What the worker's core asks of its shell after an event."""

from __future__ import annotations

from typing import Any

import msgspec

from shoal.wire.blob import Blob
from shoal.worker.core.state import TaskRun

__all__ = ["Effects", "Fetch", "Registration"]


class Fetch(msgspec.Struct, gc=False):
    """Get these keys from a peer; every one of them is answered by `Fetched` or `FetchFailed`."""

    peer: str
    keys: list[str]
    nbytes: int  # estimate of the sum


class Registration(msgspec.Struct, gc=False):
    """The part of `RegisterWorker` that the core knows."""

    held: list[str]
    held_nbytes: list[int]
    held_types: list[str]
    running: list[str]
    running_runs: list[int]
    status: str


class Effects(msgspec.Struct, gc=False):
    """Everything one event led to. The shell applies the fields in the order they stand here."""

    register: Registration | None = None  # say RegisterWorker with this
    keep: list[str] = []  # put the values that came with the event into the store
    define: dict[bytes, Blob] = {}  # functions, before what is in `execute`
    revoke: list[TaskRun] = []  # take out of the ready queue what did not start; answer `Revoked`
    discard: list[TaskRun] = []  # the same; and of those that started, store no result
    drop: list[str] = []  # from the store, where it has them
    execute: list[TaskRun] = []  # put into the ready queue
    after: dict[TaskRun, tuple[TaskRun, ...]] = {}  # some of these: not before others have ended
    forget: list[bytes] = []  # functions
    fetch: list[Fetch] = []
    pause: bool = False  # the executor starts nothing new
    resume: bool = False
    evict: int = 0  # so many bytes of the store should go to disk
    send: list[Any] = []  # messages to the scheduler, one batch
    close: tuple[str, bool] | None = None  # (reason, whether a nanny should restart the process)
    deadline: float | None = None  # a Tick is due then
