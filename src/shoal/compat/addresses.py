"""Ports, host names and web addresses."""

from __future__ import annotations

import os
import socket
from string import Formatter
from typing import Any

from shoal import config

__all__ = ["ensure_ip", "format_dashboard_link", "open_port"]


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
