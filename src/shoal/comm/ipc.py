"""The scheme ``ipc``: Unix domain sockets, for processes of one host. POSIX only.

The location is a path; an empty one becomes a socket in a private temporary folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import struct
import sys
import tempfile
from collections.abc import Callable
from itertools import count
from typing import Any

from shoal.comm.base import Comm, Connector, Listener
from shoal.comm.frames import FrameProtocol
from shoal.comm.registry import Backend
from shoal.comm.sockets import SocketConnector, SocketListener
from shoal.errors import HandshakeError

__all__ = ["IPCBackend"]

# sockaddr_un.sun_path on Linux is 108 bytes with the final zero, on macOS 104.
_MAX_PATH = 107 if sys.platform == "linux" else 103

_accepted = count(1)
_CREDENTIALS = struct.Struct("3i")  # of a peer: process, user, group


def _check_path(path: str) -> None:
    if not hasattr(socket, "AF_UNIX") or sys.platform == "win32":
        raise ValueError(
            "ipc:// needs Unix domain sockets, which this platform does not have; use tcp"
        )
    if len(os.fsencode(path)) > _MAX_PATH:
        raise ValueError(
            f"the socket path {path!r} is longer than the {_MAX_PATH} bytes the system allows; "
            "choose a shorter folder, with TMPDIR for example"
        )


def check_peer_user(protocol: FrameProtocol) -> None:
    """Refuse a process of another user, whatever it knows; where the system tells the user's id.

    Raises
    ------
    PermissionError
        When it is neither this user's nor root's.
    """
    transport = protocol.transport
    if transport is None or not hasattr(socket, "SO_PEERCRED"):
        return
    found = transport.get_extra_info("socket")
    _, user, _ = _CREDENTIALS.unpack(
        found.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    if user not in (os.geteuid(), 0):
        raise PermissionError(f"the process at the other end belongs to another user (uid {user})")


class IPCConnector(SocketConnector):
    """Connects to a Unix domain socket."""

    compress = False

    async def _open(
        self, loc: str, make_protocol: Callable[[], FrameProtocol], **connection_args: Any
    ) -> tuple[FrameProtocol, str, str]:
        _check_path(loc)
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_unix_connection(make_protocol, loc)
        try:
            check_peer_user(protocol)
        except PermissionError as error:
            protocol.abort()
            raise HandshakeError(str(error)) from None
        return protocol, f"ipc://{loc}#client-{os.getpid()}-{next(_accepted)}", f"ipc://{loc}"


class IPCListener(SocketListener):
    """Listens on a Unix domain socket that only this user can connect to."""

    compress = False

    def __init__(
        self, loc: str, handle_comm: Callable[[Comm], Any], deserialize: bool, **args: Any
    ) -> None:
        super().__init__(handle_comm, deserialize, **args)
        self._path = loc
        self._folder: str | None = None
        self._socket: socket.socket | None = next(iter(args.get("sockets") or []), None)
        self._inherited = self._socket is not None

    async def _serve(
        self, make_protocol: Callable[[], FrameProtocol]
    ) -> list[asyncio.AbstractServer]:
        loop = asyncio.get_running_loop()
        if self._socket is not None:
            self._path = self._path or self._socket.getsockname()
        else:
            if not self._path:
                self._folder = tempfile.mkdtemp(prefix="shoal-")  # mode 0700
                self._path = os.path.join(self._folder, "s")
            _check_path(self._path)
            _remove_stale(self._path)
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            if sys.platform == "linux":
                os.fchmod(self._socket.fileno(), 0o600)  # the file that `bind` makes has it at once
            self._socket.bind(self._path)
            os.chmod(self._path, 0o600)
            self._socket.listen(1024)
            self._socket.setblocking(False)
        return [await loop.create_unix_server(make_protocol, sock=self._socket)]

    def stop(self) -> None:
        was_listening = bool(self._servers)
        super().stop()
        if was_listening and not self._inherited:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _check_peer(self, protocol: FrameProtocol) -> None:
        check_peer_user(protocol)

    def _addresses(self, protocol: FrameProtocol) -> tuple[str, str]:
        return self.contact_address, f"{self.contact_address}#accepted-{next(_accepted)}"

    @property
    def listen_address(self) -> str:
        return f"ipc://{self._path}"

    @property
    def contact_address(self) -> str:
        return f"ipc://{self._path}"


def _remove_stale(path: str) -> None:
    """Remove a socket file that nobody listens on any more."""
    if not os.path.exists(path):
        return
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)
    except OSError:
        pass
    else:
        raise OSError(f"cannot listen on ipc://{path}: another process listens there")
    finally:
        probe.close()


class IPCBackend(Backend):
    """The scheme ``ipc``."""

    def get_connector(self) -> Connector:
        return IPCConnector()

    def get_listener(
        self, loc: str, handle_comm: Any, deserialize: bool, **connection_args: Any
    ) -> Listener:
        return IPCListener(loc, handle_comm, deserialize, **connection_args)

    def get_address_host(self, loc: str) -> str:
        return "localhost"

    def resolve_address(self, loc: str) -> str:
        return loc

    def get_local_address_for(self, loc: str) -> str:
        return ""
