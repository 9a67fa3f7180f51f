"""The client in a child that was forked: its finished futures, and an answer for all else.

The child has neither the thread of the event loop nor the connections, which are the parent's. A
user of the client there is told so at once, by every method.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.client.core.events import GaveUp

if TYPE_CHECKING:
    from shoal.client.session.session import Session

__all__ = ["leave_to_parent"]

REASON = (
    "it belongs to the process that this one was forked from; make a new Client here, with the "
    "scheduler's address, or start processes with 'spawn'"
)


def leave_to_parent(session: Session) -> None:
    """In a forked child: end a session, without a word on the connections that are the parent's."""
    session.set_up()
    session.stream = None
    session.on_ended = None  # all that it does is on the loop
    session.on_workers = []
    if session.loop is not None:
        session.loop = session.outbox.loop = _AtOnce()  # type: ignore[assignment]
    session.hand(GaveUp(f"{REASON} (process {os.getpid()})"))


class _AtOnce:
    """In the place of the loop: what is to be done on it is done here and now."""

    def call_soon(self, function: Callable[..., Any], *args: Any) -> None:
        function(*args)

    call_soon_threadsafe = call_soon

    def is_closed(self) -> bool:
        return False
