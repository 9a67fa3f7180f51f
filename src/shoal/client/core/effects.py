"""What the client's core wants done."""

from __future__ import annotations

from typing import Any

import msgspec

from shoal.client.core.state import Record

__all__ = ["Effects"]


class Effects(msgspec.Struct, gc=False):
    """All that one event leads to."""

    messages: list[Any] = []  # to the scheduler, in this order
    changed: list[Record] = []  # in status, or in where the result is
    news: list[Any] = []  # of topics: `Published`, `Subscribers`
    events: list[Any] = []  # `TopicEvent`s of logged events that this client subscribed to
    lost: list[tuple[str, str]] = []  # kind and name of locks that others have now
    workers_changed: bool = False
    ended: str | None = None  # the scheduler closed, or was given up: why
