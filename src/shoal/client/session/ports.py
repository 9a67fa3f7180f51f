"""The ports through which the effects of a real client's core are carried out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from shoal.comm.stream import MessageStream

__all__ = ["Calls", "Link"]

logger = logging.getLogger("shoal.client")


class Host(Protocol):
    """The parts of a session that are needed here; the attributes are explained there."""

    stream: MessageStream[Any] | None
    ended: str | None
    on_ended: Callable[[str], None] | None
    on_news: Callable[[list[Any]], None] | None
    on_event: Callable[[Any], None] | None
    on_workers: list[Callable[[], None]]


class Link:
    """The stream to the scheduler, whichever there is."""

    def __init__(self, session: Host) -> None:
        self._session = session

    def send(self, messages: list[Any]) -> None:
        """Send at the end of the loop's turn."""
        stream = self._session.stream
        if stream is not None:
            stream.send(messages)

    def send_now(self, messages: list[Any]) -> None:
        """Send at once; without a connection, it is said again when there is one."""
        stream = self._session.stream
        if stream is not None:
            stream.send_now(messages)


class Calls:
    """Calls who wants to be told on the loop when something else than a future changes."""

    def __init__(self, session: Host) -> None:
        self._session = session

    def heard(self, news: list[Any]) -> None:
        """Messages of topics came."""
        if self._session.on_news is not None:
            self._session.on_news(news)

    def logged(self, event: Any) -> None:
        """An event of a topic was logged."""
        if self._session.on_event is not None:
            self._session.on_event(event)

    def lock_lost(self, kind: str, name: str) -> None:
        """Tell people."""
        logger.warning(
            "the %s %r that this client held went to another while the scheduler was away",
            kind,
            name,
        )

    def ended(self, reason: str) -> None:
        """Nothing more can be done."""
        self._session.ended = reason
        if self._session.on_ended is not None:
            self._session.on_ended(reason)

    def workers_changed(self) -> None:
        """Workers came or went, or the scheduler said welcome."""
        for callback in list(self._session.on_workers):
            callback()
