"""Visitors of the pages: requests as browsers and programs send them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Answer:
    """What a visitor got."""

    status: int
    headers: dict[str, str]
    text: str
    cookies: list[str] = field(default_factory=list)

    def json(self) -> Any:
        return json.loads(self.text)


class Visitor:
    """Sends requests to the pages of a server on this machine."""

    def __init__(self, server: Any, host: str = "127.0.0.1") -> None:
        self.port = server.services["dashboard"].port
        self.host = host

    async def ask(self, path: str, method: str = "GET", body: str = "", **headers: str) -> Answer:
        """Send one request; keywords are headers, with ``_`` for ``-``."""
        lines = {"Host": f"127.0.0.1:{self.port}", "Connection": "close"}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body:
            lines["Content-Length"] = str(len(body.encode()))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        reader, writer = await asyncio.open_connection(self.host, self.port)
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n{body}".encode())
        raw = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        head, _, text = raw.decode().partition("\r\n\r\n")
        first, *rest = head.split("\r\n")
        found = [tuple(line.split(": ", 1)) for line in rest]
        cookies = [value for name, value in found if name.lower() == "set-cookie"]
        return Answer(int(first.split()[1]), dict(found), text, cookies)


@pytest.fixture
def visitor() -> type[Visitor]:
    return Visitor
