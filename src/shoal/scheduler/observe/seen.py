"""Counts of a scheduler since it started, for observers over HTTP."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from shoal.comm.strangers import clean
from shoal.diagnostics.garbage import count_collections
from shoal.diagnostics.loop_watch import LoopWatch
from shoal.scheduler.observe.tally import Tally

if TYPE_CHECKING:
    from shoal.scheduler.core_access import CoreAccess

__all__ = ["Seen"]

logger = logging.getLogger("shoal.scheduler")


class Seen:
    """Counters that only go up, and what takes the others when they are asked for.

    Attributes
    ----------
    workers_added, workers_removed, clients_added, clients_removed : int
        How many came and went.
    tally : Tally
        Takes sums over groups of tasks.
    scale_request : int, optional
        How many workers a viewer of the pages wants, until a cluster object takes that up.
    loop_watch : LoopWatch
        How late the scheduler's loop is.
    """

    def __init__(self, scheduler: CoreAccess) -> None:
        self._scheduler = scheduler
        self.workers_added = 0
        self.workers_removed = 0
        self.clients_added = 0
        self.clients_removed = 0
        self.scale_request: int | None = None
        self.tally = Tally(scheduler)
        self.loop_watch = LoopWatch()
        count_collections()
        self._gone: dict[str, float] = {}  # seconds of transfers of workers that left, by prefix

    def stop(self) -> None:
        """Look no more."""
        self.loop_watch.stop()

    def worker_joined(self, address: str) -> None:
        """Count a worker that came."""
        self.workers_added += 1
        logger.info("Register worker %s", address)

    def worker_left(self, address: str, reason: str, expected: bool) -> None:
        """Count a worker that is gone; it is known yet."""
        log = logger.info if expected else logger.warning
        log("Remove worker %s: %s", address, clean(reason))
        ws = self._scheduler.state.workers.get(address)
        if ws is not None:
            self.workers_removed += 1
            _add(self._gone, ws.metrics)

    def client_joined(self, client: str) -> None:
        """Count a client that connected."""
        self.clients_added += 1
        logger.info("Receive client connection: %s", client)

    def client_left(self, client: str, reason: str) -> None:
        """Count a client whose connection is gone."""
        self.clients_removed += 1
        logger.info("Lost client %s: %s", client, clean(reason))

    def transfer_seconds(self) -> dict[str, float]:
        """Return how long workers fetched from each other, by what the keys begin with."""
        found = dict(self._gone)
        for ws in self._scheduler.state.workers.values():
            _add(found, ws.metrics)
        return found


def _add(sums: dict[str, float], metrics: dict[str, Any]) -> None:
    told = metrics.get("transfer", {}).get("seconds")
    if isinstance(told, dict):
        for name, seconds in told.items():
            if isinstance(seconds, (int, float)):
                sums[name] = sums.get(name, 0.0) + seconds
