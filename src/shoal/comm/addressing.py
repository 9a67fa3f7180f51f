"""Addresses: URIs such as ``tcp://127.0.0.1:8786``; no scheme means the default one, tcp."""

from __future__ import annotations

from shoal import config
from shoal.comm.registry import get_backend

__all__ = [
    "contact_of",
    "get_address_host",
    "get_address_host_port",
    "get_local_address_for",
    "normalize_address",
    "numbered",
    "parse_address",
    "parse_host_port",
    "resolve_address",
    "unparse_address",
    "unparse_host_port",
]


def parse_address(addr: str, strict: bool = False) -> tuple[str, str]:
    """Split an address into its scheme and the rest.

    Parameters
    ----------
    addr : str
        An address.
    strict : bool
        Whether a missing scheme is an error; otherwise it is the default one.

    Returns
    -------
    (str, str)
        Scheme and location.

    Examples
    --------
    >>> parse_address("tcp://127.0.0.1:8786")
    ('tcp', '127.0.0.1:8786')
    >>> parse_address("127.0.0.1:8786")
    ('tcp', '127.0.0.1:8786')
    """
    if not isinstance(addr, str):
        raise TypeError(f"expected an address as str, got {type(addr).__name__}: {addr!r}")
    scheme, separator, location = addr.rpartition("://")
    if strict and not separator:
        raise ValueError(
            f"the address {addr!r} has no scheme; write for example {'tcp://' + addr!r}"
        )
    if not separator:
        scheme = config.get_str("distributed.comm.default-scheme")
    return scheme, location


def unparse_address(scheme: str, loc: str) -> str:
    """Join a scheme and a location; the inverse of `parse_address`.

    Examples
    --------
    >>> unparse_address("tcp", "127.0.0.1:8786")
    'tcp://127.0.0.1:8786'
    """
    return f"{scheme}://{loc}"


def normalize_address(addr: str) -> str:
    """Return an address with its scheme written out.

    Examples
    --------
    >>> normalize_address("127.0.0.1:8786")
    'tcp://127.0.0.1:8786'
    """
    return unparse_address(*parse_address(addr))


def parse_host_port(address: str, default_port: int | None = None) -> tuple[str, int]:
    """Split ``host:port``, ``[v6]:port`` or, with a default port, ``host``.

    Examples
    --------
    >>> parse_host_port("[::1]:8786")
    ('::1', 8786)
    """
    text = address.rpartition("://")[2]
    host, separator, port = text.rpartition(":")
    if text.startswith("["):
        close = text.find("]")
        if close < 0:
            raise ValueError(f"the address {address!r} opens a '[' and does not close it")
        host, port = text[1:close], text[close + 1 :].removeprefix(":")
    elif not separator:
        host, port = text, ""
    elif ":" in host:
        raise ValueError(f"write the IPv6 address in {address!r} in brackets: '[::1]:8786'")
    if not port:
        if default_port is None:
            raise ValueError(f"the address {address!r} has no port; write 'host:port'")
        return host, default_port
    try:
        number = int(port)
    except ValueError:
        number = -1
    if not 0 <= number <= 65535:
        raise ValueError(f"{port!r} in the address {address!r} is not a port (0 to 65535)")
    return host, number


def unparse_host_port(host: str, port: int | None = None) -> str:
    """Join host and port, with brackets around an IPv6 address.

    Examples
    --------
    >>> unparse_host_port("::1", 8786)
    '[::1]:8786'
    """
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return host if port is None else f"{host}:{port}"


def contact_of(contact: str | None, own: str) -> str:
    """Return the address that others are told: of a contact address without a port, with the
    own one.
    """
    if not contact:
        return own
    scheme, location = parse_address(contact)
    if scheme not in ("tcp", "tls"):
        return contact
    host, port = parse_host_port(location, default_port=0)
    return f"{scheme}://{unparse_host_port(host, port or parse_host_port(own)[1])}"


def numbered(address: str, number: int) -> str:
    """Return the address of one of several workers: that of the first, with a later port.

    Without a port it is the same for all; the system chooses their ports.

    Examples
    --------
    >>> numbered("tcp://gate.example.org:9000", 2)
    'tcp://gate.example.org:9002'
    """
    scheme, location = parse_address(address)
    host, port = parse_host_port(location, default_port=0)
    return f"{scheme}://{unparse_host_port(host, port + number if port else None)}"


def get_address_host_port(addr: str, strict: bool = False) -> tuple[str, int]:
    """Return host and port of an address of a scheme that has them."""
    scheme, loc = parse_address(addr, strict=strict)
    try:
        return get_backend(scheme).get_address_host_port(loc)
    except NotImplementedError:
        raise ValueError(
            f"addresses of scheme {scheme!r} have no host and port: {addr!r}"
        ) from None


def get_address_host(addr: str) -> str:
    """Return the host an address is on.

    Examples
    --------
    >>> get_address_host("tcp://127.0.0.1:8786")
    '127.0.0.1'
    """
    scheme, loc = parse_address(addr)
    return get_backend(scheme).get_address_host(loc)


def resolve_address(addr: str) -> str:
    """Return an address with host names replaced by IP addresses.

    Examples
    --------
    >>> resolve_address("tcp://127.0.0.1:8786")
    'tcp://127.0.0.1:8786'
    """
    scheme, loc = parse_address(addr)
    return unparse_address(scheme, get_backend(scheme).resolve_address(loc))


def get_local_address_for(addr: str) -> str:
    """Return an address of this host that can be listened on and reached from `addr`."""
    scheme, loc = parse_address(addr)
    return unparse_address(scheme, get_backend(scheme).get_local_address_for(loc))
