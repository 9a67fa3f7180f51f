"""A TLS connection's socket, past its transport: what `DirectSocket` is to plain ones.

A signal handler may raise in the main thread between any two steps, and a record that was encrypted
and not sent, or taken and not decrypted, would break the connection. So each step leaves a trace
before it is done, and whoever comes next, a thread or the loop, goes on where it stopped. Where a
step's result must not be lost on its way to a variable, C code stores it: `list.extend(map(...))`
runs no Python code between the call and the list.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from shoal.comm.secure import SecureChannel

__all__ = ["SecureDirect"]

_HEADER = 5
_OVERHEAD = _HEADER + 17  # of a record: its header, the tag and the inner type
_DATA = 0x17
_LARGEST = 16 * 1024  # bytes in a record


class SecureDirect:
    """Small batches to and from a TLS connection, from any thread.

    Parameters
    ----------
    channel : SecureChannel
        Whose keys are used, by who holds `channel.using`.
    fileno : int
        A descriptor of our own.
    """

    def __init__(self, channel: SecureChannel, fileno: int) -> None:
        self._channel = channel
        self._socket = socket.socket(fileno=fileno)
        self._socket.setblocking(False)
        # Encrypted, being sent; and how much of it was.
        self._records: list[bytes] = []
        self._sent: list[int] = []
        # A record on its way from the operating system through `incoming` to `_plain`.
        self._taking = b""
        self._stage = 0
        self._plain = b""
        self._room = memoryview(bytearray(_LARGEST))
        self._failure: ssl.SSLError | None = None

    # ------------------------------------------------------------------ writing

    def write(self, data: bytes) -> int:
        """Send all of it, and return its size; or 0 where it cannot be sent now."""
        channel = self._channel
        with channel.using:
            outgoing = channel.outgoing
            if len(data) > _LARGEST or channel.is_closing():
                return 0  # more than one record: an interrupt would leave half of it
            if self._records or outgoing.pending:
                channel.flush_soon()
                return 0
            try:
                channel.ssl.write(data)
                self._records.extend(map(outgoing.read, (outgoing.pending,)))
                # Broken or full: the transport finds out which.
                with contextlib.suppress(OSError):
                    self._sent.extend(map(self._socket.send, self._records))
                if sum(self._sent) == len(self._records[0]):
                    self._records.clear()
                    self._sent.clear()
            except (ssl.SSLError, ValueError):  # the connection is broken, or was closed meanwhile
                return 0
            finally:
                if self._records or outgoing.pending:
                    channel.flush_soon()
        return len(data)

    @property
    def unsent(self) -> int:
        """Bytes that were encrypted and not sent yet."""
        return sum(map(len, self._records)) - sum(self._sent) if self._records else 0

    def take_unsent(self) -> bytes:
        """Return what was encrypted and not sent. On the loop, which holds `using`."""
        if not self._records:
            self._sent.clear()
            return b""
        rest = self._records[0][sum(self._sent) :]
        self._records.clear()
        self._sent.clear()
        return rest

    # ------------------------------------------------------------------ reading

    @property
    def holds(self) -> bool:
        """Whether something was decrypted, or taken to be, that nobody got yet."""
        return bool(self._plain or self._taking or self._failure)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def peek(self, nbytes: int) -> bytes:
        """Return what has come, and keep it until `skip`; nothing where that is more than one
        record, or less.
        """
        with self._channel.using:
            if not self.holds:
                data = self._socket.recv(nbytes, socket.MSG_PEEK)
                whole = (
                    len(data) > _OVERHEAD
                    and data[0] == _DATA
                    and _HEADER + int.from_bytes(data[3:5]) == len(data)
                )
                if not whole or self._channel.incoming.pending:
                    return b""
                self._stage = 0
                self._taking = data
            self._take()
            return self._plain

    def _take(self) -> None:
        """Go on with the record that is on its way, from where it is."""
        incoming = self._channel.incoming
        record = self._taking
        if not record:
            return
        if self._stage == 0:
            # No two records are alike: if it is still there, it was not taken.
            with contextlib.suppress(BlockingIOError):
                if self._socket.recv(len(record), socket.MSG_PEEK) == record:
                    self._socket.recv(len(record))
            self._stage = 1
        if self._stage == 1:
            if not incoming.pending:
                incoming.write(record)
            self._stage = 2
        size = len(record) - _OVERHEAD
        if self._stage == 2:
            if incoming.pending:
                try:
                    size = cast(int, self._channel.ssl.read(_LARGEST, cast(Any, self._room)))
                except ssl.SSLWantReadError:  # nothing for us in it
                    size = 0
                except ssl.SSLError as error:
                    size, self._failure = 0, error
            self._plain = bytes(self._room[:size])
            self._stage = 3
        self._taking = b""

    def skip(self, nbytes: int) -> None:
        """Take what `peek` returned."""
        self._plain = b""

    def left(self) -> bytes:
        """Return what was decrypted and not taken, for the loop. No thread reads any more.

        Raises
        ------
        ssl.SSLError
            When what came was not what the peer sent.
        """
        with self._channel.using:
            self._take()
            if self._failure is not None:
                raise self._failure
            data, self._plain = self._plain, b""
            return data

    def close(self) -> None:
        """End the connection; threads that wait at it are woken."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._socket.close()
