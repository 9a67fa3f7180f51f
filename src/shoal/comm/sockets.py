"""Comm, connector and listener over stream sockets; `tcp` and `ipc` say which sockets."""

from __future__ import annotations

import asyncio
import logging
import ssl
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from shoal import config
from shoal.comm.base import Comm, Connector, Listener
from shoal.comm.compression import available_compressions, compress_frames, decompress_frames
from shoal.comm.frames import FrameProtocol
from shoal.comm.handshake import accept, introduce
from shoal.comm.secret import cluster_secret
from shoal.errors import CommClosedError, HandshakeError
from shoal.wire import open_codec
from shoal.wire.blob import BytesLike
from shoal.wire.serialize.chosen import by_families, needs_choosing, opener_of

__all__ = ["SocketComm", "SocketConnector", "SocketListener"]

logger = logging.getLogger("shoal.comm")


class SocketComm(Comm):
    """A connection over a stream socket; messages are batches of frames (see `frames`)."""

    def __init__(
        self,
        protocol: FrameProtocol,
        local_address: str,
        peer_address: str,
        deserialize: bool = True,
        compression: str | None = None,
    ) -> None:
        super().__init__(deserialize)
        self.protocol = protocol
        self.compression = compression
        self._local_address = local_address
        self._peer_address = peer_address

    async def read(self, deserializers: Sequence[str] | None = None) -> Any:
        frames = self.received(await self.protocol.read())
        if not self.deserialize or deserializers is None or "pickle" in deserializers:
            return open_codec.decode(frames, deserialize=self.deserialize)
        return open_codec.decode(frames, opener=opener_of(deserializers))

    async def write(
        self, msg: Any, serializers: Sequence[str] | None = None, on_error: str = "message"
    ) -> int:
        try:
            if serializers is not None and needs_choosing(serializers):
                msg = by_families(msg, serializers)
            frames = open_codec.encode(msg)
        except Exception as error:
            if on_error == "raise":
                raise
            frames = _frames_of(error)
        sent = self.send_frames(frames)
        await self.protocol.drain()
        return sent

    def received(self, frames: list[BytesLike]) -> list[BytesLike]:
        """Return frames as the peer made them."""
        if not self.compression:
            return frames
        return decompress_frames(frames, self.compression, self.protocol.max_message)

    def send_frames(self, frames: list[BytesLike]) -> int:
        """Send the frames of one message without waiting."""
        if self.compression:
            frames = compress_frames(frames, self.compression)
        return self.protocol.send(frames)

    def send_directly(self, frames: list[BytesLike]) -> bool:
        """Hand a small message to the operating system now; return whether that could be done."""
        if self.compression:
            frames = compress_frames(frames, self.compression)
        return self.protocol.send_directly(frames)

    async def close(self) -> None:
        await self.protocol.close()

    def abort(self) -> None:
        self.protocol.abort()

    def closed(self) -> bool:
        return self.protocol.closed or self.protocol.transport is None

    @property
    def local_address(self) -> str:
        return self._local_address

    @property
    def peer_address(self) -> str:
        return self._peer_address

    @property
    def extra_info(self) -> dict[str, Any]:
        transport = self.protocol.transport
        certificate = transport.get_extra_info("peercert") if transport is not None else None
        return {} if certificate is None else {"peercert": certificate}


class SocketConnector(Connector):
    """Connects a stream socket and introduces itself."""

    compress = True

    @abstractmethod
    async def _open(
        self, loc: str, make_protocol: Callable[[], FrameProtocol], **connection_args: Any
    ) -> tuple[FrameProtocol, str, str]:
        """Connect; return the protocol, the local and the peer's address."""

    async def connect(self, address: str, deserialize: bool = True, **connection_args: Any) -> Comm:
        limit = config.get_bytes("shoal.comm.max-message")
        secret = cluster_secret(connection_args.get("secret"))
        try:
            protocol, local, peer = await self._open(
                address, lambda: FrameProtocol(limit), **connection_args
            )
        except ssl.SSLCertVerificationError as error:
            raise HandshakeError(
                f"its TLS certificate does not pass: {error.verify_message}"
            ) from error
        except ssl.SSLError as error:
            raise HandshakeError(
                f"no TLS connection ({error.reason or error}); does the peer speak TLS, and do the "
                "certificates belong together?"
            ) from error
        try:
            agreed = await introduce(
                protocol, secret, available_compressions() if self.compress else []
            )
        except BaseException:
            await _let_go(protocol)
            raise
        return SocketComm(protocol, local, peer, deserialize, agreed["compression"])


async def _let_go(protocol: FrameProtocol) -> None:
    """Close a connection whose last words should still arrive."""
    if protocol.transport is not None and not protocol.idle:
        await protocol.close(timeout=1.0)
    protocol.abort()


class SocketListener(Listener):
    """Accepts stream sockets, checks who they are, and hands them on."""

    compress = True

    def __init__(
        self, handle_comm: Callable[[Comm], Any], deserialize: bool, **connection_args: Any
    ) -> None:
        self._handle_comm = handle_comm
        self._deserialize = deserialize
        self._secret_given = connection_args.get("secret")
        self._servers: list[asyncio.AbstractServer] = []
        self._tasks: set[asyncio.Task[None]] = set()

    @abstractmethod
    async def _serve(
        self, make_protocol: Callable[[], FrameProtocol]
    ) -> list[asyncio.AbstractServer]:
        """Begin to listen."""

    @abstractmethod
    def _addresses(self, protocol: FrameProtocol) -> tuple[str, str]:
        """Return the local and the peer's address of an accepted connection."""

    async def start(self) -> None:
        self._limit = config.get_bytes("shoal.comm.max-message")
        self._timeout = config.get_seconds("distributed.comm.timeouts.connect")
        self._secret = cluster_secret(self._secret_given)
        self._servers = await self._serve(lambda: FrameProtocol(self._limit, self._accepted))

    def stop(self) -> None:
        for server in self._servers:
            server.close()
        self._servers = []
        for task in self._tasks:
            task.cancel()

    def _accepted(self, protocol: FrameProtocol) -> None:
        task = protocol.loop.create_task(self._greet(protocol))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _greet(self, protocol: FrameProtocol) -> None:
        local, peer = self._addresses(protocol)
        compressions = available_compressions() if self.compress else []
        try:
            agreed = await asyncio.wait_for(
                accept(protocol, self._secret, compressions), self._timeout
            )
        except (TimeoutError, HandshakeError) as error:
            self._report(peer, error)
            await _let_go(protocol)
            return
        except BaseException:
            protocol.abort()
            raise
        comm = SocketComm(protocol, local, peer, self._deserialize, agreed["compression"])
        self._begin(comm)

    def _begin(self, comm: SocketComm) -> None:
        result = self._handle_comm(comm)
        if asyncio.iscoroutine(result):
            # Its own task: `stop` ends handshakes, not connections.
            task = asyncio.ensure_future(result)
            _running.add(task)
            task.add_done_callback(_finished)

    def _report(self, peer: str, error: BaseException) -> None:
        text = str(error) or f"no handshake within {self._timeout:g} s"
        harmless = "closed the connection" in text
        logger.log(
            logging.DEBUG if harmless else logging.WARNING,
            "refused a connection from %s to %s: %s",
            peer,
            self.contact_address,
            text,
        )


_running: set[asyncio.Future[Any]] = set()


def _finished(task: asyncio.Future[Any]) -> None:
    _running.discard(task)
    if task.cancelled():
        return
    error = task.exception()
    if error is not None and not isinstance(error, CommClosedError):
        logger.error("a connection's handler failed", exc_info=error)


def _frames_of(error: Exception) -> list[BytesLike]:
    """Return what tells the peer why there is no answer, whatever the error is made of."""
    try:
        return open_codec.encode(error)
    except Exception:
        text = f"the answer cannot be sent: {type(error).__name__}: {error}"
        return open_codec.encode(RuntimeError(text))
