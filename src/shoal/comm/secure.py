"""TLS between a connection's transport and its frames, over memory.

A transport to the frames, a protocol to the loop's own transport. The loop's TLS is not used as
threads write and read sockets themselves here (see `direct`, `thread_reader`), large values are
encrypted bit by bit as the peer takes them, and decrypted to where they belong.

The context says which peer may be at the other end; `handshake` has what follows from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from shoal.comm.secure_direct import SecureDirect
from shoal.errors import CommClosedError, HandshakeError, InterruptedHandshakeError

if TYPE_CHECKING:
    from shoal.comm.frames import FrameProtocol

__all__ = ["SecureChannel"]

_READ = 256 * 1024  # bytes read at once, by all connections of a thread into the same memory
_WRITE = 256 * 1024  # bytes encrypted at once
_RECORD = 16 * 1024  # most bytes of what is encrypted as one
_LOW = 4  # the part of the limit below which the frames may go on


class _Scratch(threading.local):
    def __init__(self) -> None:
        self.view = memoryview(bytearray(_READ))


_scratch = _Scratch()


class SecureChannel(asyncio.BufferedProtocol, asyncio.Transport):
    """An encrypted connection.

    Parameters
    ----------
    transport : asyncio.Transport
        Of the bytes as they travel. Its protocol is this from now on.
    protocol : FrameProtocol
        The protocol that takes the decrypted bytes. It has been connected already.
    context : ssl.SSLContext
        Whom to trust, and what to show.
    server_side : bool
        Which part of TLS to play.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        protocol: FrameProtocol,
        context: ssl.SSLContext,
        server_side: bool,
    ) -> None:
        asyncio.Transport.__init__(self)
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._protocol = protocol
        self._context = context
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.incoming, self.outgoing, server_side=server_side)
        # Held to use `ssl`: threads write while the loop reads.
        self.using = threading.Lock()
        self._view = _scratch.view
        self._shaking: asyncio.Future[None] | None = self._loop.create_future()
        self._backlog: deque[memoryview] = deque()  # not encrypted yet
        self._backlog_bytes = 0
        self._pausing = False  # the transport has enough
        self._paused_protocol = False
        self._high = 0
        self._reading = True
        self._closing = False
        self._direct: SecureDirect | None = None
        # `drain` waits until the operating system has taken all that was written.
        transport.set_write_buffer_limits(high=0)
        transport.set_protocol(self)

    # ------------------------------------------------------------------ handshake

    async def shake_hands(self, received: bytes = b"") -> bytes:
        """Do the handshake; return the peer's certificate.

        Parameters
        ----------
        received : bytes
            The bytes that have come already.

        Raises
        ------
        HandshakeError
            When the peer is none that the context trusts.
        """
        waiter = self._shaking
        assert waiter is not None
        self.incoming.write(received)
        self._shake()
        await waiter
        return cast(bytes, self.ssl.getpeercert(binary_form=True))

    def _shake(self) -> None:
        assert self._shaking is not None
        try:
            self.ssl.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._flush()  # an alert tells the peer
            failure = _handshake_error(error)
            failure.__cause__ = error
            self._shaken(failure)
        else:
            self._flush()
            self._shaken(None)
            self._decrypt()

    def _shaken(self, error: BaseException | None) -> None:
        waiter, self._shaking = self._shaking, None
        if waiter is not None and not waiter.done():
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)

    # ------------------------------------------------------------------ called by the loop

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        self.incoming.write(self._view[:nbytes])
        if self._shaking is not None:
            self._shake()
        else:
            self._decrypt()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        self._closing = True
        self._backlog.clear()
        self._backlog_bytes = 0
        self._shaken(
            InterruptedHandshakeError("the peer closed the connection during the TLS handshake")
        )
        self._protocol.connection_lost(exc)
        getattr(self._transport, "__dict__", {}).pop("_read_ready_cb", None)  # see `frames`

    def pause_writing(self) -> None:
        self._pausing = True

    def resume_writing(self) -> None:
        self._pausing = False
        self._encrypt()

    # ------------------------------------------------------------------ receiving

    def _decrypt(self) -> None:
        """Hand over what can be decrypted, as long as it is wanted."""
        protocol, incoming, read = self._protocol, self.incoming, cast(Any, self.ssl.read)
        while self._reading and (incoming.pending or self.ssl.pending()):
            buffer = protocol.get_buffer(-1)
            room = len(buffer)
            filled = 0
            failure: ssl.SSLError | None = None
            drained = False
            # One record after the other; the frames are told once: of large ones there are many.
            with self.using:
                try:
                    while filled < room:
                        count = read(room - filled, buffer[filled:] if filled else buffer)
                        if not count:
                            break
                        filled += count
                except ssl.SSLWantReadError:
                    drained = True
                except ssl.SSLError as error:
                    failure = error
            if filled:
                protocol.buffer_updated(filled)
            if failure is None and filled and not drained:
                continue
            if isinstance(failure, ssl.SSLZeroReturnError):
                self.abort()
            elif failure is not None:
                self._fail(failure)
            failure = None  # it knows this frame, which would know it: kept for ever
            return

    def _fail(self, error: ssl.SSLError) -> None:
        if "ALERT" in (error.reason or "").upper():
            failure: CommClosedError = _handshake_error(error)
        else:
            failure = CommClosedError(
                f"what arrived is not what the peer sent ({error.reason or error}): it was changed "
                "on its way"
            )
        self._protocol.fail(failure)

    def pause_reading(self) -> None:
        self._reading = False
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._reading = True
        self._transport.resume_reading()
        if self._direct is not None:
            try:
                self._hand_over(self._direct.left())
            except ssl.SSLError as error:
                self._fail(error)
        if self._shaking is None:
            self._decrypt()

    def _hand_over(self, data: bytes) -> None:
        """Give the frames what a thread has decrypted and did not want."""
        while data:
            buffer = self._protocol.get_buffer(len(data))
            count = min(len(buffer), len(data))
            buffer[:count] = data[:count]
            data = data[count:]
            self._protocol.buffer_updated(count)

    # ------------------------------------------------------------------ sending

    def write(self, data: Any) -> None:
        """Send bytes; large ones are kept until the peer has taken what is before them."""
        if self._closing or not data:
            return
        if len(data) <= _RECORD and not self._backlog and not self._pausing:
            self._write_now(data)
            return
        view = memoryview(data)
        self._backlog.append(view if view.format == "B" else view.cast("B"))
        self._backlog_bytes += view.nbytes
        if not self._pausing:
            self._encrypt()
        self._look_at_limits()

    def _write_now(self, data: Any) -> None:
        """Send what fits into one record, past the backlog, which is empty."""
        try:
            with self.using:
                self.ssl.write(data)
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._flush()
        if self._pausing:  # the operating system did not take all of it
            self._look_at_limits()

    def _encrypt(self) -> None:
        """Encrypt and send as much as the operating system takes."""
        backlog, write = self._backlog, self.ssl.write
        try:
            while backlog and not self._pausing:
                with self.using:
                    room = _WRITE
                    while backlog and room > 0:
                        first = backlog[0]
                        count = write(cast(Any, first[:room]))
                        room -= count
                        self._backlog_bytes -= count
                        if count == len(first):
                            backlog.popleft()
                        else:
                            backlog[0] = first[count:]
                self._flush()
        except ssl.SSLError as error:
            self._fail(error)
            return
        self._look_at_limits()
        if self._closing and not backlog:
            self._transport.close()

    def _flush(self) -> None:
        """Give the transport what is encrypted."""
        with self.using:
            data = self.outgoing.read()
            if self._direct is not None and (unsent := self._direct.take_unsent()):
                data = unsent + data
        if data:
            self._transport.write(data)

    def _look_at_limits(self) -> None:
        size = self.get_write_buffer_size()
        if self._paused_protocol:
            if size <= self._high // _LOW:
                self._paused_protocol = False
                self._protocol.resume_writing()
        elif size > self._high:
            self._paused_protocol = True
            self._protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        size = self._backlog_bytes + self._transport.get_write_buffer_size()
        return size if self._direct is None else size + self._direct.unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = 64 * 1024 if high is None else high
        self._look_at_limits()

    # ------------------------------------------------------------------ by threads

    def open_direct(self, fileno: int) -> SecureDirect:
        """Let threads write to and read from a socket's descriptor, with this channel's keys."""
        self._direct = SecureDirect(self, fileno)
        return self._direct

    def flush_soon(self) -> None:
        """Have the loop send what a thread encrypted and could not send. On any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._flush_for_thread)

    def _flush_for_thread(self) -> None:
        if not self.is_closing():
            self._flush()
            self._look_at_limits()
            if not self._paused_protocol:
                self._protocol.resume_writing()

    # ------------------------------------------------------------------ the end

    def is_closing(self) -> bool:
        return self._closing or self._transport.is_closing()

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            if not self._backlog:
                self._transport.close()

    def abort(self) -> None:
        self._closing = True
        self._backlog.clear()
        self._backlog_bytes = 0
        self._transport.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "sslcontext":
            return self._context
        if name == "ssl_object":
            return self.ssl
        if name == "peercert":
            return self.ssl.getpeercert()
        if name == "cipher":
            return self.ssl.cipher()
        return self._transport.get_extra_info(name, default)


def _handshake_error(error: ssl.SSLError) -> HandshakeError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return HandshakeError(f"its TLS certificate does not pass: {error.verify_message}")
    reason = error.reason or str(error)
    if "ALERT" in reason.upper():
        return HandshakeError(
            f"the peer refused this side's certificate ({reason}): it holds another secret or "
            "certificate authority, or expects another role here"
        )
    return HandshakeError(
        f"no TLS connection ({reason}); does the peer speak TLS, and do the certificates belong "
        "together?"
    )
