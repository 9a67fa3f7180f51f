"""Comm, connector and listener over stream sockets; `tcp` and `ipc` say which sockets."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Any

from shoal import config
from shoal.comm.addressing import contact_of
from shoal.comm.base import Comm, Connector, Listener
from shoal.comm.compression import compress_frames, decompress_frames, offered_compressions
from shoal.comm.frames import FrameProtocol
from shoal.comm.handshake import (
    Agreed,
    BusyError,
    Passage,
    Terms,
    UnknownSecretError,
    accept,
    introduce,
    refuse,
)
from shoal.comm.keys import Keys, keys_of
from shoal.comm.secret import cluster_secret
from shoal.comm.strangers import HandshakeLimit, Reports, clean
from shoal.errors import CommClosedError, HandshakeError, InterruptedHandshakeError
from shoal.wire import open_codec
from shoal.wire.blob import BytesLike
from shoal.wire.serialize.chosen import by_families, needs_choosing, opener_of

__all__ = ["SocketComm", "SocketConnector", "SocketListener", "new_protocol", "terms_of"]

logger = logging.getLogger("shoal.comm")


class SocketComm(Comm):
    """A connection over a stream socket; messages are batches of frames (see `frames`)."""

    def __init__(
        self,
        protocol: FrameProtocol,
        local_address: str,
        peer_address: str,
        deserialize: bool = True,
        agreed: Agreed | None = None,
    ) -> None:
        super().__init__(deserialize)
        self.protocol = protocol
        self.most_unread = protocol.most_unread
        self.agree(agreed or Agreed(None))
        self._local_address = local_address
        self._peer_address = peer_address

    def agree(self, agreed: Agreed) -> None:
        """Take over what the handshake found out."""
        self.compression = agreed.compression
        self.peer_role = agreed.role
        self.peer_identity = agreed.identity

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


def new_protocol(
    on_connected: Callable[[FrameProtocol], None] | None = None,
) -> Callable[[], FrameProtocol]:
    """Return what makes connections, as they are configured."""
    limit = config.get_bytes("shoal.comm.max-message")
    handshake = config.get_bytes("shoal.comm.handshake-bytes")
    if not _LEAST <= handshake <= _MOST:
        raise ValueError(
            f"'shoal.comm.handshake-bytes' is {handshake}; it must be {_LEAST} to {_MOST} bytes"
        )
    unread = config.get_seconds("shoal.comm.unread")
    waiting = config.get_bytes("shoal.comm.most-unread")
    return lambda: FrameProtocol(limit, on_connected, handshake, unread, waiting)


_LEAST, _MOST = 1024, 65536
_LOOK_EVERY = 1.0  # seconds between looks at the secret's file


def terms_of(protection: str, compress: bool, arguments: dict[str, Any]) -> Terms:
    """Return what a side brings to handshakes.

    Parameters
    ----------
    protection : str
        See `Terms`.
    compress : bool
        Whether the scheme is worth it.
    arguments : dict
        The result of `Security.get_connection_args`: `secret` and `role` of it.
    """
    keys: tuple[Keys, ...] = ()
    if protection != "certificates":
        keys = keys_of(cluster_secret(arguments.get("secret")))
    return Terms(
        keys, arguments.get("role"), protection, offered_compressions() if compress else []
    )


class SocketConnector(Connector):
    """Connects a stream socket and introduces itself."""

    compress = True

    @abstractmethod
    async def _open(
        self, loc: str, make_protocol: Callable[[], FrameProtocol], **connection_args: Any
    ) -> tuple[FrameProtocol, str, str]:
        """Connect; return the protocol, the local and the peer's address."""

    def _protection(self) -> str:
        """Return how connections are protected: see `Terms`."""
        return "local"

    async def connect(
        self,
        address: str,
        deserialize: bool = True,
        expected: Collection[str] = (),
        **connection_args: Any,
    ) -> Comm:
        terms = terms_of(self._protection(), self.compress, connection_args)
        make_protocol = new_protocol()
        # A listener that has not heard of the newest secret yet may know an older one.
        for keys in terms.keys or (None,):
            protocol, local, peer = await self._open(address, make_protocol, **connection_args)
            try:
                agreed = await introduce(
                    protocol, terms, keys, peer, self._reached(protocol) or peer, expected
                )
            except UnknownSecretError as error:
                await _let_go(protocol)
                if keys is terms.keys[-1]:
                    raise
                _forget_frames(error)
            except BaseException:
                await _let_go(protocol)
                raise
            else:
                return SocketComm(protocol, local, peer, deserialize, agreed)
        raise AssertionError

    def _reached(self, protocol: FrameProtocol) -> str:
        """Return the numeric address that a name led to, where there is such a thing."""
        return ""


async def _let_go(protocol: FrameProtocol) -> None:
    """Close a connection whose last words should still arrive."""
    if protocol.transport is not None and not protocol.idle:
        await protocol.close(timeout=1.0)
    protocol.abort()


class SocketListener(Listener):
    """Accepts stream sockets, checks their peers, and hands them on."""

    compress = True

    def __init__(
        self, handle_comm: Callable[[Comm], Any], deserialize: bool, **connection_args: Any
    ) -> None:
        self._handle_comm = handle_comm
        self._deserialize = deserialize
        self._arguments = connection_args
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

    def _protection(self) -> str:
        """Return how connections are protected: see `Terms`."""
        return "local"

    def _check_peer(self, protocol: FrameProtocol) -> None:
        """Refuse a peer by what the operating system knows of it."""

    async def _begin_encryption(self, protocol: FrameProtocol) -> None:
        """Do what comes before the first word."""

    async def start(self) -> None:
        self._timeout = config.get_seconds("distributed.comm.timeouts.connect")
        self._terms = terms_of(self._protection(), self.compress, self._arguments)
        self._looked = asyncio.get_running_loop().time()
        if self._terms.protection == "tls":
            self._terms.keys[0].role_for(self._terms.role, listens=True)
        self._handshakes = HandshakeLimit(config.get_int("shoal.comm.handshakes"))
        self._reports = Reports()
        self._servers = await self._serve(new_protocol(self._accepted))

    def stop(self) -> None:
        for server in self._servers:
            server.close()
        self._servers = []
        for task in self._tasks:
            task.cancel()

    def _renew_terms(self, now: float) -> None:
        """Look whether the secret was replaced, now and then."""
        if now < self._looked + _LOOK_EVERY or self._terms.protection == "certificates":
            return
        self._looked = now
        try:
            terms = terms_of(self._terms.protection, self.compress, self._arguments)
        except (OSError, ValueError) as error:
            if self._reports.count("the secret") is not None:
                logger.warning("%s goes on with the secret it has: %s", self.contact_address, error)
        else:
            self._terms = terms

    def _accepted(self, protocol: FrameProtocol) -> None:
        out = self._handshakes.enter(protocol)
        if out is not None:
            peer = self._addresses(out)[1] if out.transport is not None else "?"
            text = f"more than {self._handshakes.limit} handshakes were under way"
            self._refuse(out, peer, BusyError(text))
            if out is protocol:
                return
        task = protocol.loop.create_task(self._greet(protocol))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _greet(self, protocol: FrameProtocol) -> None:
        # A timer, not `wait_for`: that one's frames and errors refer to each other, and would stay
        # in memory where the collector is off.
        limit = protocol.loop.call_later(self._timeout, self._too_late, protocol)
        local, peer = self._addresses(protocol) if protocol.transport is not None else ("", "?")
        try:
            self._check_peer(protocol)
            await self._begin_encryption(protocol)
            # `also_at`: under what addresses it can be reached through forwarded ports.
            others = self._arguments.get("also_at", ())
            self._renew_terms(protocol.loop.time())
            outer = {contact_of(each, self.listen_address) for each in others}
            own = {local, self.listen_address, self.contact_address, *outer}
            agreed = await accept(protocol, self._terms, own)
            if type(agreed) is Passage:
                self._pass_on(protocol, agreed)
                return
        except (CommClosedError, PermissionError) as error:
            self._refuse(protocol, peer, error)
            return
        except BaseException:
            protocol.abort()
            raise
        finally:
            limit.cancel()
            self._handshakes.leave(protocol)
        assert type(agreed) is Agreed
        self._begin(SocketComm(protocol, local, peer, self._deserialize, agreed))

    def _pass_on(self, protocol: FrameProtocol, passage: Passage) -> None:
        """Give a connection to who passes it on to another process."""
        passages = self._arguments.get("passages")
        if passages is None:
            raise HandshakeError("this process passes no connections on: schedulers do")
        passages.come(protocol, passage)

    def take(self, protocol: FrameProtocol) -> None:
        """Answer on a connection that this side has opened, as on one that came."""
        self._accepted(protocol)

    def _too_late(self, protocol: FrameProtocol) -> None:
        protocol.fail(HandshakeError(f"no handshake within {self._timeout:g} s"))

    def _begin(self, comm: SocketComm) -> None:
        result = self._handle_comm(comm)
        if asyncio.iscoroutine(result):
            # Its own task: `stop` ends handshakes, not connections.
            task = asyncio.ensure_future(result)
            _running.add(task)
            task.add_done_callback(_finished)

    def _refuse(self, protocol: FrameProtocol, peer: str, error: OSError) -> None:
        """Say no, and forget all about it."""
        self._report(peer, error)
        transport = protocol.transport
        if transport is not None and not protocol.closed:
            refuse(protocol, error)
            transport.close()
            if not protocol.idle:
                protocol.loop.call_later(1.0, protocol.abort)
        protocol.closed_by = None
        _forget_frames(error)

    def _report(self, peer: str, error: OSError) -> None:
        count = self._reports.count(peer.rpartition(":")[0])
        if count is None:
            return
        logger.log(
            logging.INFO if isinstance(error, InterruptedHandshakeError) else logging.WARNING,
            "refused a connection from %s to %s: %s%s",
            clean(peer),
            self.contact_address,
            clean(error),
            f" (and {count - 1} more in the last minute)" if count > 1 else "",
        )


def _forget_frames(error: BaseException | None) -> None:
    """Cut the ties of an error that was dealt with: its frames refer to it and to each other."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


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
