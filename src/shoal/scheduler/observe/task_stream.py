"""The task stream: when and where each task ran, recorded from when somebody first asks.

That a task ran and how it ended the scheduler hears anyway. The circumstances (threads, time
to fetch inputs, time to unpickle) workers note, once the plugin `TraceTasks` is on them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from shoal import config
from shoal._base.keys import decode_key
from shoal.scheduler.core_access import PeerAccess
from shoal.scheduler.operations.membership import broadcast
from shoal.wire import messages as m
from shoal.wire.pickling import dumps
from shoal.worker.tracing import TraceTasks

if TYPE_CHECKING:
    from shoal.scheduler.plugins.registry import PluginRegistry

__all__ = ["StreamRecord"]


class StreamHost(PeerAccess, Protocol):
    """A scheduler, as the record of what ran knows it."""

    def plugin_registry(self, nanny: bool) -> PluginRegistry:
        """Return the plugins for workers, or for nannies."""


class StreamRecord:
    """The latest runs on the workers of a scheduler.

    Attributes
    ----------
    listeners : list
        Functions that are called with a worker's address and its messages, while there are any.
    """

    def __init__(self, scheduler: StreamHost) -> None:
        self._scheduler = scheduler
        self._kept = False
        self.listeners: list[Callable[[str, list[Any]], None]] = []
        length = config.get_int("distributed.scheduler.dashboard.tasks.task-stream-length")
        self._records: deque[tuple[Any, ...]] = deque(maxlen=length)

    @property
    def on(self) -> bool:
        """Whether anybody wants to know what workers say."""
        return self._kept or bool(self.listeners)

    def note(self, address: str, messages: list[Any]) -> None:
        """Take note of what a worker says."""
        for listener in self.listeners:
            listener(address, messages)
        if self._kept:
            self._keep(address, messages)

    def _keep(self, address: str, messages: list[Any]) -> None:
        add = self._records.append
        for message in messages:
            if type(message) is m.Finished:
                for i, key in enumerate(message.keys):
                    add(
                        (
                            key,
                            address,
                            "OK",
                            message.types[i],
                            message.nbytes[i],
                            message.starts[i],
                            message.stops[i],
                        )
                    )
            elif type(message) is m.Failed:
                add((message.key, address, "error", "", 0, message.start, message.stop))

    async def keep(self) -> None:
        """Keep records from now on, and have workers take notes."""
        if not self._kept:
            self._kept = True
            plugin = dumps(TraceTasks(self._records.maxlen or 1000))
            await self._scheduler.plugin_registry(False).add(plugin, TraceTasks.name, True)

    async def collect(
        self, start: float | None, stop: float | None, count: int | None
    ) -> list[dict[str, Any]]:
        """Return the records that end after `start` and begin before `stop`, oldest first."""
        await self.keep()
        chosen = [
            record
            for record in self._records
            if (start is None or record[6] >= start) and (stop is None or record[5] <= stop)
        ]
        if count is not None and (start is None or stop is None):
            chosen = chosen[-count:] if count > 0 else []
        if not chosen:
            return []
        first = min(record[5] for record in chosen)
        workers = [
            w for w in {record[1]: None for record in chosen} if w in self._scheduler.state.workers
        ]
        msg = {"op": "trace", "since": first}
        details = await broadcast(self._scheduler, msg, workers, on_error="ignore")
        found = {
            (address, key, begin): rest
            for address, rows in details.items()
            for key, begin, *rest in rows
        }
        return [
            _describe(record, found.get((record[1], record[0], record[5]))) for record in chosen
        ]


def _describe(record: tuple[Any, ...], details: list[Any] | None) -> dict[str, Any]:
    key, worker, status, kind, nbytes, start, stop = record
    thread, begun, transfers = details or (0, start, ())
    spans = [
        {"action": "transfer", "start": begin, "stop": end, "source": source, "nbytes": nbytes}
        for begin, end, source, nbytes in transfers
    ]
    if begun < start:
        spans.append({"action": "deserialize", "start": begun, "stop": start})
    spans.append({"action": "compute", "start": start, "stop": stop})
    user_key = decode_key(key)
    return {
        "key": user_key,
        "task": user_key,
        "worker": worker,
        "thread": thread,
        "status": status,
        "type": kind,
        "nbytes": nbytes,
        "startstops": spans,
    }
