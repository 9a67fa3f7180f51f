"""Addresses of this host."""

from __future__ import annotations

import socket

__all__ = ["get_ip", "get_ip_interface", "get_ipv6"]


def get_ip(host: str = "8.8.8.8", port: int = 80) -> str:
    """Return the IPv4 address by which this host reaches another one; nothing is sent."""
    return _outgoing(host, port, socket.AF_INET, "127.0.0.1")


def get_ipv6(host: str = "2001:4860:4860::8888", port: int = 80) -> str:
    """Return the IPv6 address by which this host reaches another one; nothing is sent."""
    return _outgoing(host, port, socket.AF_INET6, "::1")


def _outgoing(host: str, port: int, family: int, fallback: str) -> str:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.connect((host, port or 80))
        return str(sock.getsockname()[0])
    except OSError:
        return fallback
    finally:
        sock.close()


def get_ip_interface(interface: str) -> str:
    """Return the IPv4 address of a network interface such as ``"eth0"``.

    Raises
    ------
    ValueError
        When there is no such interface, or it has no IPv4 address; the message lists those there
        are.
    """
    import psutil

    addresses = psutil.net_if_addrs()
    if interface not in addresses:
        raise ValueError(f"{interface!r} is not a network interface; there are {sorted(addresses)}")
    for info in addresses[interface]:
        if info.family == socket.AF_INET:
            return str(info.address)
    raise ValueError(f"the network interface {interface!r} has no IPv4 address")
