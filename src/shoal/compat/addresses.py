"""Ports, host names and web addresses."""

from __future__ import annotations

import os
import socket
from string import Formatter
from typing import Any

from shoal import config
from shoal._base.network import get_ip_interface
from shoal.comm.addressing import (
    normalize_address,
    parse_address,
    parse_host_port,
    unparse_address,
    unparse_host_port,
)
from shoal.security import Security

__all__ = [
    "address_from_user_args",
    "addresses_from_user_args",
    "coerce_to_address",
    "ensure_ip",
    "format_dashboard_link",
    "get_tcp_server_address",
    "get_tcp_server_addresses",
    "open_port",
    "uri_from_host_port",
]


def open_port(host: str = "") -> int:
    """Return a port of this host that nobody listens on now; others may take it meanwhile."""
    with socket.socket() as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


def ensure_ip(hostname: str) -> str:
    """Return the address of a host name; addresses stay what they are.

    Examples
    --------
    >>> ensure_ip("localhost")
    '127.0.0.1'
    >>> ensure_ip("123.123.123.123")
    '123.123.123.123'
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, hostname)
        except OSError:
            continue
        return hostname
    found = socket.getaddrinfo(hostname, 0, type=socket.SOCK_STREAM)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)
    return str(found[0][4][0])


def format_dashboard_link(host: str, port: int) -> str:
    """Return the web address of a dashboard, made as ``distributed.dashboard.link`` says.

    Its fields are ``{scheme}``, ``{host}``, ``{port}`` and variables of the environment.

    Examples
    --------
    >>> format_dashboard_link("10.0.0.1", 8787)
    'http://10.0.0.1:8787/status'
    """
    template = config.get_str("distributed.dashboard.link")
    certificate = config.get_optional_str("distributed.scheduler.dashboard.tls.cert")
    known: dict[str, Any] = {
        **os.environ,
        "scheme": "https" if certificate else "http",
        "host": f"[{host}]" if ":" in host else host,
        "port": port,
    }
    fields = {field for _, field, _, _ in Formatter().parse(template) if field}
    missing = sorted(fields - set(known))
    if missing:
        raise ValueError(
            f"configuration 'distributed.dashboard.link' is {template!r}; there is no variable "
            f"{', '.join(missing)} in the environment"
        )
    return template.format(**known)


def coerce_to_address(o: Any) -> str:
    """Return the address that a text, or a pair of host and port, stands for.

    Examples
    --------
    >>> coerce_to_address(("127.0.0.1", 8786))
    'tcp://127.0.0.1:8786'
    """
    return normalize_address(unparse_host_port(*o) if isinstance(o, (list, tuple)) else o)


def uri_from_host_port(host_arg: str | None, port_arg: int | None, default_port: int) -> str:
    """Return the address to listen on for a host, which may say a scheme and a port, and a port.

    Examples
    --------
    >>> uri_from_host_port("tls://node", None, 8786)
    'tls://node:8786'
    """
    scheme, location = parse_address(host_arg or "")
    if port_arg is None and location:
        host, port = parse_host_port(location, default_port)
    else:
        host, given = parse_host_port(location, -1) if location else ("", -1)
        port = default_port if port_arg is None else port_arg
        if given not in (-1, port):
            raise ValueError(f"port number given twice in options: {given} and {port}")
    return unparse_address(scheme, unparse_host_port(host, port))


def address_from_user_args(
    host: str | None = None,
    port: int | str | None = None,
    interface: str | None = None,
    protocol: str | None = None,
    peer: str | None = None,
    security: Any = None,
) -> str:
    """Return the address to listen on for what users say about it.

    Parameters
    ----------
    host : str, optional
        Host, or a whole address.
    port : int or str, optional
        Port; any by default.
    interface : str, optional
        Network interface, in the place of the host.
    protocol : str, optional
        Scheme; ``tls`` where `security` requires it, otherwise that of `peer` or the default one.
    peer : str, optional
        The address of somebody who must be able to reach it.
    security : Security or dict, optional
        The object that says whether connections are encrypted.
    """
    if interface:
        if host:
            raise ValueError(f"give a host or an interface, not both: {host!r}, {interface!r}")
        host = get_ip_interface(interface)
    if host and "://" in host:
        scheme, host = parse_address(host)
        if protocol and protocol.removesuffix("://") != scheme:
            raise ValueError(f"the scheme is {scheme!r} in the host, and {protocol!r} besides")
        protocol = scheme
    if security is not None and Security.of(security).require_encryption and not protocol:
        protocol = "tls"
    if not protocol and peer:
        protocol = parse_address(peer)[0]
    if not protocol:
        protocol = config.get_str("distributed.comm.default-scheme")
    if protocol.removesuffix("://") == "inproc":
        return "inproc://"
    location, given = parse_host_port(host, 0) if host else ("", 0)
    return unparse_address(
        protocol.removesuffix("://"), unparse_host_port(location, int(port or given))
    )


def addresses_from_user_args(
    host: str | list[str | None] | None = None,
    port: int | str | list[int | str | None] | None = None,
    interface: str | list[str] | None = None,
    protocol: str | list[str] | None = None,
    peer: str | None = None,
    security: Any = None,
) -> list[str]:
    """`address_from_user_args` of each of several; one value of an argument serves all."""
    given: list[Any] = [host, port, interface, protocol]
    count = max(len(value) if isinstance(value, (list, tuple)) else 1 for value in given)
    columns = [
        list(value) if isinstance(value, (list, tuple)) else [value] * count for value in given
    ]
    if any(len(column) != count for column in columns):
        raise ValueError("hosts, ports, interfaces and protocols must be of the same number")
    names = ("host", "port", "interface", "protocol")
    rows: list[dict[str, Any]] = [dict(zip(names, row)) for row in zip(*columns, strict=True)]
    return [address_from_user_args(**row, peer=peer, security=security) for row in rows]


def get_tcp_server_addresses(tcp_server: Any) -> list[tuple[Any, ...]]:
    """Return all addresses, host and port, that one of tornado's servers is bound to."""
    if not tcp_server._sockets:
        raise RuntimeError(f"the TCP server {tcp_server} is not started yet")
    found = [sock.getsockname() for sock in tcp_server._sockets.values()]
    # A host has both kinds of addresses: the older kind first, as most people mean it.
    return sorted(found, key=len)


def get_tcp_server_address(tcp_server: Any) -> tuple[Any, ...]:
    """Return the first of `get_tcp_server_addresses`."""
    return get_tcp_server_addresses(tcp_server)[0]
