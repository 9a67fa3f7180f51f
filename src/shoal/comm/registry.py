"""Which backend serves which URI scheme. Third parties add theirs by entry point or by assignment.

A distribution that offers a scheme names its backend in the entry point group
``distributed.comm.backends`` (the field's name) or ``shoal.comm.backends``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.comm.base import Connector, Listener

__all__ = ["Backend", "backends", "get_backend", "register_backend"]

ENTRY_POINT_GROUPS = ("shoal.comm.backends", "distributed.comm.backends")


class Backend(ABC):
    """A transport: makes connectors and listeners, and understands its addresses."""

    @abstractmethod
    def get_connector(self) -> Connector:
        """Return what connects to addresses of this scheme."""

    @abstractmethod
    def get_listener(
        self, loc: str, handle_comm: Any, deserialize: bool, **connection_args: Any
    ) -> Listener:
        """Return a listener, not started yet, at a location."""

    @abstractmethod
    def get_address_host(self, loc: str) -> str:
        """Return the host of a location."""

    @abstractmethod
    def resolve_address(self, loc: str) -> str:
        """Return a location with names replaced by numbers."""

    def get_address_host_port(self, loc: str) -> tuple[str, int]:
        """Return host and port of a location, where the scheme has them."""
        raise NotImplementedError

    @abstractmethod
    def get_local_address_for(self, loc: str) -> str:
        """Return a local location that is reachable from a location."""


backends: dict[str, Backend] = {}


def register_backend(scheme: str, backend: Backend) -> None:
    """Serve addresses of a scheme with a backend."""
    if not isinstance(backend, Backend):
        raise TypeError(f"expected a Backend for {scheme!r}, got {type(backend).__name__}")
    backends[scheme] = backend


def get_backend(scheme: str) -> Backend:
    """Return the backend of a scheme.

    Raises
    ------
    ValueError
        When there is none; the message lists those there are.
    """
    backend = backends.get(scheme)
    if backend is not None:
        return backend
    for group in ENTRY_POINT_GROUPS:
        for entry in entry_points(group=group, name=scheme):
            found = entry.load()
            backends[scheme] = found() if isinstance(found, type) else found
            return backends[scheme]
    known = ", ".join(sorted(backends))
    raise ValueError(f"unknown address scheme {scheme!r}; known schemes are {known}")
