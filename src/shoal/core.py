"""Servers, and calls to them: the names that the documentation's *Foundations* page uses.

Only re-exports live here; the code is in `shoal.comm`.
"""

from __future__ import annotations

from shoal.comm.base import connect
from shoal.comm.requests import error_message, raise_error, send_recv
from shoal.comm.rpc import ConnectionPool, PooledRPC, rpc
from shoal.comm.server import Server
from shoal.comm.status import Status
from shoal.errors import CommClosedError, RPCClosed

__all__ = [
    "CommClosedError",
    "ConnectionPool",
    "PooledRPC",
    "RPCClosed",
    "Server",
    "Status",
    "connect",
    "error_message",
    "raise_error",
    "rpc",
    "send_recv",
]
