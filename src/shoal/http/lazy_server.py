"""Where visitors knock: sockets that listen, and load all that answers at the first visit.

So the pages cost a cluster nothing that nobody looks at: no import, no memory, no start-up time.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import socket
import ssl
from typing import Any

from shoal import config
from shoal.comm.page_tokens import ONCE, PageTokens, with_token
from shoal.diagnostics.links import dashboard_link, parse_place, warn_of_taken_port
from shoal.http.admission import Admission
from shoal.http.user_modules import load_user_modules

__all__ = ["LazyHttpServer"]

logger = logging.getLogger("shoal.http")

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
        The prefix of all paths.
    routes : str, optional
        The module that has the routes.
    xheaders : bool, optional
        Whether a proxy in front says in headers who asks and how.

    Attributes
    ----------
    host, port : str, int
        Where it listens.
    scheme : str
        ``"http"`` or ``"https"``.
    admission : Admission
        Which visitors may see the pages.
    """

    def __init__(
        self,
        server: Any,
        place: str | int,
        prefix: str = "",
        routes: str = "shoal.http.scheduler_routes",
        xheaders: bool = False,
    ) -> None:
        self.server = server
        self.prefix = prefix.strip("/")
        self._routes, self._xheaders = routes, xheaders
        self.host, wanted = parse_place(place)
        self.admission = Admission(self.host, self._make_tokens)
        # Errors in these are raised now, not at the first visitor.
        load_user_modules("worker" if "worker" in routes else "scheduler")
        self._context = _https()
        self.scheme = "https" if self._context is not None else "http"
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

    @property
    def needs_login(self) -> bool:
        """Whether pages are for those who logged in only."""
        return self.admission.needs_login

    def _make_tokens(self) -> PageTokens:
        return PageTokens.configured(self.server.security.secret)

    def _knock(self) -> None:
        self._stop_listening()
        self._opening = self._loop.create_task(self._open())

    async def _open(self) -> None:
        # In a thread: it takes a fifth of a second, in which the cluster must go on.
        try:
            app = await self._loop.run_in_executor(None, importlib.import_module, _APP)
            self._http = app.serve(
                self.server,
                self._sock,
                self._routes,
                prefix=self.prefix,
                admission=self.admission,
                context=self._context,
                xheaders=self._xheaders,
            )
        except Exception:
            logger.exception("The pages cannot be shown")
            self._sock.close()  # visitors would wait for ever

    def _stop_listening(self) -> None:
        try:
            self._loop.remove_reader(self._sock.fileno())
        except NotImplementedError:
            pass

    def tell(self, identity: dict[str, Any]) -> None:
        """Log where the pages are, with what lets one visitor in, once: others may read the log.

        Parameters
        ----------
        identity : dict
            The server's description of itself.
        """
        link = dashboard_link(identity)
        if self.needs_login:
            link = with_token(link, self.admission.tokens.make(ONCE))
            if self.scheme == "http" and not self._xheaders:
                logger.info(
                    "Pages are shown to others over plain HTTP: see distributed.scheduler."
                    "dashboard.tls, or put a proxy in front"
                )
        logger.info("Pages at: %s", link)

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


def _https() -> ssl.SSLContext | None:
    """Return what the pages' certificate says, None where there is none."""
    tls = "distributed.scheduler.dashboard.tls"
    names = ("cert", "key", "ca-file")
    cert, key, ca = (config.get_optional_str(f"{tls}.{name}") for name in names)
    if cert is None and key is None and ca is None:
        return None
    if cert is None or key is None:
        raise ValueError(f"pages over HTTPS need both '{tls}.cert' and '{tls}.key'")
    for name, path in zip(names, (cert, key, ca)):
        if path is not None and not os.path.exists(path):
            raise FileNotFoundError(f"there is no file {path!r}, which '{tls}.{name}' names")
    # Visitors with a certificate of the authority need no other login.
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    context.verify_mode = ssl.CERT_OPTIONAL if ca is not None else ssl.CERT_NONE
    context.load_cert_chain(cert, key)
    return context


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
