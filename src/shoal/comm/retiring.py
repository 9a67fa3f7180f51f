"""A worker that is to go asks the scheduler, itself or by its nanny, to move its data first."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from shoal import config

__all__ = ["hand_over"]

logger = logging.getLogger("shoal.worker")

_REACHED = 3.0  # seconds in which a scheduler that is there says so
_ANSWER = 2.0  # seconds that the scheduler may take to answer, beyond those for the data


async def hand_over(scheduler: Any, address: str, within: float | None = None) -> None:
    """Have the scheduler move what only this worker holds; returns when that is done, or cannot be.

    Parameters
    ----------
    scheduler : rpc
        To the scheduler.
    address : str
        The worker's.
    within : float, optional
        Seconds that it may take; ``shoal.retire.timeout`` by default.
    """
    limit = config.get_seconds("shoal.retire.timeout", within)
    try:
        async with asyncio.timeout(_REACHED):  # a scheduler that is gone is looked for much longer
            await scheduler.identity(n_workers=0)
        async with asyncio.timeout(limit + _ANSWER):
            moved = await scheduler.retire_workers(
                workers=[address], close_workers=False, within=limit
            )
    except (OSError, TimeoutError, RuntimeError, ValueError) as error:
        # ValueError: the scheduler does not know it, so it has no data of this worker.
        logger.info("the scheduler could not be asked to retire %s: %s", address, error)
    else:
        if not moved:
            logger.warning("Worker %s leaves with data that could not be moved", address)
