"""Events of a cluster as they happen, for programs that listen at `/eventstream`."""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import zlib
from typing import Any

from tornado.websocket import WebSocketClosedError, WebSocketHandler

from shoal._base.keys import encode_key
from shoal.http.handler import Guarded, Site
from shoal.plugins.scheduler import SchedulerPlugin
from shoal.scheduler.operations.membership import broadcast

__all__ = ["routes"]

logger = logging.getLogger("shoal.http")

_PLUGIN = "shoal-event-stream"
# Seconds for which ended runs are gathered: their workers are asked together on which threads they
# were, and what came for them.
_GATHERED = 0.2
_ASKED = 2.0  # seconds that workers may take to answer
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
        self._ended: list[dict[str, Any]] = []
        self._telling: asyncio.Task[None] | None = None
        self._keeping: asyncio.Task[None] | None = None

    def join(self, socket: EventSocket) -> bool:
        """Tell a listener of everything from now on; whether there is room for it."""
        if len(self.sockets) >= _MOST:
            return False
        if not self.sockets:
            self.scheduler.own_plugins.put(self, _PLUGIN)
        self.sockets[socket] = None
        # So that workers take notes before the first run that is told.
        self._keeping = asyncio.get_running_loop().create_task(self.scheduler.stream_record.keep())
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
        encoded = encode_key(key)
        self._ended.append(
            {
                "key": encoded,
                "color": _color(encoded),
                "stimulus_id": stimulus_id,
                "worker": kwargs.get("worker"),
                "metadata": {},
                "nbytes": kwargs.get("nbytes", 0),
                "typename": kwargs.get("typename", ""),
                "thread": 0,
                "startstops": kwargs.get("startstops") or [],
                "status": "OK" if finish == "memory" else "error",
            }
        )
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell_ended())

    async def _tell_ended(self) -> None:
        """Tell of the runs that ended meanwhile, as soon as their workers said more of them."""
        try:
            await self.scheduler.stream_record.keep()
            await asyncio.sleep(_GATHERED)
        finally:
            ended, self._ended, self._telling = self._ended, [], None
        found: dict[tuple[Any, ...], list[Any]] = {}
        try:
            async with asyncio.timeout(_ASKED):
                found = await self._details(ended)
        except (OSError, TimeoutError, RuntimeError) as error:
            logger.debug("workers said no more of runs: %s", error)
        for run in ended:
            spans = run["startstops"]
            begin: float = spans[0]["start"] if spans else 0.0
            thread, begun, inputs = found.get((run["worker"], run["key"], begin), (0, begin, ()))
            around = [
                {"action": "transfer", "start": start, "stop": stop, "source": source}
                for start, stop, source, _ in inputs
            ]
            if spans and begun < begin:
                around.append({"action": "deserialize", "start": begun, "stop": begin})
            every = [*around, *spans]
            for span in every:
                self._tell("transition", **{**run, "thread": thread, "startstops": every, **span})

    async def _details(self, ended: list[dict[str, Any]]) -> dict[tuple[Any, ...], list[Any]]:
        """Return thread, time at which unpickling began, and inputs, by worker, key and start."""
        starts = [run["startstops"][0]["start"] for run in ended if run["startstops"]]
        workers = {run["worker"] for run in ended} & self.scheduler.state.workers.keys()
        if not starts or not workers:
            return {}
        msg = {"op": "trace", "since": min(starts)}
        answers = await broadcast(self.scheduler, msg, sorted(workers), on_error="ignore")
        return {
            (address, key, begin): rest
            for address, rows in answers.items()
            for key, begin, *rest in rows
        }


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
