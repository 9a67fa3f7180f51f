"""Ctrl-C and SIGTERM: the first closes gracefully, the second ends the process at once."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from shoal._base.loop import as_asyncio_loop
from shoal._base.signals import end_now, on_first_signal

__all__ = ["ENDING", "install_signal_handlers", "wait_for_signals"]

logger = logging.getLogger("shoal.cli")

ENDING = (signal.SIGINT, signal.SIGTERM)


async def wait_for_signals(signals: Sequence[signal.Signals] = ENDING) -> signal.Signals:
    """Wait for the first of `signals` and return it; a second one then ends the process at once."""
    loop = asyncio.get_running_loop()
    received: asyncio.Future[signal.Signals] = loop.create_future()

    put_back = on_first_signal(signals, lambda found: _set(received, found))
    try:
        found = await received
    except asyncio.CancelledError:  # the waiting task was cancelled
        put_back()
        raise
    logger.info("Received signal %s (%d); closing. A second one ends at once", found.name, found)
    return found


def install_signal_handlers(
    loop: Any = None, cleanup: Callable[[int], Awaitable[Any]] | None = None
) -> None:
    """Stop a loop at the first SIGINT or SIGTERM, after awaiting ``cleanup(signum)``.

    Parameters
    ----------
    loop : event loop, optional
        One of asyncio or tornado; default the running one.
    cleanup : coroutine function, optional
        Called with the number of the signal.
    """
    chosen = asyncio.get_running_loop() if loop is None else as_asyncio_loop(loop)

    async def clean_and_stop(signum: int) -> None:
        try:
            if cleanup is not None:
                await cleanup(signum)
        finally:
            chosen.stop()

    tasks = []  # the loop itself holds tasks only weakly

    def start(signum: int) -> None:
        tasks.append(chosen.create_task(clean_and_stop(signum)))

    def handle(signum: int, frame: Any) -> None:
        for each in ENDING:
            signal.signal(each, end_now)
        chosen.call_soon_threadsafe(start, signum)

    for each in ENDING:
        signal.signal(each, handle)


def _set(future: asyncio.Future[signal.Signals], value: signal.Signals) -> None:
    if not future.done():
        future.set_result(value)
