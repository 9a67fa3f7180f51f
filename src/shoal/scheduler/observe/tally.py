"""Sums over all groups and prefixes, for pages and metrics: taken in steps, between which the
scheduler works on, and not again too soon. So what a page costs does not grow with the prefixes.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from shoal import config
from shoal.scheduler.core.policies.scaling import work_of, workers_for
from shoal.scheduler.core.state import STATES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shoal.scheduler.core.state import GroupState, PrefixState
    from shoal.scheduler.core_access import CoreAccess

__all__ = ["OTHERS", "PrefixSum", "Sums", "Tally"]

# Groups that are looked at before the loop goes on with others: a millisecond's worth or two.
_STEP = 100
# Sums are as good as new for so many times as long as it took to take them.
_SHARE = 20
# Prefixes that are told one by one: those that came first, so that counters go on.
_MOST = 1000
OTHERS = "(others)"


@dataclass(slots=True)
class PrefixSum:
    """Numbers of one prefix, or of all others together.

    Attributes
    ----------
    tasks : dict
        How many there are now, by state.
    entered : dict
        How many ever came into each state.
    seconds, nbytes : float, int
        Of all runs, and of all results.
    duration : float or None
        The expected time of a run.
    suspicious : int
        How often a worker died while it ran one.
    """

    name: str
    tasks: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    entered: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))
    seconds: float = 0.0
    nbytes: int = 0
    duration: float | None = None
    suspicious: int = 0

    def add(self, other: PrefixSum) -> None:
        """Count another one in."""
        for state in STATES:
            self.tasks[state] += other.tasks[state]
            self.entered[state] += other.entered[state]
        self.seconds += other.seconds
        self.nbytes += other.nbytes
        self.suspicious += other.suspicious

    @property
    def n_tasks(self) -> int:
        """How many tasks there are now."""
        return sum(self.tasks.values()) - self.tasks["forgotten"]


@dataclass(slots=True)
class Sums:
    """The result of a tally.

    Attributes
    ----------
    total : PrefixSum
        Of all prefixes.
    prefixes : list of PrefixSum
        The first ones, and one for all others where there are more.
    busiest : list of PrefixSum
        The groups with most tasks, the most first.
    n_prefixes, n_groups : int
        How many there are.
    desired_workers : int
        How many workers there should be for the work.
    """

    total: PrefixSum = field(default_factory=lambda: PrefixSum(""))
    prefixes: list[PrefixSum] = field(default_factory=list)
    busiest: list[PrefixSum] = field(default_factory=list)
    n_prefixes: int = 0
    n_groups: int = 0
    desired_workers: int = 0


class Tally:
    """Takes the sums of a scheduler's groups when somebody wants to know.

    Parameters
    ----------
    scheduler : Scheduler
        Whose.
    shown : int
        How many of the busiest prefixes are kept.
    """

    def __init__(self, scheduler: CoreAccess, shown: int = 200) -> None:
        self._scheduler = scheduler
        self._shown = shown
        self._taking: asyncio.Task[Sums] | None = None
        self._sums: Sums | None = None
        self._good_until = 0.0

    async def take(self) -> Sums:
        """Return sums that are new, or almost."""
        if self._sums is not None and time.monotonic() < self._good_until:
            return self._sums
        if self._taking is None or self._taking.done():
            self._taking = asyncio.create_task(self._take())
        return await asyncio.shield(self._taking)

    async def _take(self) -> Sums:
        sums = Sums()
        spent, began = 0.0, time.perf_counter()
        for _ in self._add_up(sums):
            spent += time.perf_counter() - began
            await asyncio.sleep(0)
            began = time.perf_counter()
        spent += time.perf_counter() - began
        self._sums, self._good_until = sums, time.monotonic() + _SHARE * spent
        return sums

    def _add_up(self, sums: Sums) -> Iterator[None]:
        """Fill in sums; stops whenever others should have their turn."""
        state = self._scheduler.state
        sums.n_prefixes, sums.n_groups = len(state.prefixes), len(state.groups)
        others = PrefixSum(OTHERS)
        busiest: list[tuple[int, int, PrefixSum]] = []
        runnable, seconds, left = 0, 0.0, _STEP
        for number, prefix in enumerate(list(state.prefixes.values())):
            row = _row(prefix)
            for group in list(prefix.groups.values()):
                _add_group(row, group)
                left -= 1
                if left < 0:
                    left = _STEP
                    yield
            left -= 1
            n, each = work_of(state, prefix, row.tasks)
            runnable, seconds = runnable + n, seconds + each
            sums.total.add(row)
            if number < _MOST:
                sums.prefixes.append(row)
            else:
                others.add(row)
            add = heapq.heappush if len(busiest) < self._shown else heapq.heappushpop
            add(busiest, (row.n_tasks, -number, row))
        if sums.n_prefixes > _MOST:
            sums.prefixes.append(others)
        sums.busiest = [row for _, _, row in sorted(busiest, key=lambda each: each[:2])[::-1]]
        target = config.get_seconds("distributed.adaptive.target-duration")
        sums.desired_workers = workers_for(state, runnable, seconds, target)


def _row(prefix: PrefixState) -> PrefixSum:
    """Return what is counted for groups that are gone."""
    row = PrefixSum(prefix.name, entered=dict(prefix.entered))
    row.tasks["forgotten"] = prefix.entered["forgotten"]
    row.seconds, row.nbytes, row.suspicious = prefix.seconds, prefix.nbytes, prefix.suspicious
    row.duration = prefix.duration if prefix.duration >= 0 else None  # none ran
    return row


def _add_group(row: PrefixSum, group: GroupState) -> None:
    """Count a group in."""
    tasks, entered, left = row.tasks, row.entered, group.left
    for state, n in group.entered.items():
        tasks[state] += n - left[state]
        entered[state] += n
    row.seconds += group.duration
    row.nbytes += group.nbytes
