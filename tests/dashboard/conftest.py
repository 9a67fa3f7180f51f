"""Viewers of the dashboard: what a page in a browser gets, without a browser."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect


class PageViewer:
    """One connection to the feed of a scheduler on this machine."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self._socket = socket
        self._asked = 0
        self._over = False

    @classmethod
    async def look(cls, scheduler: Any, **headers: str) -> PageViewer:
        base = scheduler.dashboard_link.partition("/status")[0]
        url = base.replace("http://", "ws://") + "/feed"
        return cls(await websocket_connect(HTTPRequest(url, headers=headers)))

    async def next(self) -> dict[str, Any]:
        message = await asyncio.wait_for(self._socket.read_message(), 20)
        assert isinstance(message, bytes)
        found: dict[str, Any] = msgspec.msgpack.decode(message)
        return found

    async def frame(self) -> dict[str, Any]:
        """Return the next message that is no answer."""
        while (message := await self.next())["kind"] == "answer":
            pass
        return message

    async def ask(self, question: str, **arguments: Any) -> Any:
        """Ask, and return the answer, or raise what was refused."""
        self._asked += 1
        number = self._asked
        text = {"number": number, "question": question, "arguments": arguments}
        await self._socket.write_message(json.dumps(text))
        while True:
            message = await self.next()
            if message["kind"] == "answer" and message["number"] == number:
                if message["error"] is not None:
                    raise PermissionError(message["error"])
                return message["answer"]

    async def send(self, text: str) -> None:
        await self._socket.write_message(text)

    async def closed(self) -> None:
        """Wait until the other end has closed the connection."""
        while not self._over:
            self._over = await asyncio.wait_for(self._socket.read_message(), 20) is None

    async def leave(self) -> None:
        self._socket.close()
        await self.closed()
