"""Connections over streams of tornado, for extensions that open the stream in a way of their own.

A gateway, for example, connects to a proxy, speaks to it, and then makes a `TLS` of the stream.
From there on it is a connection like any other: the handshake comes with the first message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, cast

from tornado.iostream import IOStream, StreamClosedError

from shoal.comm.addressing import unparse_host_port
from shoal.comm.frames import FrameProtocol
from shoal.comm.handshake import introduce
from shoal.comm.keys import LISTENERS
from shoal.comm.sockets import SocketComm, new_protocol, terms_of
from shoal.errors import CommClosedError

__all__ = ["MAX_BUFFER_SIZE", "TCP", "TLS", "convert_stream_closed_error", "get_stream_address"]

# The most unread bytes that a stream may hold; a stream that is made for shoal needs no more.
MAX_BUFFER_SIZE = 64 << 20

_CHUNK = 64 * 1024


def get_stream_address(stream: IOStream) -> str:
    """Return ``host:port`` of this end of a stream; a text that says so when it is closed."""
    if stream.closed() or stream.socket is None:
        return "<closed>"
    try:
        return unparse_host_port(*stream.socket.getsockname()[:2])
    except OSError:
        return "<closed>"


def convert_stream_closed_error(obj: Any, exc: StreamClosedError) -> NoReturn:
    """Raise a `CommClosedError` in the place of tornado's error, with its cause.

    Parameters
    ----------
    obj : object
        The user of the stream; named in the text.
    exc : tornado.iostream.StreamClosedError
        The error.
    """
    cause = exc.real_error
    why = f"{type(cause).__name__}: {cause}" if cause is not None else str(exc)
    raise CommClosedError(f"in {obj}: {why}") from (cause or exc)


class TCP(SocketComm):
    """A connection over a stream that is open already.

    Parameters
    ----------
    stream : tornado.iostream.IOStream
        The stream; nobody else uses it from now on.
    local_addr, peer_addr : str
        Addresses of the two ends, with their schemes.
    deserialize : bool
        False: pickled parts of messages are read as `Serialized`.
    secret : str, optional
        The cluster's secret; by default that of this user.
    """

    _protection = "tls"

    def __init__(
        self,
        stream: IOStream,
        local_addr: str,
        peer_addr: str,
        deserialize: bool = True,
        secret: str | None = None,
    ) -> None:
        protocol = new_protocol()()
        super().__init__(protocol, local_addr, peer_addr, deserialize)
        self._secret = secret
        self._greeting: asyncio.Task[None] | None = None
        self._transport = _StreamTransport(stream, protocol)
        protocol.connection_made(self._transport)

    async def _greeted(self) -> None:
        if self._greeting is None:
            self._greeting = asyncio.get_running_loop().create_task(self._greet())
        await asyncio.shield(self._greeting)

    async def _greet(self) -> None:
        terms = terms_of(self._protection, True, {"secret": self._secret, "role": "client"})
        for keys in terms.keys[:1] or (None,):
            # Where such a stream leads to is the gateway's business.
            where = self.peer_address
            self.agree(await introduce(self.protocol, terms, keys, where, where, LISTENERS))

    async def read(self, deserializers: Sequence[str] | None = None) -> Any:
        await self._greeted()
        return await super().read(deserializers)

    async def write(
        self, msg: Any, serializers: Sequence[str] | None = None, on_error: str = "message"
    ) -> int:
        await self._greeted()
        return await super().write(msg, serializers, on_error)


class TLS(TCP):
    """The same over a stream that is encrypted already, by certificates which are the proof."""

    _protection = "certificates"


class _StreamTransport(asyncio.Transport):
    """A tornado stream in the clothes of an asyncio transport."""

    def __init__(self, stream: IOStream, protocol: FrameProtocol) -> None:
        super().__init__()
        self._stream = stream
        self._protocol = protocol
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._unsent = 0
        self._high = _CHUNK
        self._paused = False
        stream.set_nodelay(True)
        self._pump = asyncio.get_running_loop().create_task(self._read())
        self._pump.add_done_callback(self._ended)

    async def _read(self) -> None:
        buffer = bytearray(_CHUNK)
        while True:
            await self._may_read.wait()
            data = memoryview(buffer)[: await self._stream.read_into(buffer, partial=True)]
            while data:
                await self._may_read.wait()
                room = memoryview(self._protocol.get_buffer(len(data))).cast("B")
                count = min(len(room), len(data))
                room[:count] = data[:count]
                data = data[count:]
                self._protocol.buffer_updated(count)

    def _ended(self, pump: asyncio.Task[None]) -> None:
        error = None if pump.cancelled() else pump.exception()
        if isinstance(error, StreamClosedError):
            error = error.real_error
        self._stream.close()
        self._protocol.connection_lost(error)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(FrameProtocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    # -- writing

    def write(self, data: Any) -> None:
        if self._stream.closed():
            return
        size = memoryview(data).nbytes
        self._unsent += size
        try:
            # The buffer may be a frame that its owner changes later: tornado keeps a reference.
            sent = self._stream.write(bytes(data))
        except StreamClosedError:
            return
        asyncio.ensure_future(sent).add_done_callback(lambda done: self._sent(done, size))
        if self._unsent > self._high and not self._paused:
            self._paused = True
            self._protocol.pause_writing()

    def _sent(self, done: asyncio.Future[None], size: int) -> None:
        self._unsent -= size
        if not done.cancelled():
            done.exception()  # the reader tells of the end
        if self._paused and self._unsent <= self._high // 4:
            self._paused = False
            self._protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = _CHUNK if high is None else high

    # -- reading

    def pause_reading(self) -> None:
        self._may_read.clear()

    def resume_reading(self) -> None:
        self._may_read.set()

    # -- the end

    def is_closing(self) -> bool:
        return self._stream.closed()

    def close(self) -> None:
        if self._unsent:
            asyncio.get_running_loop().create_task(self._close_when_sent())
        else:
            self.abort()

    async def _close_when_sent(self) -> None:
        while self._unsent and not self._stream.closed():
            await asyncio.sleep(0.01)
        self.abort()

    def abort(self) -> None:
        self._stream.close()
        self._pump.cancel()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        answers: dict[str, Callable[[], Any]] = {
            "socket": lambda: self._stream.socket,
            "peercert": lambda: getattr(self._stream.socket, "getpeercert")(),  # noqa: B009,
        }
        try:
            return answers[name]()
        except (KeyError, AttributeError, OSError, ValueError):
            return default
