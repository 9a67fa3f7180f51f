"""The stages in the life of a server."""

from __future__ import annotations

from enum import Enum

__all__ = ["Status"]


class Status(Enum):
    """The state of a server; a handler that has answered by itself returns `dont_reply`."""

    undefined = "undefined"
    created = "created"
    init = "init"
    starting = "starting"
    running = "running"
    paused = "paused"
    stopping = "stopping"
    stopped = "stopped"
    closing = "closing"
    closing_gracefully = "closing_gracefully"
    closed = "closed"
    failed = "failed"
    dont_reply = "dont_reply"

    def __eq__(self, other: object) -> bool:
        # Users compare with the name as well: `worker.status == "running"`.
        if isinstance(other, str):
            return self.value == other
        return self is other

    __hash__ = Enum.__hash__
