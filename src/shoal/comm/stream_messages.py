"""Messages of users' own to the `stream_handlers` of a peer: in order, and nothing is answered.

Plugins and extensions send them from workers to the scheduler, and back. Several that follow each
other travel in one request.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from shoal.comm.server import Server
from shoal.comm.strangers import clean

__all__ = ["Outbox", "Outboxes", "receive"]

logger = logging.getLogger("shoal.core")

_MOST = 100_000  # messages that may wait for one peer


class Outbox:
    """Messages to one peer. Messages to a peer that is gone are dropped."""

    def __init__(self, server: Server, address: str) -> None:
        self._server = server
        self._address = address
        self._messages: list[dict[str, Any]] = []
        self._sending: asyncio.Task[None] | None = None

    def send(self, *messages: dict[str, Any]) -> None:
        """Send messages; each is a dict with the name of a handler in `op`. On any thread.

        Raises
        ------
        TypeError
            When a message is something else.
        """
        for message in messages:
            if not isinstance(message, dict) or not isinstance(message.get("op"), str):
                raise TypeError(
                    f"a message is a dict with a handler's name in 'op', not {message!r}"
                )
        self._server.loop.call_soon_threadsafe(self._add, messages)

    def _add(self, messages: tuple[dict[str, Any], ...]) -> None:
        if len(self._messages) + len(messages) > _MOST:
            logger.error(
                "%d messages to %s are dropped: it does not take what waits for it",
                *(len(self._messages) + len(messages), self._address),
            )
            self._messages.clear()
            return
        self._messages += messages
        if self._sending is None or self._sending.done():
            self._sending = self._server.background(self._send())

    async def _send(self) -> None:
        while self._messages:
            messages, self._messages = self._messages, []
            peer = self._server.rpc(self._address)
            try:
                await peer.stream_messages(messages=messages, sender=self._server.address)
            except Exception as error:
                logger.warning(
                    "%d messages to %s were not taken: %s",
                    *(len(messages), self._address, clean(error)),
                )


class Outboxes:
    """The outboxes of one server, by the address of the peer."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._boxes: dict[str, Outbox] = {}

    def to(self, address: str) -> Outbox:
        """Return the outbox to an address."""
        box = self._boxes.get(address)
        if box is None:
            box = self._boxes[address] = Outbox(self._server, address)
        return box

    def drop(self, address: str) -> None:
        """Forget a peer that is gone."""
        self._boxes.pop(address, None)


def receive(server: Server, messages: list[dict[str, Any]], **extra: Any) -> None:
    """Call the stream handlers that messages name; an error is logged, and the next one called.

    Parameters
    ----------
    server : Server
        Whose handlers these are.
    messages : list of dict
        In order.
    **extra
        Further arguments of each handler.
    """
    for message in messages:
        arguments = dict(message)
        op = arguments.pop("op", None)
        handler = server.stream_handlers.get(op)
        if handler is None:
            known = ", ".join(sorted(server.stream_handlers)) or "none"
            logger.error("%r has no stream handler %s; it has: %s", server, clean(repr(op)), known)
            continue
        try:
            result = handler(**arguments, **extra)
        except Exception:
            logger.exception("%r: the stream handler %s failed", server, clean(repr(op)))
            continue
        if asyncio.iscoroutine(result):
            server.background(result)
