"""Every typed message of shoal, one tagged union per edge and direction.

One module an edge, and `several_edges`; each message says who sends it, when, and what the
other side does. Only definitions live here: no behaviour, no I/O, no imports but `msgspec` and
`wire.blob`.
Messages that carry many tasks are columnar (one list per field) because a list of a thousand ints
encodes and decodes many times faster than a thousand small objects.

Conventions
-----------
- A *key* on the wire is always a `str` (`shoal._base.keys` converts tuple keys at the edges).
- A *function id* is the 16-byte digest of the pickled function; the blob is sent once per
  connection, always before the first message that refers to it.
- A *run* is a number the scheduler draws for each assignment of a task to a worker. It only grows,
  over restarts of the scheduler too, so a message about an older run of a key is dropped.
- A *life* is the number of one life of a key: from the moment a client defines it, or puts data
  under it, until nobody needs it any more. Clients draw them; see `docs/decisions`. Wherever a key
  crosses a connection that does not keep its order with all others about it, its life goes along.
  0 stands for one that the sender does not know.
- `told` counts what a client tells on one connection, and only grows. A message to the client
  says how far it was `heard`: a word about a key that was told later is about an older life of it.
- A list that is documented as "`[]` when ..." saves bytes and time in the common case.
"""

from __future__ import annotations

from shoal.wire.messages.client_to_scheduler import (
    Ask,
    Cancel,
    ClientGoodbye,
    ClientHeartbeat,
    ClientHello,
    ClientToScheduler,
    FireAndForget,
    Graph,
    Publish,
    Release,
    Resume,
    Retry,
    Scattered,
    Took,
    Unask,
    Want,
)
from shoal.wire.messages.scheduler_to_client import (
    Answer,
    ClientWelcome,
    KeyErred,
    KeysCancelled,
    KeysInMemory,
    KeysLost,
    KeysPending,
    KeysShared,
    Published,
    Restarted,
    SchedulerClosing,
    SchedulerToClient,
    Subscribers,
    TopicEvent,
    WorkersChanged,
)
from shoal.wire.messages.scheduler_to_worker import (
    Acquire,
    CallBack,
    CloseWorker,
    Compute,
    ComputeMany,
    Free,
    Interrupt,
    SchedulerToWorker,
    Steal,
    WorkerRejected,
    WorkerWelcome,
)
from shoal.wire.messages.several_edges import (
    DefineFunctions,
    ForgetFunctions,
    Inline,
    Priority,
    RetryPolicy,
    TaskOptions,
)
from shoal.wire.messages.worker_to_scheduler import (
    Acquired,
    Dropped,
    EventLogged,
    Failed,
    Finished,
    Interrupted,
    LongRunning,
    MissingDeps,
    NotAcquired,
    RegisterWorker,
    Rescheduled,
    ResourcesChanged,
    StealReply,
    WorkerGoodbye,
    WorkerHeartbeat,
    WorkerStatus,
    WorkerToScheduler,
)

__all__ = [
    "Acquire",
    "Acquired",
    "Answer",
    "Ask",
    "CallBack",
    "Cancel",
    "ClientGoodbye",
    "ClientHeartbeat",
    "ClientHello",
    "ClientToScheduler",
    "ClientWelcome",
    "CloseWorker",
    "Compute",
    "ComputeMany",
    "DefineFunctions",
    "Dropped",
    "EventLogged",
    "Failed",
    "Finished",
    "FireAndForget",
    "ForgetFunctions",
    "Free",
    "Graph",
    "Inline",
    "Interrupt",
    "Interrupted",
    "KeyErred",
    "KeysCancelled",
    "KeysInMemory",
    "KeysLost",
    "KeysPending",
    "KeysShared",
    "LongRunning",
    "MissingDeps",
    "NotAcquired",
    "Priority",
    "Publish",
    "Published",
    "RegisterWorker",
    "Release",
    "Rescheduled",
    "ResourcesChanged",
    "Restarted",
    "Resume",
    "Retry",
    "RetryPolicy",
    "Scattered",
    "SchedulerClosing",
    "SchedulerToClient",
    "SchedulerToWorker",
    "Steal",
    "StealReply",
    "Subscribers",
    "TaskOptions",
    "Took",
    "TopicEvent",
    "Unask",
    "Want",
    "WorkerGoodbye",
    "WorkerHeartbeat",
    "WorkerRejected",
    "WorkerStatus",
    "WorkerToScheduler",
    "WorkerWelcome",
    "WorkersChanged",
]
