"""Events of a cluster as they happen, for programs that listen at `/eventstream`."""

from __future__ import annotations

import datetime
import json
import zlib
from typing import Any

from tornado.websocket import WebSocketClosedError, WebSocketHandler

from shoal._base.keys import encode_key
from shoal.http.handler import Guarded, Site
from shoal.plugins.scheduler import SchedulerPlugin

__all__ = ["routes"]

_PLUGIN = "shoal-event-stream"
_MOST = 32  # listeners
_UNREAD = 4 * 1024 * 1024  # bytes; a listener that leaves more is hung up
_COLORS = ("#20A585", "#FDE724", "#45BF6F", "#440154", "#2D6F8E", "#9BD93C", "#433E85", "#25838D")


def routes(server: Any) -> list[Any]:
    """Return (path, handler, arguments)."""
    return [(r"/eventstream", EventSocket, {"listeners": Listeners(server)})]


class Listeners(SchedulerPlugin):
    """All that listen; a plugin of the scheduler while there are some.

    Parameters
    ----------
    scheduler : Scheduler
        Whose.
    """

    name = _PLUGIN

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler
        self.sockets: dict[EventSocket, None] = {}

    def join(self, socket: EventSocket) -> bool:
        """Tell a listener of everything from now on; whether there is room for it."""
        if len(self.sockets) >= _MOST:
            return False
        if not self.sockets:
            self.scheduler.own_plugins.put(self, _PLUGIN)
        self.sockets[socket] = None
        for worker in self.scheduler.state.workers:
            socket.say(_message("add_worker", worker=worker))
        return True

    def leave(self, socket: EventSocket) -> None:
        """Tell it no more."""
        self.sockets.pop(socket, None)
        if not self.sockets and _PLUGIN in self.scheduler.own_plugins.plugins:
            self.scheduler.own_plugins.take_out(_PLUGIN)

    def _tell(self, name: str, **fields: Any) -> None:
        text = _message(name, **fields)
        for socket in list(self.sockets):
            socket.say(text)

    def restart(self, scheduler: Any) -> None:
        self._tell("restart")

    def add_worker(self, scheduler: Any, worker: str) -> None:
        self._tell("add_worker", worker=worker)

    def remove_worker(self, scheduler: Any, worker: str, **kwargs: Any) -> None:
        self._tell("remove_worker", worker=worker)

    def add_client(self, scheduler: Any, client: str) -> None:
        self._tell("add_client", client=client)

    def remove_client(self, scheduler: Any, client: str) -> None:
        self._tell("remove_client", client=client)

    def update_graph(self, scheduler: Any, *, client: str, **kwargs: Any) -> None:
        self._tell("update_graph", client=client)

    def transition(
        self, key: Any, start: str, finish: str, *args: Any, stimulus_id: str, **kwargs: Any
    ) -> None:
        """Tell of what a run that ended did, one message for each thing."""
        if start != "processing" or finish not in ("memory", "erred"):
            return
        spans = kwargs.get("startstops") or []
        for span in spans:
            self._tell(
                "transition",
                key=encode_key(key),
                color=_color(encode_key(key)),
                stimulus_id=stimulus_id,
                worker=kwargs.get("worker"),
                metadata={},
                nbytes=kwargs.get("nbytes", 0),
                typename=kwargs.get("typename", ""),
                thread=0,
                startstops=spans,
                status="OK" if finish == "memory" else "error",
                **span,
            )


def _message(name: str, **fields: Any) -> str:
    return json.dumps({**fields, "name": name}, default=str)


def _color(key: str) -> str:
    prefix = key.partition("-")[0].strip("('\"")
    return _COLORS[zlib.crc32(prefix.encode("utf-8", "replace")) % len(_COLORS)]


class EventSocket(Guarded, WebSocketHandler):
    """One listener. It is answered with ``pong`` when it says ``ping``."""

    _listeners: Listeners

    def initialize(self, site: Site, **kwargs: Any) -> None:
        self._listeners = kwargs.pop("listeners")
        super().initialize(site, **kwargs)

    @property
    def max_message_size(self) -> int:
        return 1024

    def open(self, *args: str, **kwargs: str) -> None:
        if not self._listeners.join(self):
            self.close(1013, "there are too many listeners")

    def on_close(self) -> None:
        self._listeners.leave(self)

    def on_message(self, message: str | bytes) -> None:
        if message in ("ping", b"ping"):
            self.say(_message("pong", timestamp=_now()))

    def say(self, text: str) -> None:
        """Send a message; a listener that does not read is hung up."""
        connection = self.ws_connection
        stream = getattr(connection, "stream", None)
        if stream is not None and self._unread > _UNREAD:
            stream.close()
            return
        self._unread += len(text)
        try:
            sent = self.write_message(text)
        except WebSocketClosedError:
            return

        def done(future: Any, size: int = len(text)) -> None:
            future.cancelled() or future.exception()
            self._unread -= size

        sent.add_done_callback(done)

    _unread = 0


def _now() -> str:
    return str(datetime.datetime.now())
