"""How late an event loop is: told in the log when something kept it from its work for long."""

from __future__ import annotations

import asyncio
import logging

from shoal import config

__all__ = ["watch_loop"]


logger = logging.getLogger("shoal.core")


async def watch_loop(name: str) -> None:
    """Look once a ``distributed.admin.tick.cycle`` whether the running loop was blocked.

    Where it was for longer than ``distributed.admin.tick.limit`` the log says so.

    Parameters
    ----------
    name : str
        Whose loop it is.
    """
    cycle = config.get_seconds("distributed.admin.tick.cycle")
    limit = config.get_seconds("distributed.admin.tick.limit")
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        await asyncio.sleep(cycle)
        late = loop.time() - began - cycle
        if late > limit:
            logger.info(
                "Event loop was unresponsive in %s for %.2fs. This is often caused by long-running "
                "functions that hold the interpreter's lock, or by large amounts of data",
                *(name, late),
            )
