"""The streams of a scheduler's peers: one per worker, one per client, each with its own codecs."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeAlias

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
_LONGEST_TOKEN = 64
_REMEMBERED = 10_000  # names of peers whose identity and token are known
_MOST_EARLY = 100  # batches of a peer whose right to its name is not known yet

_EDGES: dict[str, tuple[Any, Any, Any]] = {
    # edge: first message, sent, received
    "worker": (m.RegisterWorker, m.SchedulerToWorker, m.WorkerToScheduler),
    "client": (m.ClientHello, m.SchedulerToClient, m.ClientToScheduler),
}


Dispute: TypeAlias = Callable[[Any, bytes, bool], Coroutine[Any, Any, str] | None]


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
    dispute : callable, optional
        Called with a peer's first message, the token of its stream, and whether that is the one
        which came with this name before. Returns what finds out why it may not have the name, or
        None where there is nothing to find out.
    """

    def __init__(
        self,
        edge: str,
        on_messages: Callable[[str, list[Any]], None],
        on_replaced: Callable[[str], None],
        on_closed: Callable[[str, str], None],
        on_fault: Callable[[str, str], None],
        dispute: Dispute | None = None,
    ) -> None:
        self._first, sends, receives = _EDGES[edge]
        self._edge = edge
        self._sends: BatchCodec[Any] = BatchCodec(sends)
        self._receives: BatchCodec[Any] = BatchCodec(receives)
        self._on_messages = on_messages
        self._on_replaced = on_replaced
        self._on_closed = on_closed
        self._on_fault = on_fault
        self._dispute = dispute
        self._streams: dict[str, MessageStream[Any]] = {}
        # The peer that introduced itself by each name, also when its connection is lost.
        self.owners: OrderedDict[str, str | None] = OrderedDict()
        self._tokens: OrderedDict[str, bytes] = OrderedDict()  # of the streams with these names
        self._busy_poll: BusyPoll | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._streams

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._streams))

    def __len__(self) -> int:
        return len(self._streams)

    def items(self) -> list[tuple[str, MessageStream[Any]]]:
        """Return all streams, each with its peer's name."""
        return list(self._streams.items())

    def accept(self, comm: Comm, token: bytes = b"") -> None:
        """Take over a connection on which a peer asked for a stream.

        Parameters
        ----------
        comm : Comm
            The connection.
        token : bytes
            The token that the peer begins all its streams with, and tells no other process.
        """
        if not isinstance(token, bytes) or len(token) > _LONGEST_TOKEN:
            raise ValueError(f"the token of a stream is at most {_LONGEST_TOKEN} bytes")
        if self._busy_poll is None:
            self._busy_poll = BusyPoll(asyncio.get_running_loop())
        stream: MessageStream[Any] = MessageStream(comm, sends=self._sends, receives=self._receives)
        name = ""
        early: list[list[Any]] = []  # batches that wait for the answer to the dispute

        def receive(messages: list[Any]) -> None:
            if early:
                early.append(messages)
                if len(early) > _MOST_EARLY:
                    raise ProtocolError("it says too much before it was welcomed")
            elif name:
                deliver(messages)
            else:
                first = self._introduced(stream, messages, token)
                if first is None:
                    return
                same = hmac.compare_digest(self._tokens.get(self._name(first), b""), token)
                question = self._dispute and self._dispute(first, token, same and token != b"")
                if question is None:
                    begin(first, messages)
                else:
                    early.append(messages)
                    self._later(settle(first, question))

        async def settle(first: Any, question: Coroutine[Any, Any, str]) -> None:
            reason = await question
            batches, early[:] = early[:], []
            if stream.closed:
                return
            if reason:
                self._reject(stream, reason)
                return
            begin(first, batches[0])
            for batch in batches[1:]:
                deliver(batch)

        def begin(first: Any, messages: list[Any]) -> None:
            nonlocal name
            name = self._begin(stream, self._name(first), token)
            deliver(messages, 1)

        def deliver(messages: list[Any], skip: int = 0) -> None:
            if self._streams.get(name) is stream:
                if self._first in map(type, messages[skip:]):
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

    def _name(self, first: Any) -> str:
        name: str = getattr(first, "address" if self._edge == "worker" else "client")
        return name

    def _introduced(
        self, stream: MessageStream[Any], messages: list[Any], token: bytes
    ) -> Any | None:
        """Return a peer's first message, if it is one that a stream may begin with."""
        first = messages[0] if messages else None
        if type(first) is not self._first:
            stream.abort()
            return None
        name = self._name(first)
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            logger.warning("refused a %s that calls itself %s", self._edge, clean(name))
            stream.abort()
            return None
        if self._edge == "client" and not self._own(stream.comm, name, token):
            self._reject(stream, f"{clean(name)} is the name of another client")
            return None
        return first

    def _own(self, comm: Comm, name: str, token: bytes) -> bool:
        """Whether a client is the one that introduced itself by a name, if there was one."""
        known = self._tokens.get(name, token)
        return may_be(comm, name, self.owners) and hmac.compare_digest(known, token)

    def _begin(self, stream: MessageStream[Any], name: str, token: bytes) -> str:
        before = self._streams.pop(name, None)
        if before is not None:
            before.abort()
            self._on_replaced(name)
        self.owners[name] = stream.comm.peer_identity or self.owners.get(name)
        self._tokens[name] = token
        for known in (self.owners, self._tokens):
            known.move_to_end(name)
            if len(known) > _REMEMBERED:
                known.popitem(last=False)
        self._streams[name] = stream
        return name

    def _reject(self, stream: MessageStream[Any], reason: str) -> None:
        """Tell a peer why it may not have its name, and nobody else."""
        who = clean(stream.peer_address)
        logger.warning("refused a %s from %s: %s", self._edge, who, reason)
        word = m.WorkerRejected if self._edge == "worker" else m.SchedulerClosing
        stream.send([word(reason)])
        self._later(stream.close())

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)

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
            self._later(stream.close())

    def drop(self, name: str) -> None:
        """Close a stream at once; `on_closed` is not called."""
        stream = self._streams.pop(name, None)
        if stream is not None:
            stream.abort()
