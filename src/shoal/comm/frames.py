"""Frames over a byte stream: one `asyncio.BufferedProtocol` for tcp, tls and Unix sockets.

A batch on the wire is a count of frames (u32), their lengths (u64 each), and the frames. Everything
is little-endian. Lengths are checked before memory is taken, and memory is taken as bytes arrive,
not as they are announced. Small batches are parsed out of one buffer; large ones are received
straight into memory of their own, which the frames then refer to.

Before the handshake has ended, the connection carries words instead (see `handshake`), and has a
small buffer for them.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import cast

from shoal._base.within import within
from shoal.comm.batches import (
    IS_BYTES,
    JOIN_BELOW,
    gather,
    read_lengths,
    with_marks,
    without_marks,
)
from shoal.comm.direct import DirectSocket, open_direct
from shoal.comm.mapping import BYTES_FROM, map_memory, new_bytes, populate
from shoal.comm.secure import SecureChannel
from shoal.comm.secure_direct import SecureDirect
from shoal.comm.unread import MOST_UNREAD, UnreadWatch
from shoal.errors import CommClosedError, ProtocolError
from shoal.wire.blob import BytesLike

__all__ = ["MAX_FRAMES", "FrameProtocol"]

MAX_FRAMES = 1 << 20

_BUFFER_SIZE = JOIN_BELOW
_FEW = 4  # frames of a batch that a thread writes or reads itself: one, and what compression adds
# From this size on, memory is mapped: the pages are taken when data arrives, not when a length is
# read. So are smaller frames when all connections together wait for this much.
_MAP_FROM = 1 << 20
_MOST_AHEAD = 16 << 20
_HANDSHAKE_BYTES = 4096
_UNREAD = 300.0
_HIGH_WATER = 4 << 20

_COUNT = struct.Struct("<I")
_LENGTH = struct.Struct("<Q")

FramesCallback = Callable[[list[BytesLike]], None]
ClosedCallback = Callable[[BaseException | None], None]


class FrameProtocol(asyncio.BufferedProtocol):
    """Receives and sends batches of frames.

    Parameters
    ----------
    max_message : int
        Largest batch accepted, in bytes.
    on_connected : callable, optional
        Called with this when it has a transport.
    handshake_bytes : int
        Most that is kept of what comes before the handshake has ended.
    unread : float
        Seconds after which a peer is dropped that takes nothing of what waits for it.
    most_unread : int
        Bytes that may wait for the peer, for who sends without waiting: see `MessageStream`.
    """

    def __init__(
        self,
        max_message: int,
        on_connected: Callable[[FrameProtocol], None] | None = None,
        handshake_bytes: int = _HANDSHAKE_BYTES,
        unread: float = _UNREAD,
        most_unread: int = MOST_UNREAD,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.max_message = max_message
        self.most_unread = most_unread
        self.closed_by: BaseException | None = None
        self.closed = False
        self._on_connected = on_connected
        self.handshake_bytes = handshake_bytes
        self.has_proven = False  # the peer has shown that it knows the secret; see `handshake`
        self._buffer = bytearray(handshake_bytes)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        # A large batch at work: the frames it has so far, their lengths, and where the next byte
        # goes.
        self._large: list[memoryview] | None = None
        self._lengths: Sequence[int] = ()
        self._bytes: dict[int, bytes | None] = {}  # which frames are to be, and those begun
        self._large_offset = 0
        self._populated = 0  # up to where its pages are there
        self._ahead = 0  # bytes of the frame at work that count as waited for
        self._raw = True  # before the handshake ended
        self._raw_waiter: asyncio.Future[None] | None = None
        self._received: deque[list[BytesLike]] = deque()
        self._received_bytes = 0
        self._reader: asyncio.Future[list[BytesLike]] | None = None
        self._on_frames: FramesCallback | None = None
        self._on_closed: ClosedCallback | None = None
        self._paused_reading = False
        self._writable: asyncio.Future[None] | None = None
        self.unread: UnreadWatch | None = None  # while something waits to be sent
        self._most_unread = unread
        self.on_writable: Callable[[], None] | None = None
        self.direct: DirectSocket | SecureDirect | None = None  # see `open_direct`
        self._rest = False  # the end of what was written directly is on its way to the transport
        self._done: asyncio.Future[None] = self.loop.create_future()

    # ------------------------------------------------------------------ asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=_HIGH_WATER)
        if self._on_connected is not None:
            self._on_connected(self)
            self._on_connected = None

    def get_buffer(self, sizehint: int) -> memoryview:
        if self._large is not None:
            if self._large_offset >= self._populated:
                self._populated = populate(self._large[-1], self._large_offset)
            return self._large[-1][self._large_offset :]
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._buffer):
            # The rest of a batch that began near the end: move it to the front.
            rest = bytes(self._view[self._start : self._end])
            self._view[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        return self._view[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        if self._large is not None:
            self._large_offset += nbytes
            self._advance_large()
            return
        self._end += nbytes
        if self._raw:
            if self._raw_waiter is not None and not self._raw_waiter.done():
                self._raw_waiter.set_result(None)
            if self._end - self._start == len(self._buffer):
                self._pause()
            return
        self._parse()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        self.closed = True
        if self.closed_by is None:
            self.closed_by = exc
        self._stop_watching()
        _untie(self.transport)
        self.transport = None
        if self.direct is not None:
            self.direct.close()
        self._large, self._bytes = None, {}
        self._arrived()
        error = self.closed_error()
        for waiter in (self._reader, self._raw_waiter, self._writable):
            if waiter is not None and not waiter.done():
                waiter.set_exception(error)
                waiter.exception()  # retrieved: nobody has to
        self._reader = self._raw_waiter = self._writable = None
        if not self._done.done():
            self._done.set_result(None)
        if self._on_closed is not None:
            callback, self._on_closed = self._on_closed, None
            self._on_frames = None
            callback(error)

    def pause_writing(self) -> None:
        if self.unread is None:
            self.unread = UnreadWatch(self, self._most_unread)
        if self._writable is None:
            self._writable = self.loop.create_future()

    def resume_writing(self) -> None:
        self._stop_watching()
        if self._writable is not None:
            if not self._writable.done():
                self._writable.set_result(None)
            self._writable = None
        if self.on_writable is not None:
            self.on_writable()

    def _stop_watching(self) -> None:
        if self.unread is not None:
            self.unread.stop()
            self.unread = None

    # ------------------------------------------------------------------ parsing

    def _parse(self) -> None:
        """Take all complete batches out of the buffer; begin a large one."""
        try:
            while self._take_batch():
                pass
        except ProtocolError as error:
            self.fail(error)

    def _take_batch(self) -> bool:
        available = self._end - self._start
        if available < 4 or self._large is not None or self.closed:
            return False
        start = self._start
        (count,) = _COUNT.unpack_from(self._buffer, start)
        if not 0 < count <= MAX_FRAMES:
            raise ProtocolError(f"a batch of {count} frames; the limit is {MAX_FRAMES}")
        header = 4 + 8 * count
        if available < header:
            if available == len(self._buffer):
                self._grow(min(header, 2 * available))
            return False
        lengths: Sequence[int]
        if count == 1:
            lengths = _LENGTH.unpack_from(self._buffer, start + 4)
            total = lengths[0]
        else:
            lengths = read_lengths(self._buffer, start + 4, count)
            total = sum(lengths)
        if total >= IS_BYTES:
            lengths, self._bytes = without_marks(lengths)
            total = sum(lengths)
        if total > self.max_message:
            raise ProtocolError(
                f"a message of {total} bytes; 'shoal.comm.max-message' is {self.max_message}"
            )
        body = start + header
        if available >= header + total:
            frames: list[BytesLike] = []
            for length in lengths:
                # bytearray: what is unpickled from a frame must be writable
                frames.append(bytearray(self._view[body : body + length]))
                body += length
            self._start = body
            self._deliver(frames, total)
            return True
        if header + total > JOIN_BELOW:
            self._begin_large(lengths, body)
        return False

    def _grow(self, size: int) -> None:
        """Make room for more of the header of a batch of very many frames."""
        rest = bytes(self._view[self._start : self._end])
        self._view.release()
        self._buffer = bytearray(size)
        self._view = memoryview(self._buffer)
        self._view[: len(rest)] = rest
        self._start, self._end = 0, len(rest)

    def _begin_large(self, lengths: Sequence[int], body: int) -> None:
        """Receive the rest of a batch into memory of its own, frame by frame."""
        self._large = []
        self._lengths = lengths
        position, end = body, self._end
        self._start = self._end = 0
        self._next_frame()
        while position < end:
            frame = self._large[-1]
            part = min(len(frame), end - position)
            frame[:part] = self._view[position : position + part]
            position += part
            self._large_offset = part
            self._advance_large()
        if len(self._buffer) > _BUFFER_SIZE:
            self._view.release()
            self._buffer = bytearray(_BUFFER_SIZE)
            self._view = memoryview(self._buffer)

    def _next_frame(self) -> None:
        """Take memory for the next frame that is not empty, if there is one."""
        frames = self._large
        assert frames is not None
        self._arrived()
        while len(frames) < len(self._lengths):
            index = len(frames)
            length = self._lengths[index]
            if index in self._bytes:
                self._bytes[index], view = new_bytes(length)
                frames.append(view)
            else:
                frames.append(self._memory(length))
            self._large_offset = self._populated = 0
            if length:
                return
        self._large, self._lengths = None, ()
        whole: list[BytesLike] = list(frames)
        if self._bytes:
            frames.clear()
            for index, made in self._bytes.items():
                assert made is not None
                whole[index] = made
            self._bytes = {}
        self._deliver(whole, sum(map(len, whole)))

    def _advance_large(self) -> None:
        if self._large is not None and self._large_offset == len(self._large[-1]):
            self._next_frame()

    def _memory(self, length: int) -> memoryview:
        global _ahead
        if length < _MAP_FROM and _ahead + length <= _MOST_AHEAD:
            _ahead += length
            self._ahead = length
            return memoryview(bytearray(length))
        return map_memory(length)

    def _arrived(self) -> None:
        """The awaited bytes have come, or will not."""
        global _ahead
        _ahead -= self._ahead
        self._ahead = 0

    # ------------------------------------------------------------------ reading

    def _deliver(self, frames: list[BytesLike], nbytes: int) -> None:
        if self._on_frames is not None:
            self._on_frames(frames)
        elif self._reader is not None and not self._reader.done():
            self._reader.set_result(frames)
            self._reader = None
        else:
            self._received.append(frames)
            self._received_bytes += nbytes
            if self._received_bytes > _HIGH_WATER:
                self._pause()

    async def read(self) -> list[BytesLike]:
        """Return the next batch."""
        if self._received:
            return self._next_received()
        if self.closed:
            raise self.closed_error()
        if self._reader is not None:
            raise RuntimeError("this connection is being read already")
        self._reader = self.loop.create_future()
        try:
            return await self._reader
        finally:
            self._reader = None

    def _next_received(self) -> list[BytesLike]:
        frames = self._received.popleft()
        self._received_bytes -= sum(map(len, frames))
        if self._received_bytes <= _HIGH_WATER // 2:
            self._resume()
        return frames

    def set_callbacks(self, on_frames: FramesCallback, on_closed: ClosedCallback) -> None:
        """Call back from now on, instead of being read; what came already is delivered first."""
        self._on_frames = on_frames
        self._on_closed = on_closed
        while self._received and self._on_frames is not None:
            self._on_frames(self._next_received())
        if self.closed and self._on_closed is not None:
            callback, self._on_closed = self._on_closed, None
            callback(self.closed_error())

    def _pause(self) -> None:
        if not self._paused_reading and self.transport is not None:
            self._paused_reading = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        if self._paused_reading and self.transport is not None:
            self._paused_reading = False
            self.transport.resume_reading()

    # ------------------------------------------------------------------ read by others

    def pause_between_batches(self) -> bool:
        """Stop reading, if nothing is half read; return whether that is so."""
        if self._start != self._end or self._large is not None or self.transport is None:
            return False
        self._pause()
        return True

    def resume_reading(self) -> None:
        """Read again."""
        if self.transport is not None and not self.transport.is_closing():
            self._resume()

    def whole_batch(self, data: bytes) -> list[BytesLike] | None:
        """Return the frames if this is one small batch and nothing else."""
        if len(data) < 12:
            return None
        if data[:4] == b"\x01\x00\x00\x00":
            size = int.from_bytes(data[4:12], "little")
            return [data[12:]] if len(data) == 12 + size else None
        count = int.from_bytes(data[:4], "little")
        start = 4 + 8 * count
        if not 0 < count <= _FEW or len(data) < start:
            return None
        lengths = struct.unpack_from(f"<{count}Q", data, 4)
        if len(data) != start + sum(lengths):
            return None
        frames: list[BytesLike] = []
        for length in lengths:
            frames.append(data[start : start + length])
            start += length
        return frames

    # ------------------------------------------------------------------ handshake

    async def read_raw(self, nbytes: int) -> bytes:
        """Return exactly so many bytes, before the handshake ended."""
        await self._raw_bytes(nbytes)
        data = bytes(self._view[self._start : self._start + nbytes])
        self._start += nbytes
        self._resume()
        return data

    async def _raw_bytes(self, nbytes: int) -> None:
        while self._end - self._start < nbytes:
            if self.closed:
                raise self.closed_error()
            self._raw_waiter = self.loop.create_future()
            try:
                await self._raw_waiter
            finally:
                self._raw_waiter = None

    def write_raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        if self.transport is not None:
            self.transport.write(data)

    async def first_raw(self) -> int:
        """Return the first byte that has not been read, before the handshake ended; keep it."""
        await self._raw_bytes(1)
        return self._buffer[self._start]

    async def secure(self, context: ssl.SSLContext, server_side: bool) -> bytes:
        """Encrypt the connection from here on; return the peer's certificate."""
        if self.transport is None:
            raise self.closed_error()
        received = bytes(self._view[self._start : self._end])
        self._start = self._end = 0
        channel = SecureChannel(self.transport, self, context, server_side)
        self.transport = channel
        self._resume()
        return await channel.shake_hands(received)

    def begin_frames(self) -> None:
        """The handshake ended: from now on the connection carries batches."""
        self._raw = False
        self._grow(_BUFFER_SIZE)
        self._resume()
        if self._start != self._end:
            self._parse()

    # ------------------------------------------------------------------ writing

    def send(self, frames: Sequence[BytesLike]) -> int:
        """Send a batch without waiting; return its size in bytes."""
        transport = self.transport
        if transport is None or self.closed:
            raise self.closed_error()
        if len(frames) > MAX_FRAMES:
            raise ValueError(f"a message of {len(frames)} buffers; the limit is {MAX_FRAMES}")
        if len(frames) == 1 and len(frames[0]) < JOIN_BELOW:
            frame = frames[0]
            size = len(frame)
            transport.write(b"\x01\x00\x00\x00" + size.to_bytes(8, "little") + frame)
            return size
        sizes = [memoryview(frame).nbytes for frame in frames]
        total = sum(sizes)
        marked = sizes if total < BYTES_FROM else with_marks(frames, sizes)
        header = struct.pack(f"<I{len(frames)}Q", len(frames), *marked)
        if total < JOIN_BELOW:
            transport.write(b"".join((header, *frames)))
        else:
            for part in gather(header, frames, sizes):
                transport.write(part)
        return total

    def open_direct(self) -> None:
        """Make `send_directly` possible, where it is."""
        if self.transport is not None and self.direct is None:
            self.direct = open_direct(self.transport)

    def send_directly(self, frames: Sequence[BytesLike]) -> bool:
        """Hand a small batch to the operating system now; return whether that could be done.

        May be called on any thread, while nobody else sends.
        """
        direct = self.direct
        if direct is None or len(frames) > _FEW or self.closed or not self.idle:
            return False
        if len(frames) == 1:
            frame = frames[0]
            size = len(frame)  # the first of a batch is bytes
            if size >= JOIN_BELOW:
                return False
            data = b"\x01\x00\x00\x00" + size.to_bytes(8, "little") + frame
        else:
            sizes = [memoryview(frame).nbytes for frame in frames]
            if sum(sizes) >= JOIN_BELOW:
                return False
            data = b"".join((struct.pack(f"<I{len(frames)}Q", len(frames), *sizes), *frames))
        sent = direct.write(data)
        if 0 < sent < len(data):
            self._rest = True
            self.loop.call_soon_threadsafe(self._write_rest, data[sent:])
        return sent > 0

    def _write_rest(self, data: bytes) -> None:
        self._rest = False
        if self.transport is not None:
            self.transport.write(data)
            if self.idle and self.on_writable is not None:
                self.on_writable()

    @property
    def idle(self) -> bool:
        """Whether everything sent has been handed to the operating system."""
        transport = self.transport
        return transport is not None and not self._rest and transport.get_write_buffer_size() == 0

    def notify_when_sent(self, callback: Callable[[], None] | None) -> None:
        """Call back each time when all that was sent is with the operating system."""
        self.on_writable = callback
        if self.transport is not None:
            self.transport.set_write_buffer_limits(high=0 if callback else _HIGH_WATER)

    async def drain(self) -> None:
        """Wait until the peer has taken most of what was sent."""
        if self._writable is not None:
            await asyncio.shield(self._writable)

    # ------------------------------------------------------------------ closing

    def fail(self, error: BaseException) -> None:
        """Close at once because the peer broke the protocol."""
        if self.closed_by is None:
            self.closed_by = error
        self.abort()

    def abort(self) -> None:
        """Close at once; what was not sent is dropped."""
        self.closed = True
        if self.transport is not None:
            self.transport.abort()

    async def close(self, timeout: float = 5.0) -> None:
        """Send what is to be sent, then close."""
        if self.transport is None:
            return
        self._resume()  # a paused transport does not notice that the peer is gone
        self.transport.close()
        try:
            await within(asyncio.shield(self._done), timeout)
        except TimeoutError:
            self.abort()

    def closed_error(self) -> CommClosedError:
        """Return why the connection is closed."""
        cause = self.closed_by
        if isinstance(cause, CommClosedError):
            return cause
        text = f"the connection is closed: {cause}" if cause else "the peer closed the connection"
        error = CommClosedError(text)
        error.__cause__ = cause
        return error


def _untie(transport: asyncio.Transport | None) -> None:
    """Break the reference of asyncio's own transports to themselves: they will not read again, and
    would stay in memory until the collector comes.
    """
    if transport is not None:
        getattr(transport, "__dict__", {}).pop("_read_ready_cb", None)


# Bytes that all connections of this process wait for, and have taken memory for.
_ahead = 0
