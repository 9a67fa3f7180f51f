"""How browsers get the dashboard: the page, its files, and the connection for frames."""

from __future__ import annotations

import asyncio
import html
import json
import logging
from functools import lru_cache
from importlib.resources import files
from typing import Any

import msgspec
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from shoal.dashboard.feed import Feed
from shoal.dashboard.pages import CLUSTER_MAP, PAGES, PANES, title_of_pane
from shoal.dashboard.questions.table import answer, changes_are_allowed
from shoal.http.handler import Guarded, PageHandler, Site

__all__ = ["routes"]

logger = logging.getLogger("shoal.dashboard")

_FILES = {
    "dashboard.js": "text/javascript; charset=utf-8",
    "dashboard-style.css": "text/css; charset=utf-8",
    "LICENSES.txt": "text/plain; charset=utf-8",
}
_LONGEST_QUESTION = 64 * 1024
_QUESTIONS_AT_ONCE = 8
_encode = msgspec.msgpack.Encoder(enc_hook=str).encode


def routes(server: Any) -> list[Any]:
    """Return (path, handler, arguments) of the dashboard of a scheduler."""
    feed = Feed(server)
    pages = "|".join(PAGES)
    panes = "|".join(PANES)
    return [
        (rf"/({pages})", DashboardPage),
        (rf"/individual-({panes})", DashboardPage, {"single": True}),
        (r"/individual-plots\.json", IndividualPlots),
        (_escape(CLUSTER_MAP), DashboardPage, {"single": True}),
        (rf"/statics/({'|'.join(map(_escape, _FILES))})", DashboardFile),
        (r"/feed", FeedSocket, {"feed": feed}),
    ]


def _escape(name: str) -> str:
    return name.replace(".", r"\.")


@lru_cache(maxsize=len(_FILES))
def _content(name: str) -> bytes:
    return (files("shoal.dashboard") / "static" / name).read_bytes()


class DashboardPage(PageHandler):
    """The page itself: the same few lines for all, as everything is drawn by its script."""

    for_people = True

    def initialize(self, site: Site, single: bool = False, **kwargs: Any) -> None:
        self._single = single
        super().initialize(site, **kwargs)

    def content_policy(self) -> str:
        return (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            "connect-src 'self'; base-uri 'none'; form-action 'self'"
        )

    def get(self, name: str = "cluster-map") -> None:
        depth = self.request.path.removeprefix(self.site.prefix).count("/") - 1
        up = "../" * depth
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.write(
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>shoal: {html.escape(name)}</title>"
            f'<link rel="stylesheet" href="{up}statics/dashboard-style.css">'
            f'<script defer src="{up}statics/dashboard.js"></script></head>'
            f'<body><div id="dashboard" data-page="{name}" '
            f'data-single="{str(self._single).lower()}" '
            f'data-base="{up}" data-actions="{str(changes_are_allowed()).lower()}">'
            "<noscript>This page is drawn by a script, which this browser does not run. "
            'Numbers as text: <a href="json/counts.json">json/counts.json</a></noscript>'
            "</div></body></html>\n"
        )


class IndividualPlots(PageHandler):
    """The panes that can be shown alone, for notebooks' extensions, which ask every few seconds."""

    def get(self) -> None:
        found = {title_of_pane(name): f"/individual-{name}" for name in PANES}
        found[title_of_pane("cluster-map")] = CLUSTER_MAP
        self.set_header("Content-Type", "application/json")
        self.write(json.dumps(found))


class DashboardFile(PageHandler):
    """The script and the style: the same for everybody, so browsers may keep them for a while."""

    for_everybody = True

    def get(self, name: str) -> None:
        self.set_header("Content-Type", _FILES[name])
        self.set_header("Cache-Control", "max-age=300")
        self.write(_content(name))


class FeedSocket(Guarded, WebSocketHandler):
    """One viewer: frames go out; questions come in and are answered."""

    _feed: Feed

    def initialize(self, site: Site, feed: Feed | None = None, **kwargs: Any) -> None:
        assert feed is not None
        self._feed = feed
        self._under_way = 0  # questions that are not answered yet
        self._unread = 0
        super().initialize(site, **kwargs)

    def get_compression_options(self) -> None:
        # Frames are small, and compressing them for each viewer would cost more than all else.
        return None

    @property
    def max_message_size(self) -> int:
        return _LONGEST_QUESTION

    def open(self, *args: str, **kwargs: str) -> None:
        self._feed.join(self)

    def on_close(self) -> None:
        self._feed.leave(self)

    def show(self, frame: bytes) -> None:
        """Send a frame."""
        try:
            sent = self.write_message(frame, binary=True)
        except WebSocketClosedError:
            return
        self._unread += len(frame)

        def read(done: asyncio.Future[None]) -> None:
            self._unread -= len(frame)
            done.exception()  # a viewer that left is no fault

        sent.add_done_callback(read)

    def unread(self) -> int:
        """Return how many bytes wait to be read."""
        return self._unread

    async def on_message(self, message: str | bytes) -> None:
        try:
            asked = json.loads(message)
            number, name = int(asked["number"]), str(asked["question"])
            arguments = dict(asked.get("arguments") or {})
        except (ValueError, KeyError, TypeError):
            self.close(1003, "a question is a number, a name and arguments")
            return
        if self._under_way >= _QUESTIONS_AT_ONCE:
            self._reply(number, None, "too many questions at once")
            return
        self._under_way += 1
        task = asyncio.ensure_future(self._answer(number, name, arguments))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _answer(self, number: int, name: str, arguments: dict[str, Any]) -> None:
        try:
            found = await answer(self.site.server, name, arguments)
        except (ValueError, PermissionError) as error:
            self._reply(number, None, str(error))
        except Exception as error:
            logger.warning("the question %r of the dashboard failed", name, exc_info=True)
            self._reply(number, None, f"{type(error).__name__}: {error}")
        else:
            self._reply(number, found, None)
        finally:
            self._under_way -= 1

    def _reply(self, number: int, found: Any, error: str | None) -> None:
        told = {"kind": "answer", "number": number, "answer": found, "error": error}
        self.show(_encode(told))
