"""Addresses of this host."""

from __future__ import annotations

import socket
from ipaddress import ip_address

__all__ = ["get_ip", "get_ip_interface", "get_ipv6"]


def get_ip(host: str = "8.8.8.8", port: int = 80) -> str:
    """Return the IPv4 address by which this host reaches another one; nothing is sent."""
    return _outgoing(host, port, socket.AF_INET) or _of_a_device(socket.AF_INET) or "127.0.0.1"


def get_ipv6(host: str = "2001:4860:4860::8888", port: int = 80) -> str:
    """Return the IPv6 address by which this host reaches another one; nothing is sent."""
    return _outgoing(host, port, socket.AF_INET6) or _of_a_device(socket.AF_INET6) or "::1"


def _outgoing(host: str, port: int, family: int) -> str:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.connect((host, port or 80))
        return str(sock.getsockname()[0])
    except OSError:
        return ""
    finally:
        sock.close()


def _of_a_device(family: int) -> str:
    """Return an address of this host that others of its network can know; empty if it has none.

    There is a network without a way out of it, such as one of compute nodes.
    """
    import psutil

    devices = psutil.net_if_stats()
    for name, addresses in psutil.net_if_addrs().items():
        if name in devices and not devices[name].isup:
            continue
        for info in addresses:
            address = info.address.partition("%")[0]
            if info.family == family and not _is_of_this_host_only(address):
                return address
    return ""


def _is_of_this_host_only(address: str) -> bool:
    found = ip_address(address)
    return found.is_loopback or found.is_link_local or found.is_unspecified


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
