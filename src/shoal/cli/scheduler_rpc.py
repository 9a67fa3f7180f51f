"""The scheduler that a command was told of, by its address or by the file that it wrote."""

from __future__ import annotations

from typing import Any

from shoal.comm.endpoints import read_scheduler_file
from shoal.comm.rpc import rpc
from shoal.security import Security

__all__ = ["scheduler_rpc"]


def scheduler_rpc(address: str | None, file: str | None) -> tuple[Any, str, str | None]:
    """Return the scheduler's operations, its address, and the secret that its file holds.

    Parameters
    ----------
    address : str, optional
        Of the scheduler.
    file : str, optional
        That it wrote; it is read instead of `address`.
    """
    secret: str | None = None
    if file is not None:
        address, secret = read_scheduler_file(file)
    assert address is not None
    security = Security(secret=secret) if secret else Security()
    scheduler = rpc(address, connection_args=security.get_connection_args("client"))
    return scheduler, address, secret
