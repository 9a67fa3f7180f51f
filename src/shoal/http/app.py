"""The web server: which path shows what. Loaded at the first visit, for tornado loads slowly."""

from __future__ import annotations

import ipaddress
import json
import logging
import socket
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.web import Application, RedirectHandler, RequestHandler

from shoal import config
from shoal.http.metrics import CONTENT_TYPE, metrics_text
from shoal.http.pages import counts_of, status_page

__all__ = ["serve"]

logger = logging.getLogger("shoal.http")

_REFRESH_SECONDS = 2


def serve(server: Any, sock: socket.socket, prefix: str = "", host: str = "") -> HTTPServer:
    """Answer requests at a listening socket, whatever name of this machine they use."""
    start = f"/{prefix}" if prefix else ""
    given = {"server": server, "names": names_of(host)}
    routes: list[Any] = [
        (rf"{start}/health", _Health),
        (rf"{start}/status", _Status, given),
        (rf"{start}/json/counts\.json", _Counts, given),
        (rf"{start}/?", RedirectHandler, {"url": f"{start}/status", "permanent": False}),
    ]
    if CONTENT_TYPE:
        routes.append((rf"{start}/metrics", _Metrics, given))
    http = HTTPServer(Application(routes, log_function=_log))
    http.add_socket(sock)
    return http


def names_of(host: str) -> set[str]:
    """Return the names by which visitors may call the pages, besides numbers and localhost."""
    more = config.get_list("shoal.dashboard.hosts")
    return {str(name).lower() for name in (host, socket.gethostname(), *more)}


def is_called_rightly(name: str, names: set[str]) -> bool:
    """Whether the ``Host`` of a request is a name of ours.

    A page of elsewhere can have its own name lead here and read what is answered (DNS rebinding);
    the browser then still says that name. Numbers cannot be made to lead elsewhere.
    """
    name = name.lower().rstrip(".")
    if name in names or name == "localhost" or name.endswith(".localhost") or "*" in names:
        return True
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _log(handler: RequestHandler) -> None:
    logger.debug("%s %s: %d", handler.request.method, handler.request.uri, handler.get_status())


class _Page(RequestHandler):
    def initialize(self, server: Any = None, names: set[str] | None = None) -> None:
        self.scheduler = server
        self._names = names

    def prepare(self) -> None:
        name = self.request.host_name
        if self._names is not None and not is_called_rightly(name, self._names):
            self.set_status(403)
            self.set_header("Content-Type", "text/plain")
            self.finish(
                f"{name!r} is not known as a name of this machine. Use its address, or add the "
                "name to the configuration 'shoal.dashboard.hosts' of the scheduler."
            )

    def set_default_headers(self) -> None:
        self.set_header("Server", "shoal")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")


class _Health(_Page):
    def get(self) -> None:
        self.set_header("Content-Type", "text/plain")
        self.write("ok")


class _Status(_Page):
    def get(self) -> None:
        self.write(status_page(counts_of(self.scheduler), _REFRESH_SECONDS))


class _Counts(_Page):
    def get(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps(counts_of(self.scheduler)))


class _Metrics(_Page):
    def get(self) -> None:
        self.set_header("Content-Type", CONTENT_TYPE)
        self.write(metrics_text(counts_of(self.scheduler)))
