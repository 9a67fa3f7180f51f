"""Copies that somebody waits for: asked for in the core, watched here until they are there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from shoal.scheduler.core.events import Move

if TYPE_CHECKING:
    from shoal.scheduler.core_access import CoreAccess

__all__ = ["Copying"]


class Copying:
    """Makes copies of results and waits for them.

    Parameters
    ----------
    scheduler : Scheduler
        Whose results these are.
    """

    def __init__(self, scheduler: CoreAccess) -> None:
        self._scheduler = scheduler
        self._waiters: list[tuple[dict[tuple[str, str], None], asyncio.Future[None]]] = []

    @property
    def waiting(self) -> bool:
        """Whether somebody waits for copies."""
        return bool(self._waiters)

    async def copy(self, plan: Mapping[str, list[str]]) -> None:
        """Have workers fetch keys, by address; return when each has it or could not get it."""
        for address, keys in plan.items():
            self._scheduler.feed(Move(keys, address))
        under_way = {(key, address): None for address, keys in plan.items() for key in keys}
        done = asyncio.get_running_loop().create_future()
        self._waiters.append((under_way, done))
        self.look()
        try:
            await done
        finally:
            self._waiters = [each for each in self._waiters if each[1] is not done]

    def look(self) -> None:
        """Something changed: see which copies are there, or never will be."""
        state = self._scheduler.state
        for under_way, done in self._waiters:
            for key, address in list(under_way):
                ts = state.tasks.get(key)
                ws = state.workers.get(address)
                if ts is None or ws is None or ts not in ws.pending:
                    del under_way[key, address]
            if not under_way and not done.done():
                done.set_result(None)
