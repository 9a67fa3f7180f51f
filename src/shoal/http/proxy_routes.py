"""Pages of workers by way of the scheduler, for visitors who reach nothing else.

Only workers of this cluster are asked, only for pages that they are known to have, and what they
answer may run nothing in the visitor's browser: an open proxy would hand that to anybody.
"""

from __future__ import annotations

import re
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from tornado.web import HTTPError

from shoal.comm.addressing import get_address_host
from shoal.http.handler import PageHandler

__all__ = ["routes"]

_PAGES = ("status", "counters", "system", "health", "metrics", "sitemap.json", "json/identity.json")
_TYPES = ("text/html", "text/plain", "application/json")
_LARGEST = 16 * 2**20
_NONCE = re.compile(r"style-src 'nonce-([\w-]+)'")


def routes(server: Any) -> list[Any]:
    """Return (path, handler)."""
    pages = "|".join(page.replace(".", r"\.") for page in _PAGES)
    return [(rf"/proxy/(\d{{1,5}})/([^/]+)/({pages})", WorkerPage)]


class WorkerPage(PageHandler):
    """A page of a worker: `/proxy/PORT/HOST/PAGE`."""

    for_people = True

    def content_policy(self) -> str:
        return "default-src 'none'; sandbox"

    async def get(self, port: str, host: str, page: str) -> None:
        if not any(_is_at(ws, host, int(port)) for ws in self.server.state.workers.values()):
            raise HTTPError(404, f"no worker has pages at {host}:{port}")
        name = f"[{host}]" if ":" in host else host
        try:
            answer = await AsyncHTTPClient(max_body_size=_LARGEST).fetch(
                f"http://{name}:{port}/{page}",
                headers={"Authorization": f"Bearer {self.site.admission.tokens.bearer}"},
                request_timeout=10.0,
                follow_redirects=False,
            )
        except (HTTPClientError, OSError) as error:
            raise HTTPError(502, f"the worker's page did not answer: {error}") from None
        kind = answer.headers.get("Content-Type", "").partition(";")[0]
        self.set_header(
            "Content-Type", f"{kind if kind in _TYPES else 'text/plain'}; charset=utf-8"
        )
        nonce = _NONCE.search(answer.headers.get("Content-Security-Policy", ""))
        if nonce is not None:  # of its style; scripts stay forbidden
            policy = f"{self.content_policy()}; style-src 'nonce-{nonce[1]}'"
            self.set_header("Content-Security-Policy", policy)
        self.write(answer.body)


def _is_at(ws: Any, host: str, port: int) -> bool:
    """Whether the pages of a worker are at a host and port."""
    known = (get_address_host(ws.address), ws.info.host)
    return host in known and (ws.info.services or {}).get("dashboard") == port
