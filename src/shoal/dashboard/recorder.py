"""A recording of a cluster at work: the frames that a viewer gets, kept in the page's own file."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
from tornado.websocket import (
    WebSocketClientConnection,
    WebSocketClosedError,
    websocket_connect,
)

from shoal.diagnostics.recording import RecordedPage

__all__ = ["record"]

_PAGES = (
    "status",
    "workers",
    "tasks",
    "cluster-map",
    "why",
    "groups",
    "graph",
    "exceptions",
    "code",
    "memory",
    "history",
    "faults",
    "events",
    "logs",
    "profile",
    "profile-server",
    "system",
    "counters",
)
# The questions of these pages, asked at the end.
_QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("why", {}),
    ("groups", {}),
    ("graph", {}),
    ("exceptions", {}),
    ("code", {}),
    ("memory", {}),
    ("events", {}),
    ("logs", {}),
    ("profile", {}),
    ("profile", {"own": True}),
    ("counters", {}),
    ("monitors", {}),
)
_PATIENCE = 40.0  # seconds for an answer; the scheduler's own limit is less

_LARGEST = 256 * 2**20  # bytes of a message


def _decode(message: str | bytes) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.msgpack.decode(
        message.encode() if isinstance(message, str) else message
    )
    return found


async def record(link: str, stop: asyncio.Event, seconds: float, most: int) -> RecordedPage:
    """Look at a scheduler's pages for a while; return what was to be seen.

    Parameters
    ----------
    link : str
        Where the pages are, with a token where they want one.
    stop : asyncio.Event
        Set when it is enough.
    seconds : float
        The longest time to look.
    most : int
        The most bytes to keep.
    """
    async with asyncio.timeout(_PATIENCE):
        socket = await _connect(link)
    try:
        frames = await _frames(socket, stop, time.monotonic() + seconds, most)
        answers = await _answers(socket, frames)
    finally:
        socket.close()
    if not frames:
        raise ValueError("the scheduler sent no frame: was it closed?")
    return RecordedPage("Recording", _PAGES, frames, answers)


async def _connect(link: str) -> WebSocketClientConnection:
    return await websocket_connect(_feed_of(link), max_message_size=_LARGEST)


def _feed_of(link: str) -> str:
    parts = urlsplit(link)
    scheme = "wss" if parts.scheme == "https" else "ws"
    path = parts.path.removesuffix("status") + "feed"
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))


async def _next(socket: WebSocketClientConnection, seconds: float) -> dict[str, Any] | None:
    """Return the next message, None after the last one."""
    async with asyncio.timeout(seconds):
        message = await socket.read_message()
    return None if message is None else _decode(message)


async def _frames(
    socket: WebSocketClientConnection, stop: asyncio.Event, until: float, most: int
) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    size = 0
    while not stop.is_set() and time.monotonic() < until and size < most:
        async with asyncio.timeout(_PATIENCE):
            message = await socket.read_message()
        if message is None:
            break
        size += len(message)
        frames.append(_decode(message))
    return frames


async def _answers(
    socket: WebSocketClientConnection, frames: list[dict[str, Any]]
) -> dict[str, Any]:
    """Ask what the pages will ask; frames that come meanwhile are kept as well."""
    answers: dict[str, Any] = {}
    for number, (question, arguments) in enumerate(_QUESTIONS):
        asked = {"number": number, "question": question, "arguments": arguments}
        try:
            socket.write_message(json.dumps(asked))
            while (message := await _next(socket, _PATIENCE)) is not None:
                if message["kind"] == "answer":
                    break
                frames.append(message)
        except (WebSocketClosedError, OSError, TimeoutError):
            break
        if message is None:
            break
        if message["error"] is None:
            given = "".join(f" {name}={str(value).lower()}" for name, value in arguments.items())
            answers[question + given] = message["answer"]
    return answers
