"""What actors need of clients, which are a layer above: clients give it when they are loaded."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.actors.lines import ActorLines

__all__ = ["NoClient", "set_side", "side"]


class NoClient:
    """The answers where no client was ever made in this process."""

    def lines(self, allow_global: bool) -> ActorLines | None:
        """Return the lines of the context's client; of the newest, if that is allowed."""
        return None

    def hold(self, key: str) -> Any:
        """Return an object that keeps a key wanted by the context's client as long as it lives."""
        # An actor on a worker got another one. By name, as clients are a layer above.
        importlib.import_module("shoal.client.actors")
        return side().hold(key)

    def collecting(self) -> AbstractContextManager[list[Any]]:
        """Return a context that gathers the futures that are pickled in it."""
        return nullcontext([])


_side = NoClient()


def side() -> NoClient:
    """Return what is known of clients."""
    return _side


def set_side(known: NoClient) -> None:
    """Tell actors about clients."""
    global _side
    _side = known
