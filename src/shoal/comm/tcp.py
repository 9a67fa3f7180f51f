"""The schemes ``tcp`` and ``tls``: sockets over IPv4 and IPv6."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address
from typing import Any

from shoal import config
from shoal._base.network import get_ip, get_ipv6
from shoal.comm.addressing import parse_host_port, unparse_host_port
from shoal.comm.base import Comm, Connector, Listener
from shoal.comm.frames import FrameProtocol
from shoal.comm.registry import Backend
from shoal.comm.relay import Relay, reach, transport_of
from shoal.comm.sockets import SocketConnector, SocketListener

__all__ = ["TCPBackend", "TLSBackend", "tune"]

logger = logging.getLogger("shoal.comm")


class TCPConnector(SocketConnector):
    """Connects over TCP."""

    scheme = "tcp"

    async def _open(
        self, loc: str, make_protocol: Callable[[], FrameProtocol], **connection_args: Any
    ) -> tuple[FrameProtocol, str, str]:
        relay: Relay | None = connection_args.get("relay")
        address = f"{self.scheme}://{loc}"
        if relay is None or self.scheme != "tcp" or not relay.leads_to(address):
            return await self._open_straight(loc, make_protocol, **connection_args)

        async def around() -> tuple[FrameProtocol, str, str]:
            protocol = await relay.open(address, make_protocol)
            local = transport_of(protocol).get_extra_info("sockname")
            return protocol, f"{self.scheme}://{unparse_host_port(*local[:2])}", address

        straight = partial(self._open_straight, loc, make_protocol, **connection_args)
        return await reach(relay, address, straight, around)

    async def _open_straight(
        self, loc: str, make_protocol: Callable[[], FrameProtocol], **connection_args: Any
    ) -> tuple[FrameProtocol, str, str]:
        host, port = parse_host_port(loc)
        context = self._context(connection_args)
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_connection(make_protocol, host, port)
        tune(transport)
        local = transport.get_extra_info("sockname")
        if context is not None:
            try:
                await protocol.secure(context, server_side=False)
            except BaseException:
                protocol.abort()
                raise
        return (
            protocol,
            f"{self.scheme}://{unparse_host_port(*local[:2])}",
            f"{self.scheme}://{unparse_host_port(host, port)}",
        )

    def _context(self, connection_args: dict[str, Any]) -> ssl.SSLContext | None:
        _refuse_plain(connection_args, "connect to")
        return None

    def _protection(self) -> str:
        return protection()

    def _reached(self, protocol: FrameProtocol) -> str:
        transport = protocol.transport
        peer = transport.get_extra_info("peername") if transport is not None else None
        return f"{self.scheme}://{unparse_host_port(*peer[:2])}" if peer else ""


class TLSConnector(TCPConnector):
    """Connects over TLS."""

    scheme = "tls"

    def _context(self, connection_args: dict[str, Any]) -> ssl.SSLContext | None:
        return _require_context(connection_args, "connect to")

    def _protection(self) -> str:
        return "certificates"


class TCPListener(SocketListener):
    """Listens on TCP; on every address when the host is empty.

    Parameters
    ----------
    loc : str
        ``host:port``; both may be left out.
    sockets : list of socket, optional
        Sockets that listen already, inherited from a parent.
    """

    scheme = "tcp"

    def __init__(
        self, loc: str, handle_comm: Callable[[Comm], Any], deserialize: bool, **args: Any
    ) -> None:
        super().__init__(handle_comm, deserialize, **args)
        self._host, self._port = parse_host_port(loc, default_port=0)
        self._sockets: list[socket.socket] = args.get("sockets") or []
        self._context = self._make_context(args)

    def _make_context(self, args: dict[str, Any]) -> ssl.SSLContext | None:
        _refuse_plain(args, "listen on")
        return None

    def _protection(self) -> str:
        return protection()

    async def _begin_encryption(self, protocol: FrameProtocol) -> None:
        if self._context is not None:
            await protocol.secure(self._context, server_side=True)
            protocol.has_proven = True

    async def _serve(
        self, make_protocol: Callable[[], FrameProtocol]
    ) -> list[asyncio.AbstractServer]:
        loop = asyncio.get_running_loop()
        if not self._sockets:
            self._sockets = _bind(self._host, self._port)
        servers: list[asyncio.AbstractServer] = [
            await loop.create_server(
                make_protocol,
                sock=sock,
                backlog=config.get_int("distributed.comm.socket-backlog"),
            )
            for sock in self._sockets
        ]
        self._bound_host, self._bound_port = self._sockets[0].getsockname()[:2]
        return servers

    def _addresses(self, protocol: FrameProtocol) -> tuple[str, str]:
        assert protocol.transport is not None
        tune(protocol.transport)
        local = protocol.transport.get_extra_info("sockname")
        peer = protocol.transport.get_extra_info("peername")
        return tuple(
            f"{self.scheme}://{unparse_host_port(*name[:2])}" if name else f"{self.scheme}://?"
            for name in (local, peer)
        )  # type: ignore[return-value]

    @property
    def listen_address(self) -> str:
        return f"{self.scheme}://{unparse_host_port(self._host, self._bound_port)}"

    @property
    def contact_address(self) -> str:
        host = self._host if self._host not in ("", "0.0.0.0", "::") else self._outer_host()
        return f"{self.scheme}://{unparse_host_port(host, self._bound_port)}"

    def _outer_host(self) -> str:
        families = {sock.family for sock in self._sockets}
        if socket.AF_INET not in families:
            return get_ipv6()
        four = get_ip()
        if socket.AF_INET6 in families and ip_address(four).is_loopback:
            six = get_ipv6()  # the network may have no other addresses
            return four if ip_address(six).is_loopback else six
        return four


class TLSListener(TCPListener):
    """Listens on TLS."""

    scheme = "tls"

    def _make_context(self, args: dict[str, Any]) -> ssl.SSLContext | None:
        return _require_context(args, "listen on")

    def _protection(self) -> str:
        return "certificates"


def _bind(host: str, port: int) -> list[socket.socket]:
    """Return listening sockets: one per address family when the host is empty, on the same port."""
    if host:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return [_bound_socket(family, kind, proto, address)]
    for attempt in range(5):
        first = _bound_socket(socket.AF_INET, socket.SOCK_STREAM, 0, ("0.0.0.0", port))
        if not socket.has_ipv6:
            return [first]
        try:
            both = _bound_socket(
                socket.AF_INET6, socket.SOCK_STREAM, 0, ("::", first.getsockname()[1])
            )
        except OSError:
            # The port is free for IPv4 only: take another, or do without IPv6.
            if port or attempt == 4:
                return [first]
            first.close()
        else:
            return [first, both]
    raise AssertionError


def _bound_socket(family: int, kind: int, proto: int, address: Any) -> socket.socket:
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(config.get_int("distributed.comm.socket-backlog"))
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise type(error)(
            error.errno, f"cannot listen on {unparse_host_port(*address[:2])}: {error.strerror}"
        ) from None
    return sock


def tune(transport: asyncio.BaseTransport) -> None:
    """Send at once, and notice dead peers."""
    sock = transport.get_extra_info("socket")
    if sock is None:
        return
    seconds = max(3, int(config.get_seconds("distributed.comm.timeouts.tcp")))
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds // 3)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, seconds // 6))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, seconds * 1000)


def _refuse_plain(args: dict[str, Any], verb: str) -> None:
    required = args.get("require_encryption")
    if required is None:  # no `Security` was given, as to `rpc` and `Server`
        required = bool(config.get("distributed.comm.require-encryption"))
    if not required:
        return
    if args.get("ssl_context") is not None:
        why = "with certificates"
    elif not config.get_bool("shoal.comm.encryption"):
        why = "and 'shoal.comm.encryption' is off"
    else:
        return
    raise RuntimeError(
        f"encryption is required ('distributed.comm.require-encryption' or Security) {why}, so "
        f"shoal does not {verb} tcp:// addresses; use tls://"
    )


_warned = False


def protection() -> str:
    """Return how ``tcp`` is protected: by TLS, unless the user has turned it off."""
    global _warned
    if config.get_bool("shoal.comm.encryption"):
        return "tls"
    if not _warned:
        _warned = True
        logger.warning(
            "'shoal.comm.encryption' is off: whoever is on the network between the processes of "
            "this cluster can read and change what they send, integrity is off too"
        )
    return "plain"


def _require_context(args: dict[str, Any], verb: str) -> ssl.SSLContext:
    context = args.get("ssl_context")
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(
            f"to {verb} tls:// addresses, give certificates: a shoal.security.Security "
            "(Security.temporary() makes some), or the configuration 'distributed.comm.tls'"
        )
    return context


class TCPBackend(Backend):
    """The scheme ``tcp``."""

    connector: type[TCPConnector] = TCPConnector
    listener: type[TCPListener] = TCPListener

    def get_connector(self) -> Connector:
        return self.connector()

    def get_listener(
        self, loc: str, handle_comm: Any, deserialize: bool, **connection_args: Any
    ) -> Listener:
        return self.listener(loc, handle_comm, deserialize, **connection_args)

    def get_address_host(self, loc: str) -> str:
        return parse_host_port(loc, default_port=0)[0]

    def get_address_host_port(self, loc: str) -> tuple[str, int]:
        return parse_host_port(loc)

    def resolve_address(self, loc: str) -> str:
        host, port = parse_host_port(loc)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise OSError(f"the host name {host!r} does not resolve: {error.strerror}") from None
        found.sort(key=lambda entry: entry[0] != socket.AF_INET)
        return unparse_host_port(str(found[0][4][0]), port)

    def get_local_address_for(self, loc: str) -> str:
        host, _ = parse_host_port(loc, default_port=0)
        return unparse_host_port(get_ipv6(host) if ":" in host else get_ip(host))


class TLSBackend(TCPBackend):
    """The scheme ``tls``."""

    connector = TLSConnector
    listener = TLSListener
