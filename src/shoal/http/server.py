"""The HTTP server: how much visitors may cost before, while and after they ask something."""

from __future__ import annotations

import logging
import ssl
from collections import OrderedDict
from typing import Any

from tornado.http1connection import HTTP1ServerConnection
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.web import Application

__all__ = ["PagesServer"]

_HEADER = 16 * 1024
_BODY = 1024 * 1024


class PagesServer(HTTPServer):
    """Ends requests that take too long to come, and the oldest connection when there are too many.

    Parameters
    ----------
    app : Application
        The application that answers.
    seconds : float
        How long a request may take to arrive, and a connection wait for the next one.
    most : int
        Connections at the same time.
    xheaders : bool
        Whether a proxy in front says in headers who asks and how.
    ssl_options : ssl.SSLContext, optional
        For HTTPS.
    """

    def __init__(self, app: Application, **kwargs: Any) -> None:
        # All is done in `initialize`, as tornado's servers have it.
        super().__init__(app, **kwargs)

    def initialize(  # type: ignore[override]
        self,
        app: Application,
        seconds: float,
        most: int,
        xheaders: bool = False,
        ssl_options: ssl.SSLContext | None = None,
    ) -> None:
        super().initialize(
            app,
            xheaders=xheaders,
            ssl_options=ssl_options,
            idle_connection_timeout=seconds,
            body_timeout=seconds,
            max_header_size=_HEADER,
            max_body_size=_BODY,
            max_buffer_size=2 * _BODY,
            chunk_size=64 * 1024,
        )
        self._most = most
        self._streams: OrderedDict[IOStream, None] = OrderedDict()
        # Lines that strangers send in place of a request would be quoted in the log.
        general = logging.getLogger("tornado.general")
        if general.level == logging.NOTSET:
            general.setLevel(logging.WARNING)

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        while len(self._streams) >= self._most:
            oldest, _ = self._streams.popitem(last=False)
            oldest.close()
        self._streams[stream] = None
        super().handle_stream(stream, address)

    def on_close(self, server_conn: object) -> None:
        if isinstance(server_conn, HTTP1ServerConnection):
            self._streams.pop(server_conn.stream, None)
        super().on_close(server_conn)
