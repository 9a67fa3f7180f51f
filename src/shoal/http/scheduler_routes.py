"""The scheduler's pages: which path shows what."""

from __future__ import annotations

from typing import Any

from shoal.dashboard import routes as dashboard
from shoal.http import api_routes, event_stream, info_routes, json_routes, proxy_routes
from shoal.http.exposition import CONTENT_TYPE
from shoal.http.handler import PageHandler
from shoal.http.scheduler_metrics import scheduler_metrics
from shoal.http.user_routes import user_routes

__all__ = ["routes"]


def routes(server: Any) -> list[Any]:
    """Return (path, handler) of all pages."""
    return [
        *dashboard.routes(server),
        (r"/metrics", Metrics),
        (r"/?", ToStatus),
        *json_routes.routes(server),
        *info_routes.routes(server),
        *api_routes.routes(server),
        *event_stream.routes(server),
        *proxy_routes.routes(server),
        *user_routes(server, "scheduler"),
    ]


class ToStatus(PageHandler):
    """The root: a link to it leads to the first page."""

    for_people = True

    def get(self) -> None:
        prefix = self.site.prefix.rpartition("/")[2]
        there = self.request.path.endswith("/") or not prefix
        query = f"?{self.request.query}" if self.request.query else ""  # of a frame: with its token
        self.redirect(("status" if there else f"{prefix}/status") + query)


class Metrics(PageHandler):
    """The same for Prometheus."""

    async def get(self) -> None:
        self.set_header("Content-Type", CONTENT_TYPE)
        self.write(await scheduler_metrics(self.server))
