"""Coroutines that are run at once, and end together when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

__all__ = ["run_together"]


async def run_together(coroutines: Iterable[Coroutine[Any, Any, Any]]) -> None:
    """Run coroutines at once; the first error ends the others, and is raised when they ended."""
    tasks = [asyncio.get_running_loop().create_task(each) for each in coroutines]
    try:
        await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            if not task.cancelling():  # once is enough: they clean up
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
