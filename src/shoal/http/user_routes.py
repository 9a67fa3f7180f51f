"""Routes of users' own: modules that the configuration names, ``distributed.*.http.routes``.

A module has a list ``routes`` of ``(path, handler, arguments)``; the handlers are tornado's, and
get ``initialize(dask_server=, extra=)`` besides their arguments. They are guarded like all others.
"""

from __future__ import annotations

from typing import Any

from tornado.web import RequestHandler

from shoal.http.handler import Guarded
from shoal.http.user_modules import load_user_modules

__all__ = ["DaskHandler", "user_routes"]


def user_routes(server: Any, role: str) -> list[Any]:
    """Return (path, handler, arguments) of all modules that the configuration names.

    Parameters
    ----------
    server : Scheduler or Worker
        The server that handlers get as `dask_server`.
    role : {"scheduler", "worker"}
        Which list is meant.
    """
    found: list[Any] = []
    for path, handler, *more in load_user_modules(role):
        given = {"dask_server": server, "extra": {}, **(more[0] if more else {})}
        found.append((path if path.startswith("/") else f"/{path}", _guarded(handler), given))
    return found


def _guarded(handler: type[RequestHandler]) -> type[RequestHandler]:
    if issubclass(handler, Guarded):
        return handler
    return type(handler.__name__, (Guarded, handler), {"content_policy": _any_own})


def _any_own(self: Guarded) -> str:
    """Users' pages may use scripts and styles of files of this server."""
    return (
        f"default-src 'self'; script-src 'self' 'nonce-{self.nonce}'; "
        f"style-src 'self' 'nonce-{self.nonce}'; img-src 'self' data:; base-uri 'none'"
    )


class DaskHandler(RequestHandler):
    """The base class of handlers of users that follow dask's documentation.

    Attributes
    ----------
    server : Scheduler or Worker
        The server that the page is about.
    extra : dict
        More arguments; none.
    """

    def initialize(self, dask_server: Any = None, extra: dict[str, Any] | None = None) -> None:
        self.server = dask_server
        self.extra = extra or {}
