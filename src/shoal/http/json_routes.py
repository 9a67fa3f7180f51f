"""The JSON pages of a scheduler for programs: counts, and its description."""

from __future__ import annotations

import json
from typing import Any

from shoal.http.handler import PageHandler
from shoal.http.pages import counts_of

__all__ = ["Sitemap", "routes"]


def routes(server: Any) -> list[Any]:
    """Return (path, handler) of all of them."""
    return [
        (r"/json/counts\.json", Counts),
        (r"/json/identity\.json", Identity),
        (r"/json/index\.html", Index),
        (r"/sitemap\.json", Sitemap),
    ]


class _Json(PageHandler):
    def send(self, value: Any) -> None:
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps(value, default=str))


class Counts(_Json):
    """How many there are of what."""

    async def get(self) -> None:
        self.send(await counts_of(self.server))


class Identity(_Json):
    """The scheduler's description of itself and its workers."""

    def get(self) -> None:
        found = self.server.identity()
        workers = {address: _worker(each) for address, each in found["workers"].items()}
        limits = [each["memory_limit"] or 0 for each in workers.values()]
        self.send({**found, "total_memory": sum(limits), "workers": workers})


class Sitemap(_Json):
    """Which paths there are."""

    def get(self) -> None:
        self.send({"paths": self.site.paths})


class Index(PageHandler):
    """Links to the other answers in JSON."""

    for_people = True

    def get(self) -> None:
        names = [path.rpartition("/")[2] for path in self.site.paths if path.startswith("/json/")]
        rows = "".join(f'<li><a href="{name}">{name}</a></li>' for name in names if "json" in name)
        self.write_page("JSON", f"<ul>{rows}</ul>")


def _worker(told: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a worker, its numbers under the names that others know as well."""
    metrics = told["metrics"]
    transfer = metrics.get("transfer", {})
    spilled = metrics.get("spilled_bytes", 0)
    bandwidth = metrics.get("bandwidth", {})
    network = {"read_bps": 0.0, "write_bps": 0.0}
    whole = {
        "digests_total_since_heartbeat": {},
        "managed_bytes": 0,
        "event_loop_interval": 0.0,
        "cpu": 0.0,
        "memory": 0,
        "time": told["last_seen"],
        "host_net_io": network,
        "host_disk_io": network,
        "gil_contention": 0.0,
        "num_fds": 0,
        **metrics,
        "task_counts": {
            name: metrics[ours]
            for name, ours in (
                ("memory", "in_memory"),
                ("executing", "executing"),
                ("ready", "ready"),
            )
            if metrics.get(ours)
        },
        "bandwidth": {"total": 0, "workers": {}, "types": {}, **bandwidth},
        "spilled_bytes": {"memory": spilled, "disk": spilled},
        "transfer": {
            "incoming_bytes": 0,
            "incoming_count": 0,
            "incoming_count_total": 0,
            "outgoing_bytes": 0,
            "outgoing_count": 0,
            "outgoing_count_total": 0,
            **transfer,
        },
    }
    return {**told, "metrics": whole}
