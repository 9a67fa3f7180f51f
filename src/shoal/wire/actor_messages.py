"""The messages between callers of actors and the actors' workers, on a connection of their own.

Only message definitions live here; the conventions are those of `wire.messages`.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from shoal.wire.blob import Blob


class ActorCall(msgspec.Struct, array_like=True, gc=False, tag="call"):
    """Call a method of an actor, or read an attribute."""

    id: int  # the caller's count on this connection; calls of one connection begin in this order
    key: str  # the actor's
    name: str
    args: Blob | None  # pickled (args, kwargs); None: read the attribute
    on_loop: bool = False  # on the event loop's thread, as the caller knows that it is short


class ActorResult(msgspec.Struct, array_like=True, gc=False, tag="result"):
    id: int
    value: Blob


class ActorFailed(msgspec.Struct, array_like=True, gc=False, tag="failed"):
    id: int
    exception: Blob
    traceback: Blob


ActorToCaller: TypeAlias = ActorResult | ActorFailed
