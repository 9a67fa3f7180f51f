"""Structs that messages of several edges share.

Definitions only; the conventions are in the package's docstring.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

from shoal.wire.blob import Blob

__all__ = [
    "Amount",
    "Clock",
    "Count",
    "DefineFunctions",
    "ForgetFunctions",
    "Index",
    "Inline",
    "Life",
    "Position",
    "Priority",
    "Rank",
    "RetryPolicy",
    "Run",
    "Size",
    "TaskOptions",
]

# The decoder refuses numbers out of these ranges, and NaN anywhere. They leave room for sums.
_MOST = 2**62

Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
"""Bytes, runs, retries, ...: none is below zero."""

Life: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""The number of a life of a key, or how far a client was heard; they begin with the time."""

Run: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
"""The number of a run; 0 is that of a task that runs nowhere."""

Size: TypeAlias = Annotated[int, msgspec.Meta(ge=-1, le=_MOST)]
"""Bytes of a result; -1 where it is not there yet."""

Index: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**31)]
"""Of an entry in a column of the same message."""

Position: TypeAlias = Annotated[int, msgspec.Meta(ge=-_MOST, le=_MOST)]
"""In an order, or a number that a peer counts up by itself."""

Clock: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
"""Seconds on a clock, of which differences are taken."""

Amount: TypeAlias = Annotated[float, msgspec.Meta(ge=0.0, le=1e15)]
"""Seconds that something takes, or how much there is of a resource."""

Backoff: TypeAlias = Annotated[float, msgspec.Meta(ge=1.0, le=1e6)]
"""How many times as long a wait is than the one before."""

Rank: TypeAlias = Annotated[float, msgspec.Meta(ge=-1e300, le=1e300)]
"""Of a user: smaller ones run first, or larger ones."""

Priority: TypeAlias = tuple[Rank, Position, Position]
"""(minus the user's priority, generation, position in the graph); smaller runs first."""


Inline: TypeAlias = bytes | bool | int | float
"""A small result that comes along: a pickle, or a number as it is."""


class RetryPolicy(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """When a task that failed is run again: `shoal.Retry`, but for the number of times.

    A worker says of a failure what it is (`Failed.kinds`), and what `when` said of it
    (`Failed.agreed`); the scheduler decides.
    """

    on: list[str] = []  # "module.name" of exception classes; an error of another class is final
    delay: Amount = 0.0  # seconds before the first retry
    backoff: Backoff = 1.0  # the delay is so many times as long with each further one
    jitter: bool = False  # the delay is made shorter by up to a half, differently for each key
    when: str = ""  # "module:name" of a function that is called with the exception


class TaskOptions(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A user's options for a task, beside function and arguments; shared by the tasks of one call.

    Part of `Graph`, and of each `Compute` made from it.
    """

    workers: list[str] | None = None  # addresses, names or host names; None: anywhere
    allow_other_workers: bool = False
    resources: dict[str, Amount] | None = None
    retries: Count = 0
    actor: bool = False
    executor: str | None = None
    annotations: dict[str, Any] | None = None
    alone: bool = False  # said by the scheduler: run it while nothing else runs on the worker
    timeout: Amount = 0.0  # seconds that a run may take; 0: any time
    retry: RetryPolicy | None = None  # how `retries` are made, if not at once and whatever failed
    # Dependencies that are not brought to the worker: the task reads what it needs of them where
    # they are. Ranges of their numbers, as (start, stop, start, stop, ...).
    in_place: tuple[Index, ...] = ()


class DefineFunctions(msgspec.Struct, array_like=True, gc=False, tag="fn"):
    """Pickled functions by id, before the first message that refers to them.

    Sent by clients, and on by the scheduler to each worker that runs tasks of the function. Valid
    on this connection until `ForgetFunctions`.
    """

    ids: list[bytes]
    blobs: list[Blob]


class ForgetFunctions(msgspec.Struct, array_like=True, gc=False, tag="fn-"):
    """No message that follows refers to these functions: the receiver may drop them.

    Sent by a client when none of its tasks needs them, by the scheduler when the worker has none.
    """

    ids: list[bytes]
