"""A connection's socket, past its transport: small batches, from any thread. POSIX only.

A transport belongs to its loop's thread, and some write only at the end of the loop's turn. A
thread that waits for an answer writes sooner than that, and sees to it that the transport has
nothing left to write.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.comm.secure_direct import SecureDirect

__all__ = ["DirectSocket", "open_direct"]


class DirectSocket:
    """The socket, by a descriptor of our own: nobody closes it between a look and a write."""

    __slots__ = ("_socket",)

    holds = False  # bytes that were not taken yet are with the operating system

    def __init__(self, fileno: int) -> None:
        self._socket = socket.socket(fileno=fileno)
        self._socket.setblocking(False)

    def write(self, data: bytes) -> int:
        """Return how many bytes the operating system took; 0 also when the connection is broken,
        which the transport will find out.
        """
        try:
            return self._socket.send(data)
        except OSError:
            return 0

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def peek(self, nbytes: int) -> bytes:
        """Return what has come, and leave it there; nothing at the end of the connection."""
        return self._socket.recv(nbytes, socket.MSG_PEEK)

    def skip(self, nbytes: int) -> None:
        """Take what `peek` returned."""
        self._socket.recv(nbytes)

    def close(self) -> None:
        """End the connection; threads that wait at it are woken."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._socket.close()


def open_direct(transport: asyncio.Transport) -> DirectSocket | SecureDirect | None:
    """Return the way past a transport; None where there is none, as on Windows."""
    if os.name != "posix":
        return None
    encrypted = getattr(transport, "open_direct", None)
    if encrypted is None and transport.get_extra_info("sslcontext") is not None:
        return None  # the loop's own TLS
    found = transport.get_extra_info("socket")
    if found is None or found.fileno() < 0:
        return None
    try:
        descriptor = os.dup(found.fileno())
    except OSError:  # no descriptor is free
        return None
    return DirectSocket(descriptor) if encrypted is None else encrypted(descriptor)
