"""What messages of several edges have in common.

Definitions only; the conventions are in the package's docstring.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from shoal.wire.blob import Blob

__all__ = [
    "DefineFunctions",
    "ForgetFunctions",
    "Inline",
    "Priority",
    "RetryPolicy",
    "TaskOptions",
]


Priority: TypeAlias = tuple[float, int, int]
"""(minus the user's priority, generation, position in the graph); smaller runs first."""


Inline: TypeAlias = bytes | bool | int | float
"""A small result that comes along: a pickle, or a number as it is."""


class RetryPolicy(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """When a task that failed is run again: `shoal.Retry`, but for the number of times.

    A worker says of a failure what it is (`Failed.kinds`), and what `when` said of it
    (`Failed.agreed`); the scheduler decides.
    """

    on: list[str] = []  # "module.name" of exception classes; an error of another class is final
    delay: float = 0.0  # seconds before the first retry
    backoff: float = 1.0  # the delay is so many times as long with each further one
    jitter: bool = False  # the delay is made shorter by up to a half, differently for each key
    when: str = ""  # "module:name" of a function that is called with the exception


class TaskOptions(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What a user asked for a task beyond function and arguments; shared by the tasks of one call.

    Part of `Graph`, and of each `Compute` made from it.
    """

    workers: list[str] | None = None  # addresses, names or host names; None: anywhere
    allow_other_workers: bool = False
    resources: dict[str, float] | None = None
    retries: int = 0
    actor: bool = False
    executor: str | None = None
    annotations: dict[str, Any] | None = None
    alone: bool = False  # said by the scheduler: run it while nothing else runs on the worker
    timeout: float = 0.0  # seconds that a run may take; 0: any time
    retry: RetryPolicy | None = None  # how `retries` are made, if not at once and whatever failed


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
