"""Typed batches on a connection: callbacks in, adaptive batching out.

Messages sent during one turn of the loop leave as one batch at its end. While an earlier batch is
still on its way to the operating system, new messages gather and leave together when it is gone. So
an idle connection answers at once, and a busy one sends few large batches.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from shoal.comm.base import Comm
from shoal.comm.inproc import InProc
from shoal.comm.sockets import SocketComm
from shoal.comm.strangers import clean
from shoal.comm.thread_reader import ThreadReader, can_read_in_threads
from shoal.comm.weights import weight_of
from shoal.errors import CommClosedError, ProtocolError
from shoal.wire.blob import BytesLike
from shoal.wire.checks import check_batch
from shoal.wire.codec import BatchCodec

__all__ = ["MessageStream"]

logger = logging.getLogger("shoal.comm")

M = TypeVar("M")

# Messages and keys of a batch, about: a peer has other things to do, too, than to read one of a
# million tasks. Messages of one call are not parted.
_BATCH = 4000
# Batches that may wait for a peer which has taken nothing for so many seconds.
_MOST_BATCHES = 250
_DEAF = 10.0


class MessageStream(Generic[M]):
    """Carries messages of one edge, both ways.

    Parameters
    ----------
    comm : Comm
        A connection that nobody else uses any more.
    sends, receives : BatchCodec
        Of the two directions. On ``inproc`` they are not used: messages are handed over.
    """

    def __init__(self, comm: Comm, *, sends: BatchCodec[Any], receives: BatchCodec[M]) -> None:
        self.comm = comm
        self._sends = sends
        self._receives = receives
        self._loop = asyncio.get_running_loop()
        # Held to send: `sends`, the outbox and the connection are used by one thread at a time.
        self._sending = threading.RLock()
        self._outbox: list[Any] = []
        # Where batches end that are full, and how many bytes of them wait for the peer.
        self._cuts: deque[tuple[int, int]] = deque()
        self._weight = 0  # of what is in the outbox after the last of these
        self._waiting = 0  # bytes that were said while the peer was behind, all in all
        self._waiting_after = 0  # and after the last of the cuts
        self._flush_scheduled = False
        self._in_flight = False
        self._closing = False
        # Called on the loop with a message that cannot be encoded, and why.
        self.on_unsendable: Callable[[Any, Exception], None] | None = None
        self._on_messages: Callable[[list[M]], None] | None = None
        self._on_closed: Callable[[BaseException | None], None] | None = None
        self._on_fault: Callable[[Exception], None] | None = None
        self._reader: asyncio.Task[None] | None = None
        self._thread_reader: ThreadReader | None = None
        self._closing_task: asyncio.Task[None] | None = None

    @property
    def peer_address(self) -> str:
        """The address of the other end."""
        return self.comm.peer_address

    @property
    def local_address(self) -> str:
        """The address of this end."""
        return self.comm.local_address

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._closing or self.comm.closed()

    def start(
        self,
        on_messages: Callable[[list[M]], None],
        on_closed: Callable[[BaseException | None], None],
        direct: bool = False,
        on_fault: Callable[[Exception], None] | None = None,
    ) -> None:
        """Begin to receive.

        A batch that is none of this edge, or of which a message contradicts itself, ends the
        connection: what follows on it builds on what cannot be taken into account.

        Parameters
        ----------
        on_messages : callable
            Called with each batch of messages, on the loop.
        on_closed : callable
            Called once when the connection has ended, with the reason.
        direct : bool
            Let `send_now` write to the socket itself, and threads read it, where that can be, for
            another descriptor or two.
        on_fault : callable, optional
            Called with what is wrong with a batch, or with what `on_messages` raised. It tells the
            peer, where it can, and closes the connection; by default that is all that happens.
        """
        self._on_fault = on_fault
        self._on_messages = on_messages
        self._on_closed = on_closed
        comm = self.comm
        if isinstance(comm, SocketComm):
            comm.protocol.notify_when_sent(self._sent)
            if direct:
                comm.protocol.open_direct()
            comm.protocol.set_callbacks(self._receive_frames, self._ended)
        elif isinstance(comm, InProc):
            comm.set_callbacks(self._receive_batches, self._ended)
        else:
            self._reader = self._loop.create_task(self._read_comm())

    # -- receiving ---------------------------------------------------------------

    def _receive_frames(self, frames: list[BytesLike]) -> None:
        comm = self.comm
        assert isinstance(comm, SocketComm)
        try:
            messages = self._receives.decode(comm.received(frames))
        except ProtocolError as error:
            self._refuse(error)
            return
        self._take(messages)

    def _take(self, messages: list[M]) -> None:
        """Hand messages on. An error there is of this connection, and of no other."""
        assert self._on_messages is not None
        try:
            self._on_messages(messages)
        except Exception as error:
            logger.exception("messages of %s could not be dealt with", clean(self.peer_address))
            self._refuse(error)

    def _refuse(self, error: Exception) -> None:
        """End the connection for what came on it."""
        if self._on_fault is not None:
            self._on_fault(error)
            return
        comm = self.comm
        text = f"{comm.peer_address} broke the protocol: {clean(error)}"
        if isinstance(comm, SocketComm):
            comm.protocol.fail(CommClosedError(text))
        else:
            logger.warning("%s", text)
            self.abort()

    def lend(self) -> None:
        """Let the next thread that waits read by itself: see `read_in_thread`. On the loop."""
        comm = self.comm
        if not isinstance(comm, SocketComm) or comm.protocol.direct is None or comm.closed():
            return
        if self._thread_reader is None:
            if not can_read_in_threads:
                return
            self._thread_reader = ThreadReader(comm.protocol, comm.protocol.direct)
        self._thread_reader.lend()

    def read_in_thread(
        self,
        take: Callable[[list[M]], bool],
        is_done: Callable[[], bool],
        seconds: float | None = None,
    ) -> None:
        """Read in this thread, if the loop lent it: until it is done, or something else came.

        Parameters
        ----------
        take : callable
            Is given batches, and does all that is to be done with one and returns True, or leaves
            it to the loop. It may be given one again that it took, and so may the loop.
        is_done : callable
            Whether there is nothing more to wait for.
        seconds : float, optional
            How long.
        """
        reader, comm = self._thread_reader, self.comm
        if reader is not None and reader.lent and isinstance(comm, SocketComm):
            received, decode = comm.received, self._receives.decode

            def take_frames(frames: list[BytesLike]) -> bool:
                try:
                    messages = decode(received(frames))
                except ProtocolError:
                    return False  # the loop says so
                return take(messages)

            reader.read(take_frames, is_done, seconds)

    def _receive_batches(self, batches: list[Any]) -> None:
        for batch in batches:
            if self._on_messages is None:
                return  # a batch before ended the connection
            try:
                check_batch(batch)
            except ProtocolError as error:
                self._refuse(error)
                return
            self._take(batch)

    async def _read_comm(self) -> None:
        reason: BaseException | None = None
        try:
            while True:
                self._take(self._receives.decode(await self.comm.read()))
        except ProtocolError as error:
            reason = error
            self._refuse(error)
        except OSError as error:
            reason = error
            self.comm.abort()
        self._ended(reason)

    def _ended(self, reason: BaseException | None) -> None:
        self._outbox = []
        self._cuts.clear()
        self._waiting = self._waiting_after = 0
        if self._thread_reader is not None:
            self._thread_reader.close()
        if self._on_closed is not None:
            callback, self._on_closed = self._on_closed, None
            self._on_messages = None
            callback(reason)

    # -- sending -------------------------------------------------------------------

    def send(self, messages: Sequence[Any]) -> None:
        """Send messages, in order, without waiting; after the end they are dropped. On the loop."""
        if self._closing:
            return
        with self._sending:
            self._put(messages)
            if not self._flush_scheduled and not self._in_flight:
                self._flush_scheduled = True
                self._loop.call_soon(self._flush)

    def send_now(self, messages: Sequence[Any]) -> None:
        """Send messages that somebody waits for: not at the end of the turn, if that can be.

        They come after all that was sent before. May be called on any thread if the stream was
        started with ``direct``, and if its codec is its own.
        """
        if self._closing:
            return
        with self._sending:
            comm = self.comm
            if (
                isinstance(comm, SocketComm)
                and comm.protocol.direct
                and not self._outbox
                and not self._in_flight
                and ((frames := self._encoded(list(messages))) == [] or comm.send_directly(frames))
            ):
                self._in_flight = not comm.protocol.idle
                return
            self._put(messages)
            if not self._flush_scheduled and not self._in_flight:
                self._flush_scheduled = True
                self._loop.call_soon_threadsafe(self._flush)

    def _put(self, messages: Sequence[Any]) -> None:
        """Have messages sent with the next batch, or with a later one when that has enough."""
        if not messages:
            return
        self._outbox.extend(messages)
        if self._in_flight:
            nbytes = weight_of(messages)
            self._waiting += nbytes
            self._waiting_after += nbytes
            if self._waiting > self.comm.most_unread:
                self._loop.call_soon_threadsafe(self._drop_slow)
        self._weight += len(messages) + len(getattr(messages[-1], "keys", ()))
        if self._weight >= _BATCH:
            self._cuts.append((len(self._outbox), self._waiting_after))
            self._weight = self._waiting_after = 0
            if len(self._cuts) > _MOST_BATCHES and self._in_flight:
                self._loop.call_soon_threadsafe(self._drop_deaf)

    def _drop_slow(self) -> None:
        """Drop a peer for which more waits than may."""
        if self._waiting > self.comm.most_unread and not self.closed:
            text = (
                f"the peer does not read: {self._waiting >> 20} MiB wait for it; more than "
                f"{self.comm.most_unread >> 20} MiB may not ('shoal.comm.most-unread')"
            )
            comm = self.comm
            if isinstance(comm, SocketComm):
                comm.protocol.fail(CommClosedError(text))
            else:
                logger.warning("%s: %s", clean(comm.peer_address), text)
                self.abort()

    def _drop_deaf(self) -> None:
        """Drop a peer for which much waits, and which has taken nothing for a while."""
        comm = self.comm
        unread = comm.protocol.unread if isinstance(comm, SocketComm) else None
        if isinstance(comm, SocketComm) and unread is not None and unread.silent_for() >= _DEAF:
            comm.protocol.fail(
                CommClosedError(
                    f"the peer does not read: {len(self._outbox)} messages wait for it, and it has "
                    f"taken nothing for {_DEAF:g} s"
                )
            )

    def _flush(self) -> None:
        with self._sending:
            self._flush_scheduled = False
            outbox = self._outbox
            if not outbox or self.comm.closed():
                return
            if self._cuts:
                cut, nbytes = self._cuts.popleft()
                outbox, self._outbox = outbox[:cut], outbox[cut:]
                self._cuts = deque((later - cut, size) for later, size in self._cuts)
                self._waiting -= nbytes
            else:
                self._outbox = []
                self._weight = self._waiting = self._waiting_after = 0
            comm = self.comm
            try:
                if isinstance(comm, InProc):
                    comm.put(outbox)
                elif (frames := self._encoded(outbox)) == []:
                    pass
                elif isinstance(comm, SocketComm):
                    comm.send_frames(frames)
                    self._in_flight = not comm.protocol.idle
                else:
                    self._in_flight = True
                    self._loop.create_task(self._write_comm(frames))
            except CommClosedError:
                return  # `_ended` is told by the connection
            if self._outbox and not self._in_flight:
                self._flush_scheduled = True
                self._loop.call_soon(self._flush)

    def _encoded(self, messages: list[Any]) -> list[BytesLike]:
        """Encode a batch without those messages that cannot be encoded: these fail alone.

        Without frames, when none of them can.
        """
        try:
            return self._sends.encode(messages)
        except Exception:
            pass
        good: list[Any] = []
        for message in messages:
            try:
                self._sends.encode([message])
            except Exception as error:
                name = type(message).__name__
                logger.error("a message %s to %s cannot be sent: %s", name, self.comm, error)
                if self.on_unsendable is not None:
                    self._loop.call_soon_threadsafe(self.on_unsendable, message, error)
            else:
                good.append(message)
        return self._sends.encode(good) if good else []

    def _sent(self) -> None:
        with self._sending:
            self._in_flight = False
            if self._outbox and not self._flush_scheduled:
                self._flush()

    async def _write_comm(self, frames: list[BytesLike]) -> None:
        with contextlib.suppress(OSError):
            await self.comm.write(frames)
        self._sent()

    # -- closing -------------------------------------------------------------------

    async def close(self) -> None:
        """Send what is to be sent, then close."""
        if not self._closing:
            self._cuts.clear()
            self._flush()
            self._closing = True
        if self._reader is not None:
            self._reader.cancel()
        await self.comm.close()

    def close_soon(self) -> None:
        """`close`, without waiting for it; nothing more is received."""
        self._on_messages = _ignore
        self._closing_task = self._loop.create_task(self._close_and_tell())

    async def _close_and_tell(self) -> None:
        await self.close()
        self._ended(CommClosedError(f"{self.comm!r} was closed"))

    def abort(self) -> None:
        """Close at once; what was not sent is dropped."""
        self._closing = True
        if self._reader is not None:
            self._reader.cancel()
        self.comm.abort()


def _ignore(messages: list[Any]) -> None:
    """Drop messages: the receiver is gone."""
