"""The error when the time is over: it says so, and the scheduler's knowledge of the reason."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from shoal._base.loop import sync

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext, SchedulerAccess

__all__ = ["late", "late_async"]

_TIMEOUT = 0.5  # seconds for the scheduler's answer, as somebody waits for the error


def late(client: ClientContext, text: str, key: str) -> TimeoutError:
    """Return the error for a thread that waited for a task in vain.

    Parameters
    ----------
    text : str
        The thing that was not done, and the time it had.
    key : str
        Of the task, or the first of several.
    """
    try:
        error: TimeoutError = sync(
            client.loop, late_async, client, text, key, callback_timeout=2 * _TIMEOUT
        )
        return error
    except Exception:  # the loop is gone, or busy: that it is late is true all the same
        return TimeoutError(text)


async def late_async(client: SchedulerAccess, text: str, key: str) -> TimeoutError:
    """Return the error for a coroutine that waited for a task in vain."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            why = await client.scheduler.explain(key=key)
    except Exception:  # the scheduler does not answer, for any reason
        return TimeoutError(text)
    return TimeoutError(f"{text}: {why}")
