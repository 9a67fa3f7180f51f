"""The streams of a scheduler's peers: one per worker, one per client, each with its own codecs."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from shoal.comm.base import Comm
from shoal.comm.busy_poll import BusyPoll
from shoal.comm.strangers import clean
from shoal.comm.stream import MessageStream
from shoal.errors import ProtocolError
from shoal.scheduler.permissions import may_be
from shoal.wire import messages as m
from shoal.wire.codec import BatchCodec

__all__ = ["Streams"]

logger = logging.getLogger("shoal.scheduler")

_LONGEST_NAME = 500
_REMEMBERED = 10_000  # names of clients whose identity is known

_EDGES: dict[str, tuple[Any, Any, Any]] = {
    # edge: first message, sent, received
    "worker": (m.RegisterWorker, m.SchedulerToWorker, m.WorkerToScheduler),
    "client": (m.ClientHello, m.SchedulerToClient, m.ClientToScheduler),
}


class Streams:
    """All streams of one edge, by the name under which the peer introduced itself.

    Parameters
    ----------
    edge : {"worker", "client"}
        The kind of peers.
    on_messages : callable
        Called with a peer's name and a batch of its messages.
    on_replaced : callable
        Called with the name of a peer that comes again while it is still known.
    on_closed : callable
        Called with a peer's name and the reason when its stream has ended, unless it was replaced.
    on_fault : callable
        Called with a peer's name and what is wrong with what it sent: it is to be told, and closed.
    """

    def __init__(
        self,
        edge: str,
        on_messages: Callable[[str, list[Any]], None],
        on_replaced: Callable[[str], None],
        on_closed: Callable[[str, str], None],
        on_fault: Callable[[str, str], None],
    ) -> None:
        self._first, sends, receives = _EDGES[edge]
        self._edge = edge
        self._sends: BatchCodec[Any] = BatchCodec(sends)
        self._receives: BatchCodec[Any] = BatchCodec(receives)
        self._on_messages = on_messages
        self._on_replaced = on_replaced
        self._on_closed = on_closed
        self._on_fault = on_fault
        self._streams: dict[str, MessageStream[Any]] = {}
        # The peer that introduced itself by each name, also when its connection is lost.
        self.owners: OrderedDict[str, str | None] = OrderedDict()
        self._busy_poll: BusyPoll | None = None
        self._dismissals: set[asyncio.Task[None]] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._streams

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._streams))

    def __len__(self) -> int:
        return len(self._streams)

    def accept(self, comm: Comm) -> None:
        """Take over a connection on which a peer asked for a stream."""
        if self._busy_poll is None:
            self._busy_poll = BusyPoll(asyncio.get_running_loop())
        stream: MessageStream[Any] = MessageStream(comm, sends=self._sends, receives=self._receives)
        name = ""

        def receive(messages: list[Any]) -> None:
            nonlocal name
            later = messages
            if not name:
                name = self._introduce(stream, messages)
                if not name:
                    return
                later = messages[1:]
            if self._streams.get(name) is stream:
                if self._first in map(type, later):
                    what = self._first.__name__
                    raise ProtocolError(f"{what} came again; it begins a connection")
                self._on_messages(name, messages)

        def closed(reason: BaseException | None) -> None:
            if name and self._streams.get(name) is stream:
                del self._streams[name]
                self._on_closed(name, str(reason or "the connection ended"))

        def fault(error: Exception) -> None:
            if name and self._streams.get(name) is stream:
                self._on_fault(name, clean(error))
            else:
                who = clean(stream.peer_address)
                logger.warning("refused a %s from %s: %s", self._edge, who, clean(error))
                stream.abort()

        # A client is often a thread that waits; workers are many, and each costs a descriptor.
        stream.start(receive, closed, direct=self._edge == "client", on_fault=fault)

    def _introduce(self, stream: MessageStream[Any], messages: list[Any]) -> str:
        first = messages[0] if messages else None
        if type(first) is not self._first:
            stream.abort()
            return ""
        name: str = getattr(first, "address" if self._edge == "worker" else "client")
        if len(name) > _LONGEST_NAME or not name.isprintable():
            logger.warning("refused a %s that calls itself %s", self._edge, clean(name))
            stream.abort()
            return ""
        if self._edge == "client" and not self._own(stream.comm, name):
            stream.abort()
            return ""
        before = self._streams.pop(name, None)
        if before is not None:
            before.abort()
            self._on_replaced(name)
        self._streams[name] = stream
        return name

    def _own(self, comm: Comm, name: str) -> bool:
        if not may_be(comm, name, self.owners):
            logger.warning(
                "refused a client from %s: it called itself %s, which is another's name",
                clean(comm.peer_address),
                clean(name),
            )
            return False
        self.owners[name] = comm.peer_identity or self.owners.get(name)
        self.owners.move_to_end(name)
        if len(self.owners) > _REMEMBERED:
            self.owners.popitem(last=False)
        return True

    def send(self, name: str, messages: list[Any]) -> None:
        """Send messages to a peer; those to one that is gone are dropped."""
        stream = self._streams.get(name)
        if stream is not None:
            stream.send(messages)

    def send_now(self, name: str, messages: list[Any]) -> None:
        """`send`, and do not wait for the end of the loop's turn."""
        stream = self._streams.get(name)
        if stream is not None:
            stream.send_now(messages)

    def answer(self, name: str, messages: list[Any]) -> None:
        """`send_now` to a peer that waits for it and is likely to ask again at once."""
        stream = self._streams.get(name)
        if stream is not None:
            stream.send_now(messages)
            assert self._busy_poll is not None
            self._busy_poll.stay()

    async def dismiss(self, name: str) -> None:
        """Send what is to be sent, then close a stream; `on_closed` is not called."""
        stream = self._streams.pop(name, None)
        if stream is not None:
            await stream.close()

    def dismiss_soon(self, name: str) -> None:
        """`dismiss`, without waiting for it: nothing more is sent or received from now on."""
        stream = self._streams.pop(name, None)
        if stream is not None:
            task = asyncio.get_running_loop().create_task(stream.close())
            self._dismissals.add(task)  # the loop itself keeps only weak references
            task.add_done_callback(self._dismissals.discard)

    def drop(self, name: str) -> None:
        """Close a stream at once; `on_closed` is not called."""
        stream = self._streams.pop(name, None)
        if stream is not None:
            stream.abort()
