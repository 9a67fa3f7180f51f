"""The scheduler's pages: which path shows what."""

from __future__ import annotations

import json
from typing import Any

from shoal.dashboard import routes as dashboard
from shoal.http.handler import PageHandler
from shoal.http.metrics import CONTENT_TYPE, metrics_text
from shoal.http.pages import counts_of

__all__ = ["routes"]


def routes(server: Any) -> list[Any]:
    """Return (path, handler) of all pages."""
    return [
        *dashboard.routes(server),
        (r"/json/counts\.json", Counts),
        (r"/metrics", Metrics),
        (r"/?", ToStatus),
    ]


class ToStatus(PageHandler):
    """The root: a link to it leads to the first page."""

    for_people = True

    def get(self) -> None:
        prefix = self.site.prefix.rpartition("/")[2]
        there = self.request.path.endswith("/") or not prefix
        query = f"?{self.request.query}" if self.request.query else ""  # of a frame: with its token
        self.redirect(("status" if there else f"{prefix}/status") + query)


class Counts(PageHandler):
    """Numbers for programs."""

    def get(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps(counts_of(self.server)))


class Metrics(PageHandler):
    """The same for Prometheus."""

    def get(self) -> None:
        self.set_header("Content-Type", CONTENT_TYPE)
        self.write(metrics_text(counts_of(self.server)))
