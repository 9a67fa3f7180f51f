"""A worker's pages: what Kubernetes and Prometheus ask for."""

from __future__ import annotations

import json
from typing import Any

from shoal.http.exposition import CONTENT_TYPE
from shoal.http.handler import PageHandler
from shoal.http.json_routes import Sitemap
from shoal.http.tables import STYLE, table
from shoal.http.user_routes import user_routes
from shoal.http.worker_metrics import worker_metrics

__all__ = ["routes"]


def routes(server: Any) -> list[Any]:
    """Return (path, handler) of all pages."""
    return [
        (r"/metrics", Metrics),
        (r"/status", Status),
        (r"/json/identity\.json", Identity),
        (r"/sitemap\.json", Sitemap),
        *user_routes(server, "worker"),
    ]


class Metrics(PageHandler):
    """Numbers for Prometheus."""

    def get(self) -> None:
        self.set_header("Content-Type", CONTENT_TYPE)
        self.write(worker_metrics(self.server))


class Identity(PageHandler):
    """The worker's description of itself, for programs."""

    def get(self) -> None:
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps(self.server.identity(), default=str))


class Status(PageHandler):
    """The worker's description of itself, for people."""

    for_people = True

    def get(self) -> None:
        facts = [(name, value) for name, value in self.server.identity().items()]
        style = f'<style nonce="{self.nonce}">{STYLE}</style>'
        self.write_page(f"shoal worker {self.server.name}", style + table(("", ""), facts, "tasks"))
