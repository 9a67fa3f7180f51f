"""A scheduler that is connected and says nothing: it is asked whether it is there.

A process that is stopped (Ctrl-Z, a debugger, a machine that sleeps) keeps its connections, and
those who wait for it would hear of nothing. Waiting goes on, and so does the work when it is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["SilenceWatch"]

logger = logging.getLogger("shoal.client")

_PATIENCE = 10.0  # seconds without an answer that are worth a warning


class SilenceWatch:
    """Asks a scheduler that has said nothing for a while, and warns when it does not answer.

    Parameters
    ----------
    address : str
        The address of the scheduler, for people.
    ask : callable
        Asks it something, and returns what is done when it has answered.
    patience : float
        Seconds without an answer after which there is a warning.
    """

    def __init__(
        self, address: str, ask: Callable[[], Awaitable[Any]], patience: float = _PATIENCE
    ) -> None:
        self._address = address
        self._ask = ask
        self._patience = patience
        self._heard = time.monotonic()
        self._asking: asyncio.Task[None] | None = None
        self._warned = False

    def heard(self) -> None:
        """The scheduler said something."""
        self._heard = time.monotonic()
        if self._warned:
            self._warned = False
            logger.warning("The scheduler at %s answers again", self._address)

    def look(self) -> None:
        """Ask, when nothing was heard since the last look but one; warn, when that takes long."""
        silent = time.monotonic() - self._heard
        if silent < self._patience / 2:
            return
        if self._asking is None or self._asking.done():
            self._asking = asyncio.ensure_future(self._is_there())
        elif silent >= self._patience and not self._warned:
            self._warned = True
            logger.warning(
                "The scheduler at %s has not answered for %.0f s, though it is connected: its "
                "process may be stopped (Ctrl-Z, SIGSTOP, a debugger), its machine asleep or "
                "overloaded. Have it go on (`kill -CONT PID`, `fg`), or end it and connect to "
                "another; result(timeout=...) waits no longer than that. Waiting on",
                *(self._address, silent),
            )

    def stop(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    async def _is_there(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # the stream tells of a lost connection
            await self._ask()
            self.heard()
