"""Which runs of tasks the viewers see: all of them while they are few, evenly chosen ones else.

Batches of workers' messages are only kept by reference when they arrive, so that a run costs
nothing here; the choice is made once a frame, within a budget.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from shoal.wire import messages as m

__all__ = ["Run", "TaskSample"]


class Run(NamedTuple):
    """One run of a task that ended."""

    key: str
    worker: str
    start: float  # wall clock, seconds
    stop: float
    nbytes: int
    failed: bool


class TaskSample:
    """Runs of tasks between two frames.

    Parameters
    ----------
    budget : int
        Most runs that one frame tells.

    Attributes
    ----------
    seen : int
        Runs that ended since this was made, told or not.
    """

    def __init__(self, budget: int) -> None:
        self.seen = 0
        self._budget = budget
        self._batches: list[tuple[str, Any]] = []
        self._waiting = 0

    def note(self, address: str, messages: list[Any]) -> None:
        """Take note of what a worker says."""
        for message in messages:
            kind = type(message)
            if kind is m.Finished:
                self._waiting += len(message.keys)
            elif kind is m.Failed:
                self._waiting += 1
            else:
                continue
            self._batches.append((address, message))

    def take(self) -> list[Run]:
        """Return runs that ended since the last call, every n-th where they are many."""
        batches, total = self._batches, self._waiting
        self._batches, self._waiting = [], 0
        self.seen += total
        step = max(1, -(-total // self._budget))
        chosen: list[Run] = []
        add: Callable[[Run], None] = chosen.append
        skip = 0  # runs of the next batch before the first one to take
        for address, message in batches:
            if type(message) is m.Failed:
                # Failures are few and matter: none is left out while there is room at all.
                if len(chosen) < 2 * self._budget:
                    add(Run(message.key, address, message.start, message.stop, 0, True))
                continue
            count = len(message.keys)
            for i in range(skip, count, step):
                add(
                    Run(
                        message.keys[i],
                        address,
                        message.starts[i],
                        message.stops[i],
                        max(0, message.nbytes[i]),
                        False,
                    )
                )
            skip = (skip - count) % step
        return chosen
