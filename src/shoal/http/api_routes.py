"""The API for programs that start and stop workers, such as Kubernetes' operator: version 1.

Requests that change something are POST, and none of them goes without the login.
"""

from __future__ import annotations

import json
from typing import Any

from shoal.http.handler import PageHandler

__all__ = ["routes"]


def routes(server: Any) -> list[Any]:
    """Return (path, handler) of all of it."""
    return [
        (r"/api/v1/?", Version),
        (r"/api/v1/retire_workers", RetireWorkers),
        (r"/api/v1/get_workers", GetWorkers),
        (r"/api/v1/adaptive_target", AdaptiveTarget),
        (r"/api/v1/check_idle", CheckIdle),
    ]


class _Api(PageHandler):
    def send(self, value: Any) -> None:
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps(value, default=str))


class Version(PageHandler):
    """Which version this is."""

    def get(self) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.write("API V1")


class RetireWorkers(_Api):
    """Empty workers and close them: ``{"workers": [address, ...]}`` or ``{"n": 3}``."""

    changes = True

    async def post(self) -> None:
        try:
            asked = json.loads(self.request.body or b"{}")
            workers, n = _retired(asked)
        except (ValueError, TypeError) as error:
            self.refuse(400, f"not a request for workers to retire: {error}")
            return
        server = self.server
        which = {"workers": workers} if workers is not None else {"n": n} if n is not None else {}
        self.send(await server.retire_workers(close_workers=True, **which))


def _retired(asked: Any) -> tuple[list[str] | None, int | None]:
    if not isinstance(asked, dict):
        raise TypeError("give an object")
    unknown = sorted(set(asked) - {"workers", "n"})
    if unknown:
        raise ValueError(f"it has workers or n, not {', '.join(unknown)}")
    workers, n = asked.get("workers"), asked.get("n")
    if workers is not None and n is not None:
        raise ValueError("give workers or n, not both")
    is_list = isinstance(workers, list) and all(isinstance(each, str) for each in workers)
    if workers is not None and not is_list:
        raise TypeError("workers is a list of addresses")
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 0):
        raise TypeError("n is a number of workers")
    return workers, n


class GetWorkers(_Api):
    """Names and addresses of all workers."""

    def get(self) -> None:
        workers = [
            {"name": ws.name, "address": ws.address} for ws in self.server.state.workers.values()
        ]
        self.send({"num_workers": len(workers), "workers": workers})


class AdaptiveTarget(_Api):
    """How many workers there should be for the work."""

    async def get(self) -> None:
        self.send({"workers": (await self.server.seen.tally.take()).desired_workers})


class CheckIdle(_Api):
    """Since when there is nothing to do, in seconds since the epoch; null while there is."""

    def get(self) -> None:
        self.send({"idle_since": self.server.check_idle()})
