"""The effects that the worker's core asks of its shell after an event."""

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
    lives: dict[str, int] = {}  # by key: no other life will do; goes back with the answer


class Registration(msgspec.Struct, gc=False):
    """The part of `RegisterWorker` that the core knows."""

    held: list[str]
    held_nbytes: list[int]
    held_types: list[str]
    running: list[str]
    running_runs: list[int]
    status: str
    held_lives: list[int] = []
    running_lives: list[int] = []


class Effects(msgspec.Struct, gc=False):
    """Everything one event led to, in the order of carrying it out.

    The fields are carried out in the order in which they stand here, by
    `shoal.worker.applier.WorkerApplier`. Threads work meanwhile: whatever a run needs is there
    before it is handed over, and what must not be there any more is gone before a run that may make
    it anew is handed over. Messages to the scheduler are true by the time they are sent.
    """

    # First: the scheduler knows no peer before this message.
    register: Registration | None = None  # say RegisterWorker with this
    # The needs of runs: before `execute`.
    keep: list[str] = []  # put the values that came with the event into the store
    define: dict[bytes, Blob] = {}  # functions
    # Before `drop`: one that ends between the two would leave its result behind.
    revoke: list[TaskRun] = []  # take out of the ready queue what did not start; answer `Revoked`
    discard: list[TaskRun] = []  # the same; and of those that started, store no result
    # Before `execute`: the result of a run that makes a key again may be there at once.
    drop: list[str] = []  # from the store, where it has them
    # The earliest that can be: a thread may be idle.
    execute: list[TaskRun] = []  # put into the ready queue
    after: dict[TaskRun, tuple[TaskRun, ...]] = {}  # some of these: not before others have ended
    # After `discard`: what did not begin is not there any more. Each that runs: `Interrupted`.
    interrupt: list[TaskRun] = []  # stop the code of these
    abandon: list[TaskRun] = []  # their code does not stop: others get their threads
    forget: list[bytes] = []  # functions
    fetch: list[Fetch] = []
    call_back: list[str] = []  # open a connection to the scheduler for each of these tokens
    pause: bool = False  # the executor starts nothing new
    resume: bool = False
    refuse: dict[TaskRun, str] = {}  # these fail, for want of memory, with these words
    evict: int = 0  # so many bytes of the store should go to disk; answered by `Evicted`
    in_use: frozenset[str] = frozenset()  # none of these
    spare: list[str] = []  # and these only when all others are there, in this order
    reclaim: str = ""  # "trim": give free memory to the system; "collect": collect garbage first
    send: list[Any] = []  # messages to the scheduler, one batch
    deadline: float | None = None  # a Tick is due then; an earlier one does no harm
    leave: str = ""  # why the worker is to hand over its data and make room for a new process
    replace: str = ""  # the same, soon: something runs on that cannot be stopped
    # Last: the process may end.
    close: tuple[str, bool] | None = None  # (reason, whether a nanny should restart the process)
