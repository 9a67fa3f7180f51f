"""A worker's pages: what Kubernetes and Prometheus ask for, and numbers for people."""

from __future__ import annotations

import json
import time
from typing import Any

from dask.utils import format_bytes

from shoal.http.exposition import CONTENT_TYPE
from shoal.http.handler import PageHandler
from shoal.http.json_routes import Sitemap
from shoal.http.tables import STYLE, table
from shoal.http.user_routes import user_routes
from shoal.http.worker_metrics import tasks_by_state, worker_metrics
from shoal.shuffle.counters import COUNTERS

__all__ = ["routes"]

_MEASUREMENTS = 120


def routes(server: Any) -> list[Any]:
    """Return (path, handler) of all pages."""
    return [
        (r"/metrics", Metrics),
        (r"/status", Status),
        (r"/counters", Counters),
        (r"/system", System),
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
        links = '<p><a href="counters">counters</a> &middot; <a href="system">system</a></p>'
        style = f'<style nonce="{self.nonce}">{STYLE}</style>'
        shown = style + links + table(("", ""), facts, "tasks")
        self.write_page(f"shoal worker {self.server.name}", shown)


class Counters(PageHandler):
    """The quantities that the worker counts, for people."""

    for_people = True

    def get(self) -> None:
        worker = self.server
        incoming, outgoing = worker.transfers.incoming, worker.transfers.outgoing
        rows = [
            *((f"tasks: {labels['state']}", n) for labels, n in tasks_by_state(worker)),
            ("transfers from others", f"{incoming.count}, {format_bytes(incoming.nbytes)}"),
            ("transfers to others", f"{outgoing.count}, {format_bytes(outgoing.nbytes)}"),
            *(
                (f"{activity}", f"{count} times, {format_bytes(nbytes)}, {seconds:.3f} s")
                for activity, (nbytes, count, seconds) in worker.store.activities().items()
            ),
            *((f"shuffles: {name}", f"{n:g}") for name, n in COUNTERS.snapshot().items()),
        ]
        style = f'<style nonce="{self.nonce}">{STYLE}</style>'
        self.write_page(f"counters of worker {worker.name}", style + table(("", ""), rows))


class System(PageHandler):
    """The last minute of the worker's process and host, for people."""

    for_people = True

    def get(self) -> None:
        found = self.server.get_monitor_info(start=0)
        names = [name for name in found if name != "time" and isinstance(found[name], list)]
        lines = range(max(0, len(found.get("time", ())) - _MEASUREMENTS), len(found["time"]))
        rows = [
            (
                time.strftime("%H:%M:%S", time.localtime(found["time"][i])),
                *(_shown(name, found[name], i - len(found["time"])) for name in names),
            )
            for i in reversed(lines)
        ]
        style = f'<style nonce="{self.nonce}">{STYLE}</style>'
        again = '<meta http-equiv="refresh" content="2">'
        shown = style + table(("time", *names), rows)
        self.write_page(f"system of worker {self.server.name}", shown, again)


def _shown(name: str, values: list[float], i: int) -> str:
    """Return a measurement, counted from the last one back, as people read it."""
    if -i > len(values):
        return ""
    if name == "memory" or name.endswith("_bps"):
        return format_bytes(int(values[i])) + ("/s" if name != "memory" else "")
    return f"{values[i]:g}" + (" %" if name == "cpu" else "")
