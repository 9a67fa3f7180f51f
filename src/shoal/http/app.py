"""Puts a server of pages together: routes, who is admitted, limits. Loaded at the first visit, for
tornado loads slowly.
"""

from __future__ import annotations

import importlib
import logging
import re
import socket
import ssl
from typing import Any

from tornado.web import Application, HTTPError, RequestHandler

from shoal import config
from shoal.comm.strangers import clean
from shoal.http.admission import Admission
from shoal.http.handler import PageHandler, Site, login_form
from shoal.http.server import PagesServer

__all__ = ["serve"]

logger = logging.getLogger("shoal.http")

_CHOICE = re.compile(r"([^(]*)\((.*)\)([^)]*)")


def serve(
    server: Any,
    sock: socket.socket,
    routes: str,
    admission: Admission,
    prefix: str = "",
    context: ssl.SSLContext | None = None,
    xheaders: bool = False,
) -> PagesServer:
    """Answer requests at a listening socket.

    Parameters
    ----------
    server : Scheduler or Worker
        The server that the pages are about.
    sock : socket
        Where visitors come.
    routes : str
        The module that has the `routes` of these pages.
    admission : Admission
        Which visitors may see the pages.
    prefix : str
        The prefix of all paths.
    context : ssl.SSLContext, optional
        For HTTPS.
    xheaders : bool
        Whether a proxy in front says in headers who asks and how.
    """
    seconds = config.get_seconds("shoal.dashboard.request-timeout")
    start = f"/{prefix}" if prefix else ""
    port = sock.getsockname()[1]
    site = Site(server, start, port, admission, seconds, xheaders)
    # By name, as a worker needs none of the scheduler's pages.
    known: list[Any] = importlib.import_module(routes).routes(server)
    known = [(r"/health", Health), (r"/login", Login), *known]
    site.paths = sorted({each for path, *_ in known for each in _plain(path)} - {""})
    given = {"site": site}
    app = Application(
        [_rule(start, given, *each) for each in known],
        default_handler_class=_Nothing,
        default_handler_args=given,
        log_function=_log,
        # Listeners that are gone without a word are found out.
        websocket_ping_interval=max(seconds, 1.0),
    )
    http = PagesServer(
        app,
        seconds=seconds,
        most=config.get_int("shoal.dashboard.connections", minimum=1),
        xheaders=xheaders,
        ssl_options=context,
    )
    http.add_socket(sock)
    return http


def _log(handler: RequestHandler) -> None:
    request = handler.request
    # Without what follows the path: there may be a token in it.
    logger.debug("%s %s: %d", request.method, clean(request.path), handler.get_status())


def _rule(
    start: str, given: dict[str, Any], path: str, handler: Any, kwargs: dict[str, Any] | None = None
) -> tuple[str, Any, dict[str, Any]]:
    return start + path, handler, {**given, **(kwargs or {})}


def _plain(pattern: str) -> list[str]:
    """Return the paths that a pattern stands for, where these can be counted.

    Examples
    --------
    >>> _plain(r"/json/counts\\.json"), _plain("/(status|tasks)"), _plain("/info/(.+)")
    (['/json/counts.json'], ['/status', '/tasks'], [])
    """
    found = _CHOICE.fullmatch(pattern)
    start, names, end = found.groups() if found is not None else (pattern, "", "")
    if any(mark in names for mark in ".*+[("):
        return []
    return [(start + each + end).removesuffix("/?").replace("\\", "") for each in names.split("|")]


class _Nothing(PageHandler):
    """The answer for paths that do not exist; only admitted visitors learn that."""

    def prepare(self) -> None:
        if self._let_in():
            raise HTTPError(404)


class Health(PageHandler):
    """For probes: whether it answers at all."""

    for_everybody = True

    def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write("ok")


class Login(PageHandler):
    """Where a visitor shows a token that is in no link."""

    for_everybody = True

    def get(self, failed: bool = False) -> None:
        self.write_page("shoal: log in", login_form(failed))

    def post(self) -> None:
        if self.site.admission.check(self.get_body_argument("token", "").strip()) is None:
            self.set_status(403)
            self.get(failed=True)
            return
        self.begin_session()
        self.set_status(303)
        self.set_header("Location", "status")
