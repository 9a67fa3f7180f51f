"""Waiting for a time, and no longer.

Before Python 3.12 `asyncio.wait_for` forgets that its task was cancelled, when what it waits for is
done in the same turn of the loop. Such a task goes on, and who cancelled it waits for its end for
good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

__all__ = ["within"]

T = TypeVar("T")


async def within(awaited: Awaitable[T], seconds: float | None) -> T:
    """Return what is awaited; it is cancelled when it takes longer.

    Parameters
    ----------
    awaited : awaitable
        A coroutine, task or future.
    seconds : float or None
        How long it may take; None: any time. A result that is there is returned anyhow.

    Raises
    ------
    TimeoutError
        When it takes longer.

    Examples
    --------
    >>> await within(asyncio.sleep(0, "done"), 5)
    'done'
    """
    if seconds is not None and seconds <= 0:
        future = asyncio.ensure_future(awaited)
        if future.done():
            return future.result()
        awaited = future
    async with asyncio.timeout(seconds):
        return await awaited
