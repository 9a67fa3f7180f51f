"""The core's effects in a scheduler's process, besides messages and the timer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from shoal.comm.strangers import clean

__all__ = ["ShellCalls"]

logger = logging.getLogger("shoal.scheduler")


class ShellCalls:
    """The real scheduler's `shoal.scheduler.applier.Calls`.

    Parameters
    ----------
    on_continue : callable
        Called in the loop's next turn when the core has more to do.
    on_idle : callable
        Called when nothing was asked for too long, perhaps several times.
    on_worker_closed : callable
        Called with the address of a worker whose connection is dropped.
    on_client_gone : callable
        Called with the id of a client that left, or was turned out.
    """

    def __init__(
        self,
        *,
        on_continue: Callable[[], None],
        on_idle: Callable[[], None],
        on_worker_closed: Callable[[str], None],
        on_client_gone: Callable[[str], None],
    ) -> None:
        self.idle = on_idle
        self._on_continue = on_continue
        self._on_worker_closed = on_worker_closed
        self._on_client_gone = on_client_gone
        self._continuing: asyncio.Handle | None = None
        self._retiring: dict[str, asyncio.Future[None]] = {}

    def continue_soon(self) -> None:
        """Go on with a large change once the loop has looked at its sockets."""
        if self._continuing is None:
            self._continuing = asyncio.get_running_loop().call_soon(self._continue)

    def _continue(self) -> None:
        self._continuing = None
        self._on_continue()

    def stop(self) -> None:
        """Go on with nothing."""
        if self._continuing is not None:
            self._continuing.cancel()

    def worker_refused(self, address: str, reason: str) -> None:
        """Tell people that a worker may not join."""
        logger.warning("Worker %s was refused: %s", address, clean(reason))

    def worker_closed(self, address: str, reason: str) -> None:
        """Tell people that a worker's connection is dropped, and the shell, too."""
        logger.warning("Closing the connection to worker %s: %s", address, clean(reason))
        self._on_worker_closed(address)

    def client_closed(self, client: str, reason: str) -> None:
        """Tell people that a client broke the protocol, and the shell, too."""
        logger.warning("Closing the connection to client %s: %s", client, clean(reason))
        self._on_client_gone(client)

    def client_left(self, client: str) -> None:
        """Tell people that a client said goodbye, and the shell, too."""
        logger.info("Remove client %s", client)
        self._on_client_gone(client)

    def retirement(self, address: str) -> asyncio.Future[None]:
        """Return a future that is done when a worker that is being retired is empty."""
        waiter = self._retiring.get(address)
        if waiter is None:
            waiter = self._retiring[address] = asyncio.get_running_loop().create_future()
        return waiter

    def worker_retired(self, address: str, why_not: str | None) -> None:
        """Wake the callers that wait for a worker to be empty."""
        waiter = self._retiring.pop(address, None)
        if waiter is not None and not waiter.done():
            if why_not is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(RuntimeError(f"worker {address} cannot be retired: {why_not}"))
        elif why_not is not None:  # the end of its lifetime came
            logger.warning("Worker %s leaves with what it holds: %s", address, why_not)
