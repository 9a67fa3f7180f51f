"""Which workers of a specification were with the scheduler, and are gone for too long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from shoal import config

__all__ = ["LostWorkers"]


class LostWorkers:
    """Notes since when workers are missing; those of a job that the queue ended say nothing.

    A worker with a nanny is none of them: the nanny starts another process.
    """

    def __init__(self) -> None:
        self._patience = config.get_optional_seconds("distributed.deploy.lost-worker-timeout")
        self._present: set[int] = set()  # ids of objects whose worker was there once
        self._missing: dict[int, float] = {}  # and since when it is not

    def look(
        self, workers: Mapping[Any, Any], known: Callable[[Iterable[Any]], list[Any]]
    ) -> list[Any]:
        """Return the names of workers that are missing for longer than `lost-worker-timeout`."""
        if self._patience is None:
            return []
        now = time.monotonic()
        here = {id(worker) for worker in workers.values()}
        self._present &= here
        self._missing = {each: since for each, since in self._missing.items() if each in here}
        lost = []
        for name, worker in workers.items():
            if hasattr(worker, "instantiate"):  # a nanny
                continue
            if known([name]):
                self._present.add(id(worker))
                self._missing.pop(id(worker), None)
                continue
            if id(worker) not in self._present:
                continue
            since = self._missing.setdefault(id(worker), now)
            if now - since >= self._patience:
                lost.append(name)
        return lost
