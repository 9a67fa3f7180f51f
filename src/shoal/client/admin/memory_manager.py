"""`Client.amm`: the active memory manager of the scheduler, from afar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["MemoryManagerProxy"]


class MemoryManagerProxy:
    """Starts and stops the scheduler's active memory manager, and asks about it.

    In asynchronous code the methods return awaitables.

    Examples
    --------
    >>> client.amm.stop()  # doctest: +SKIP
    >>> client.amm.run_once()  # doctest: +SKIP
    >>> client.amm.running()  # doctest: +SKIP
    False
    """

    def __init__(self, client: ClientContext) -> None:
        self._client = client

    def _ask(self, method: str) -> Any:
        return self._client.sync(self._client._ask, "memory_manager", method=method)

    def start(self) -> Any:
        """Let it act now and then."""
        return self._ask("start")

    def stop(self) -> Any:
        """Let it act no more by itself."""
        return self._ask("stop")

    def run_once(self) -> Any:
        """Let it act now."""
        return self._ask("run_once")

    def running(self) -> Any:
        """Return whether it acts by itself."""
        return self._ask("running")
