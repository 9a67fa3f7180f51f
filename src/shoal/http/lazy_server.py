"""Where visitors knock: sockets that listen, and load all that answers at the first visit.

So the pages cost a cluster nothing that nobody looks at: no import, no memory, no start-up time.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
import warnings
from typing import Any

__all__ = ["DEFAULT_PLACE", "LazyHttpServer", "parse_place", "warn_of_taken_port"]

logger = logging.getLogger("shoal.http")

_APP = "shoal.http.app"
DEFAULT_PLACE = ":8787"
_LOCAL = "127.0.0.1"


def parse_place(place: str | int) -> tuple[str, int]:
    """Return host and port of ``8787``, ``":8787"`` or ``"host:8787"``.

    Without a host it is this machine's own address, which others cannot reach.
    """
    host, _, port = str(place).strip().removeprefix("http://").rpartition(":")
    try:
        number = int(port or 0)
        if not 0 <= number <= 65535:
            raise ValueError
    except ValueError:
        raise ValueError(
            f"dashboard_address must be 'host:port', ':port' or a port (0 to 65535), got {place!r}"
        ) from None
    return host.removeprefix("[").removesuffix("]") or _LOCAL, number


def warn_of_taken_port(place: str | int, port: int) -> None:
    """Say that the pages are not where they were asked for.

    Who did not ask for a place gets no warning: a second cluster on a machine is nothing odd.
    """
    wanted = parse_place(place)[1]
    if not wanted or wanted == port:
        return
    said = f"Port {wanted} is already in use, perhaps by another cluster; the dashboard is at"
    if place == DEFAULT_PLACE:
        logger.info("%s port %d", said, port)
    else:
        hint = "Ask for any free one with dashboard_address=':0'"
        warnings.warn(f"{said} port {port}. {hint}", stacklevel=2)


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
