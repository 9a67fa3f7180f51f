"""Where visitors knock: sockets that listen, and load all that answers at the first visit.

So the pages cost a cluster nothing that nobody looks at: no import, no memory, no start-up time.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
from typing import Any

from shoal.diagnostics.links import parse_place, warn_of_taken_port

__all__ = ["LazyHttpServer"]

_APP = "shoal.http.app"


class LazyHttpServer:
    """Listens for visitors.

    Parameters
    ----------
    server : object
        The scheduler that the pages are about.
    place : str or int
        Where to listen; another port is taken when that one is.
    prefix : str, optional
        What all paths begin with.
    """

    def __init__(self, server: Any, place: str | int, prefix: str = "") -> None:
        self.server = server
        self.prefix = prefix.strip("/")
        self.host, wanted = parse_place(place)
        self._sock = _listen(self.host, wanted)
        self.port: int = self._sock.getsockname()[1]
        warn_of_taken_port(place, self.port)
        self._http: Any = None
        self._opening: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        try:
            self._loop.add_reader(self._sock.fileno(), self._knock)
        except NotImplementedError:  # loops of Windows
            self._knock()

    def _knock(self) -> None:
        self._stop_listening()
        self._opening = self._loop.create_task(self._open())

    async def _open(self) -> None:
        # In a thread: it takes a fifth of a second, in which the cluster must go on.
        app = await self._loop.run_in_executor(None, importlib.import_module, _APP)
        self._http = app.serve(self.server, self._sock, self.prefix, self.host)

    def _stop_listening(self) -> None:
        try:
            self._loop.remove_reader(self._sock.fileno())
        except NotImplementedError:
            pass

    async def close(self) -> None:
        """Close the socket that listens, and the connections of visitors."""
        if self._opening is None:
            self._stop_listening()
        else:
            self._opening.cancel()
            await asyncio.wait([self._opening])
        if self._http is not None:
            self._http.stop()
            await self._http.close_all_connections()
        self._sock.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        return _bind(host, port)
    except OSError:
        if not port:
            raise
    try:
        return _bind(host, 0)
    except OSError as error:
        raise OSError(f"cannot listen at dashboard_address {host!r}: {error}") from None


def _bind(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if hasattr(socket, "SO_REUSEPORT"):  # elsewhere REUSEADDR would share the port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(64)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock
