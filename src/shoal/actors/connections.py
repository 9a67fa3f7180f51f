"""The way of calls to actors: one connection to each worker, in order, batched by the turn.

Calls may be made on any thread. They go into one outbox, which the loop empties; so the calls of a
caller stay in order, and what is called while the loop is busy leaves as one batch.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from shoal.actors.future import ActorFuture
from shoal.comm.base import connect
from shoal.comm.stream import MessageStream
from shoal.errors import ActorLostError
from shoal.wire import actor_messages as m
from shoal.wire.blob import Blob
from shoal.wire.codec import BatchCodec
from shoal.wire.failures import load_failure

__all__ = ["ActorConnections"]

# Answers to lone calls, one after the other, after which threads read theirs by themselves.
_IN_A_ROW = 3


class ActorConnections:
    """The connections of one client, or of one worker's tasks, to the actors of others.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        Where the connections live.
    connection_args : callable
        Returns what `Security.get_connection_args` returned.
    load : callable
        Unpickles what methods return.
    is_asynchronous : callable
        Whether a call made here and now must not block.
    gone : callable
        Returns why a worker cannot be reached, None for one that may be.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection_args: Callable[[], dict[str, Any]],
        load: Callable[[Any], Any],
        *,
        is_asynchronous: Callable[[], bool],
        gone: Callable[[str], str | None] = lambda address: None,
    ) -> None:
        self.loop = loop
        self.load = load
        self.is_asynchronous = is_asynchronous
        self._connection_args = connection_args
        self._gone = gone
        self._outbox: deque[tuple[str, m.ActorCall, ActorFuture[Any]]] = deque()
        self._awake = False
        self._connections: dict[str, _Line] = {}
        self._closed: str | None = None

    def call(
        self,
        address: str,
        key: str,
        name: str,
        args: Blob | None,
        kept: Any,
        on_loop: bool = False,
    ) -> ActorFuture[Any]:
        """Call a method, or read an attribute where `args` is None. On any thread."""
        what = f"{name}{'()' if args is not None else ''} of the actor {key!r} on {address}"
        future: ActorFuture[Any] = ActorFuture(what, self.load, kept, self.loop)
        call = m.ActorCall(0, key, name, args, on_loop)
        if not self._outbox and not self._awake:
            line = self._connections.get(address)
            if line is not None and self._gone(address) is None and line.send_now(call, future):
                return future
        self._outbox.append((address, call, future))
        # `_flush` clears the flag before it looks, so what was added before this line is seen.
        if not self._awake:
            self._awake = True
            try:
                if asyncio._get_running_loop() is self.loop:
                    self.loop.call_soon(self._flush)
                else:
                    self.loop.call_soon_threadsafe(self._flush)
            except RuntimeError:
                raise RuntimeError(f"{what} cannot be called: the loop is closed") from None
        return future

    # ------------------------------------------------------------------ on the loop

    def _flush(self) -> None:
        self._awake = False
        outbox = self._outbox
        batches: dict[str, list[tuple[m.ActorCall, ActorFuture[Any]]]] = {}
        while outbox:
            address, call, future = outbox.popleft()
            batches.setdefault(address, []).append((call, future))
        for address, batch in batches.items():
            reason = self._closed or self._gone(address)
            if reason is not None:
                for call, future in batch:
                    future.complete(False, _lost(call.key, address, reason))
                continue
            line = self._connections.get(address)
            if line is None:
                line = self._connections[address] = _Line(address, self._line_ended)
                line.open(self._connection_args())
            line.send(batch)

    def _line_ended(self, line: _Line) -> None:
        if self._connections.get(line.address) is line:
            del self._connections[line.address]

    def look(self) -> None:
        """Workers came or went: fail the calls to those that are gone."""
        for line in list(self._connections.values()):
            reason = self._gone(line.address)
            if reason is not None:
                line.end(reason)

    def close(self, reason: str) -> None:
        """Close all connections; calls under way fail."""
        self._closed = reason
        for line in list(self._connections.values()):
            line.end(reason)
        self._flush()


class _Line:
    """The connection to one worker, and the calls that it did not answer."""

    __slots__ = (
        "_alone",
        "_calls",
        "_ended",
        "_lock",
        "_numbers",
        "_on_end",
        "_opening",
        "_stream",
        "_unsent",
        "address",
    )

    def __init__(self, address: str, on_end: Callable[[_Line], None]) -> None:
        self.address = address
        self._on_end = on_end
        self._ended = False
        # Held to add calls, and to end: a call that is added is answered, or fails.
        self._lock = threading.Lock()
        self._calls: dict[int, tuple[str, ActorFuture[Any]]] = {}
        self._numbers = itertools.count(1)
        self._unsent: list[m.ActorCall] = []
        self._stream: MessageStream[Any] | None = None
        self._opening: asyncio.Task[None] | None = None
        self._alone = 0  # answers in a row that came when no other call was under way

    def open(self, connection_args: dict[str, Any]) -> None:
        self._opening = asyncio.get_running_loop().create_task(self._open(connection_args))

    async def _open(self, connection_args: dict[str, Any]) -> None:
        try:
            # A worker listens as long as it lives: one that refuses is gone.
            comm = await connect(self.address, retry=False, **connection_args)
            await comm.write({"op": "actors", "reply": False})
        except OSError as error:
            self.end(str(error))
            return
        if self._ended:
            comm.abort()
            return
        comm.name = "actors"
        self._stream = MessageStream(
            comm, sends=BatchCodec(m.ActorCall), receives=BatchCodec(m.ActorToCaller)
        )
        self._stream.start(self._receive, self._lost, direct=True)
        self._stream.send(self._unsent)
        self._unsent = []

    def send(self, batch: list[tuple[m.ActorCall, ActorFuture[Any]]]) -> None:
        with self._lock:
            for call, future in batch:
                call.id = next(self._numbers)
                self._calls[call.id] = (call.key, future)
        calls = [call for call, _ in batch]
        if self._stream is not None:
            self._stream.send(calls)
        else:
            self._unsent += calls

    def send_now(self, call: m.ActorCall, future: ActorFuture[Any]) -> bool:
        """Send a call past the loop, if it is the only one; on any thread."""
        stream = self._stream
        if stream is None or self._calls or self._unsent:
            return False
        with self._lock:
            if self._ended:
                return False
            call.id = next(self._numbers)
            self._calls[call.id] = (call.key, future)
        future.read = functools.partial(self._read_answer, stream, call.id, future)
        stream.send_now([call])
        return True

    def _read_answer(
        self, stream: MessageStream[Any], id: int, future: ActorFuture[Any], seconds: float | None
    ) -> None:
        """Read the answer in the thread that waits for it, if the loop lends the connection."""

        def take(messages: list[Any]) -> bool:
            if len(messages) != 1 or messages[0].id != id:
                return False
            self._take(messages[0])
            return True

        stream.read_in_thread(take, future.done, seconds)

    def _receive(self, messages: list[Any]) -> None:
        for message in messages:
            self._take(message)
        self._alone = self._alone + 1 if len(messages) == 1 and not self._calls else 0
        if self._alone > _IN_A_ROW and self._stream is not None:
            self._stream.lend()

    def _take(self, message: Any) -> None:
        """Complete a call. It is forgotten last: see `MessageStream.read_in_thread`."""
        known = self._calls.get(message.id)
        if known is None:
            return
        if type(message) is m.ActorResult:
            known[1].complete(True, message.value)
        else:
            known[1].complete(False, _raised(message))
        self._calls.pop(message.id, None)

    def _lost(self, reason: BaseException | None) -> None:
        self.end(f"the connection to its worker was lost ({reason or 'it was closed there'})")

    def end(self, reason: str) -> None:
        """Fail all calls that were not answered, and close."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            calls, self._calls = self._calls, {}
        self._on_end(self)
        if self._stream is not None:
            self._stream.abort()
        for key, future in calls.values():
            future.complete(False, _lost(key, self.address, reason))


def _lost(key: str, address: str, reason: str) -> Callable[[], BaseException]:
    return lambda: ActorLostError(key, address, reason)


def _raised(message: m.ActorFailed) -> Callable[[], BaseException]:
    return lambda: load_failure(message.exception, message.traceback, "an actor's method failed")
