"""Hooks through which actors use clients, a layer above: clients set them when they are loaded."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.actors.connections import ActorConnections

__all__ = ["ClientHooks", "client_hooks", "set_client_hooks"]


class ClientHooks:
    """The answers where no client was ever made in this process."""

    def connections(self, allow_global: bool) -> ActorConnections | None:
        """Return the connections of the context's client; of the newest, if that is allowed."""
        return None

    def hold(self, key: str) -> Any:
        """Return an object that keeps a key wanted by the context's client as long as it lives."""
        # An actor on a worker got another one. By name, as clients are a layer above.
        importlib.import_module("shoal.client.futures.actors")
        return client_hooks().hold(key)

    def collecting(self) -> AbstractContextManager[list[Any]]:
        """Return a context that gathers the futures that are pickled in it."""
        return nullcontext([])


_hooks = ClientHooks()


def client_hooks() -> ClientHooks:
    """Return what is known of clients."""
    return _hooks


def set_client_hooks(known: ClientHooks) -> None:
    """Tell actors about clients."""
    global _hooks
    _hooks = known
