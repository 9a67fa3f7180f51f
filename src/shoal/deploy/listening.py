"""Sockets that a parent binds for its scheduler, so that the address is known beforehand."""

from __future__ import annotations

import contextlib
import os
import socket
import stat

from shoal import config
from shoal._base.network import get_ip, get_ip_interface
from shoal.comm.addressing import unparse_host_port

__all__ = ["Listening"]


class Listening:
    """A bound socket that processes of ours take turns to listen on.

    The socket stays open here while the process that listens is gone and its successor starts:
    whoever connects meanwhile waits, and is not refused.

    Parameters
    ----------
    protocol : str
        ``ipc``, ``tcp`` or ``tls``.
    host : str, optional
        For ``ipc`` the path of the socket; else host name or address, default this host's own.
    port : int
        Port, 0 for any.
    interface : str, optional
        Network interface to take the address from.

    Raises
    ------
    OSError
        When the address is taken or is none of this host's.
    """

    def __init__(
        self, protocol: str, host: str | None = None, port: int = 0, interface: str | None = None
    ) -> None:
        self.protocol = protocol
        self._path = ""
        backlog = config.get_int("distributed.comm.socket-backlog")
        if protocol == "ipc":
            self._path = host or ""
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.bind(self._path)
            os.chmod(self._path, stat.S_IRUSR | stat.S_IWUSR)
            self.sock.listen(backlog)
            self.location = self._path
        else:
            if interface:
                host = get_ip_interface(interface)
            family = socket.AF_INET6 if host and ":" in host else socket.AF_INET
            try:
                self.sock = socket.create_server((host or "", port), family=family, backlog=backlog)
            except OSError as error:
                where = unparse_host_port(host or "0.0.0.0", port)
                raise type(error)(
                    error.errno, f"cannot listen on {protocol}://{where}: {error.strerror}"
                ) from None
            bound = self.sock.getsockname()
            outer = get_ip() if not host or host == "0.0.0.0" else host
            self.location = unparse_host_port(outer, bound[1])
        self.sock.setblocking(False)

    @property
    def address(self) -> str:
        """The address at which others find the listener."""
        return f"{self.protocol}://{self.location}"

    def close(self) -> None:
        """Refuse all connections from now on."""
        self.sock.close()
        if self._path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path)
