"""Where to connect to and where to listen, made of the arguments that users give to servers."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dask.config

from shoal._base.network import get_ip_interface
from shoal.comm.addressing import (
    get_address_host,
    get_local_address_for,
    normalize_address,
    parse_address,
    unparse_host_port,
)
from shoal.security import Security

__all__ = [
    "file_in_place",
    "listen_args",
    "listening_addresses",
    "ports_of",
    "read_scheduler_file",
    "scheduler_of",
    "with_secret",
]

_LOCAL = ("127.0.0.1", "localhost", "::1")


def scheduler_of(host: str | None, port: int | None, file: str | None) -> tuple[str, str | None]:
    """Return the address of the scheduler, and its secret where a scheduler file has one.

    Raises
    ------
    ValueError
        When none is given, neither here nor in the configuration ``scheduler-address``.
    """
    if file is not None:
        if host is None:
            return read_scheduler_file(file)
        # It was read a moment ago, but may have changed since, or be gone.
        return file_in_place(file) or (host, None)
    if host is None:
        host = dask.config.get("scheduler-address", None)
    if host is None:
        raise ValueError(
            "no scheduler to connect to: give its address, a scheduler file, "
            "or set DASK_SCHEDULER_ADDRESS"
        )
    return normalize_address(host if port is None else unparse_host_port(host, int(port))), None


def read_scheduler_file(file: str | os.PathLike[str], wait: float = 10.0) -> tuple[str, str | None]:
    """Return address and secret from a file that a scheduler writes when it is up.

    Raises
    ------
    ValueError
        When there is no such file, also after a while, or it is none of a scheduler.
    """
    deadline = time.monotonic() + wait
    while True:
        try:
            found = json.loads(Path(file).read_text(encoding="utf-8"))
            return str(found["address"]), found.get("secret")
        except FileNotFoundError:
            problem = f"there is no scheduler file {str(file)!r}"
        except (OSError, ValueError, KeyError, TypeError) as error:
            problem = f"{str(file)!r} is no scheduler file: {type(error).__name__}: {error}"
        if time.monotonic() > deadline:
            raise ValueError(problem + "; did the scheduler start with --scheduler-file?")
        time.sleep(0.05)


def file_in_place(file: str | os.PathLike[str]) -> tuple[str, str | None] | None:
    """Return address and secret from a scheduler file as it is now, None where it is none."""
    try:
        return read_scheduler_file(file, wait=-1.0)
    except ValueError:
        return None


def listening_addresses(
    scheduler: str,
    protocol: str | None = None,
    host: str | None = None,
    interface: str | None = None,
    port: int | str | Sequence[int] | None = None,
) -> list[str]:
    """Return the addresses to try to listen on, in order, so that `scheduler` can connect to one.

    Parameters
    ----------
    scheduler : str
        Address of the scheduler.
    protocol : str, optional
        Scheme; default the scheduler's.
    host, interface : str, optional
        Name or address of this host, or the network interface to take it from.
    port : int, str or sequence of int, optional
        One port, several, or a range such as ``"3000:3026"``.
    """
    if host and interface:
        raise ValueError(f"give host= or interface=, not both; got {host!r} and {interface!r}")
    if host and "://" in host:
        protocol, host = host.split("://", 1)
    scheme = protocol.removesuffix("://") if protocol else parse_address(scheduler)[0]
    if scheme not in ("tcp", "tls"):
        return [f"{scheme}://{host or ''}"]
    if interface:
        host = get_ip_interface(interface)
    if host is None:
        target = get_address_host(scheduler)
        if target in _LOCAL:
            host = target
        else:
            host = get_address_host(get_local_address_for(scheduler))
    if ":" in host and not host.startswith("["):
        name, _, given = host.rpartition(":")
        if ":" not in name:  # host:port, not IPv6
            host, port = name, given if port is None else port
    return [f"{scheme}://{unparse_host_port(host, number)}" for number in ports_of(port)]


def listen_args(security: Security, contact_address: str | None) -> dict[str, Any]:
    """Return a worker's arguments of `shoal.comm.listen`, with the address that others are told."""
    args = security.get_listen_args("worker")
    return {**args, "also_at": (contact_address,)} if contact_address else args


def ports_of(port: int | str | Sequence[int] | None) -> list[int]:
    """Return the ports to try; 0 stands for any.

    Raises
    ------
    ValueError
        When it is neither a port nor a range of ports.
    """
    if port is None or port == "":
        return [0]
    if not isinstance(port, (str, int)):
        return [int(each) for each in port]
    first, colon, last = str(port).partition(":")
    try:
        return list(range(int(first), int(last if colon else first) + 1)) or [0]
    except ValueError:
        raise ValueError(f"{port!r} is neither a port nor a range such as '3000:3026'") from None


def with_secret(security: Security, secret: str | None) -> Security:
    """Return `security` with the secret of a scheduler file, unless it has one already."""
    if not secret or security.secret is not None:
        return security
    found = copy.copy(security)
    found.secret = secret
    return found
