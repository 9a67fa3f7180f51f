"""The effects that the client's core asks of its shell after an event."""

from __future__ import annotations

from typing import Any

import msgspec

from shoal.client.core.state import Record

__all__ = ["Effects"]


class Effects(msgspec.Struct, gc=False):
    """All that one event leads to, in the order of carrying it out.

    The fields are carried out in the order in which they stand here, by
    `shoal.client.session.applier.ClientApplier`: the messages in the thread that tells the core of
    the event, all else on the loop.
    """

    # First: before anything that is said because of what follows.
    messages: list[Any] = []  # to the scheduler, in this order
    cuts: list[int] = []  # numbers of messages after which another batch may begin
    # Before `changed`: who is woken may ask for the same key, and begins anew.
    refused: list[Record] = []  # of `changed`: the scheduler will never hear of these
    changed: list[Record] = []  # in status, or in where the result is
    news: list[Any] = []  # of topics: `Published`, `Subscribers`
    events: list[Any] = []  # `TopicEvent`s of logged events that this client subscribed to
    lost: list[tuple[str, str]] = []  # kind and name of locks that others have now
    # Before `workers_changed`: whoever waits for workers looks whether there will be any.
    ended: str | None = None  # the scheduler closed, or was given up: why
    workers_changed: bool = False

    def batches(self) -> list[list[Any]]:
        """Return the messages that must arrive together, in their order."""
        messages, cuts = self.messages, self.cuts
        if not cuts:
            return [messages] if messages else []
        ends = [*cuts, len(messages)]
        parts = [messages[start:end] for start, end in zip([0, *ends], ends, strict=False)]
        return [part for part in parts if part]
