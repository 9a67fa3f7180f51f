"""Connections between processes: addresses, transports by URI scheme, typed streams, servers and
calls.

Nothing here knows what a task is.
"""

from __future__ import annotations

from shoal.comm.addressing import (
    get_address_host,
    get_address_host_port,
    get_local_address_for,
    normalize_address,
    parse_address,
    parse_host_port,
    resolve_address,
    unparse_address,
    unparse_host_port,
)
from shoal.comm.base import Comm, Connector, Listener, connect, listen
from shoal.comm.inproc import InProcBackend
from shoal.comm.ipc import IPCBackend
from shoal.comm.registry import Backend, backends, get_backend, register_backend
from shoal.comm.stream import MessageStream
from shoal.comm.tcp import TCPBackend, TLSBackend
from shoal.errors import CommClosedError

__all__ = [
    "Backend",
    "Comm",
    "CommClosedError",
    "Connector",
    "Listener",
    "MessageStream",
    "backends",
    "connect",
    "get_address_host",
    "get_address_host_port",
    "get_backend",
    "get_local_address_for",
    "listen",
    "normalize_address",
    "parse_address",
    "parse_host_port",
    "register_backend",
    "resolve_address",
    "unparse_address",
    "unparse_host_port",
]

for _scheme, _backend in (
    ("tcp", TCPBackend()),
    ("tls", TLSBackend()),
    ("ipc", IPCBackend()),
    ("inproc", InProcBackend()),
):
    backends.setdefault(_scheme, _backend)
