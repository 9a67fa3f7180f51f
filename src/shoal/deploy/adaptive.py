"""Clusters that grow and shrink with the work: when to ask for workers, when to let them go.

`AdaptiveCore` decides, from numbers and names alone. `Adaptive` asks the scheduler now and then,
and tells the cluster. How much work there is, and who can be spared, the scheduler knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import math
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from shoal import config
from shoal._base.loop import as_asyncio_loop
from shoal._base.numbers import whole_number
from shoal.core import Status

if TYPE_CHECKING:
    from shoal.deploy.cluster import Cluster

__all__ = ["Adaptive", "AdaptiveCore"]

logger = logging.getLogger("shoal.deploy")

_LOG_LENGTH = 1000


class AdaptiveCore:
    """Decides how a cluster should change. Pure: knows no clock and asks nobody.

    Parameters
    ----------
    minimum : int
        There are never fewer workers than that.
    maximum : int or inf
        There are never more workers than that.
    wait_count : int
        How often in a row a worker must be found to be too much before it goes.

    Examples
    --------
    >>> core = AdaptiveCore(minimum=1, maximum=4, wait_count=1)
    >>> core.recommend(9, plan={0}, requested={0}, observed={"0"})
    {'status': 'up', 'n': 4}
    >>> core.recommend(0, plan={0, 1}, requested={0, 1}, observed={"0", "1"}, spare=["1"])
    {'status': 'down', 'workers': [1]}
    """

    def __init__(self, minimum: int = 0, maximum: float = math.inf, wait_count: int = 3) -> None:
        self.minimum = whole_number("minimum", minimum, 0)
        self.wait_count = whole_number("wait_count", wait_count, 0)
        if maximum != math.inf:
            whole = isinstance(maximum, float) and maximum.is_integer()
            maximum = whole_number("maximum", int(maximum) if whole else maximum)
        if maximum < self.minimum:
            raise ValueError(f"maximum={maximum} is less than minimum={minimum}")
        self.maximum = maximum
        self.close_counts: dict[str, int] = {}  # how often in a row a worker was too much

    def within_bounds(self, target: int) -> int:
        """Return the number nearest to `target` that is allowed."""
        return int(min(max(target, self.minimum), self.maximum))

    def recommend(
        self,
        target: int,
        plan: Iterable[Any],
        requested: Iterable[Any],
        observed: Iterable[Any],
        spare: Sequence[Any] = (),
    ) -> dict[str, Any]:
        """Say what to do about the number of workers.

        Parameters
        ----------
        target : int
            How many there should be for the work.
        plan, requested, observed : names
            Workers that there shall be, that were started, and that the scheduler knows. Names are
            the same when their texts are.
        spare : list of names
            Workers that have nothing to do, the best to close first.

        Returns
        -------
        dict
            ``{"status": "same"}``, ``{"status": "up", "n": in all}`` or
            ``{"status": "down", "workers": names of the plan}``.
        """
        planned = {str(name): name for name in plan}
        wanted = self.within_bounds(target)
        excess = len(planned) - wanted
        if excess <= 0:
            self.close_counts = {}
            return {"status": "up", "n": wanted} if excess < 0 else {"status": "same"}
        started = {str(name) for name in requested}
        here = {str(name) for name in observed}
        # A worker that did not come up yet costs least: first the ones that were not started.
        absent = sorted(planned.keys() - here, key=lambda name: (name in started, name))
        idle = [name for name in map(str, spare) if name in planned]
        chosen = list(dict.fromkeys(absent + idle))[:excess]
        counts = {name: self.close_counts.get(name, 0) + 1 for name in chosen}
        due = [name for name in chosen if counts[name] >= self.wait_count]
        self.close_counts = {name: n for name, n in counts.items() if n < self.wait_count}
        if not due:
            return {"status": "same"}
        return {"status": "down", "workers": [planned[name] for name in due]}


class Adaptive(AdaptiveCore):
    """Has a cluster follow its work; what `Cluster.adapt` makes. Begins at once.

    Subclasses may override the coroutines `target`, `workers_to_close`, `recommendations`,
    `scale_up` and `scale_down`.

    Parameters
    ----------
    cluster : Cluster
        Whom to tell.
    minimum, maximum : int, optional
        Fewest and most workers; configuration ``distributed.adaptive``, like all the others.
    interval : float or str, optional
        Time between two decisions.
    wait_count : int, optional
        How often in a row a worker must be found to be too much before it is closed.
    target_duration : float or str, optional
        In what time the work that is ready should be done.

    Examples
    --------
    >>> cluster.adapt(minimum=1, maximum=10)  # doctest: +SKIP
    """

    def __init__(
        self,
        cluster: Cluster,
        minimum: int | None = None,
        maximum: float | None = None,
        interval: float | str | None = None,
        wait_count: int | None = None,
        target_duration: float | str | None = None,
    ) -> None:
        super().__init__(
            config.get_int("distributed.adaptive.minimum", minimum),
            config.get_float("distributed.adaptive.maximum", maximum),
            config.get_int("distributed.adaptive.wait-count", wait_count),
        )
        self.cluster = cluster
        self.interval = config.get_seconds("distributed.adaptive.interval", interval)
        self.target_duration = config.get_seconds(
            "distributed.adaptive.target-duration", target_duration
        )
        for name in ("interval", "target_duration"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0 seconds")
        self.log: deque[tuple[float, dict[str, Any]]] = deque(maxlen=_LOG_LENGTH)
        self._task: asyncio.Task[None] | None = None
        self._stopped = False
        self._on_loop(self._begin)

    def __repr__(self) -> str:
        state = "stopped" if self._stopped else f"every {self.interval:g} s"
        return f"<{type(self).__name__} {self.minimum} to {self.maximum} workers, {state}>"

    # -- life ----------------------------------------------------------------------

    def _on_loop(self, call: Any) -> None:
        loop = as_asyncio_loop(self.cluster.loop)
        if asyncio._get_running_loop() is loop:
            call()
        else:
            with contextlib.suppress(RuntimeError):  # closed, so there is nothing to end
                loop.call_soon_threadsafe(call)

    def _begin(self) -> None:
        if not self._stopped:
            self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def loop(self) -> Any:
        """The event loop of the cluster."""
        return self.cluster.loop

    @property
    def scheduler(self) -> Any:
        """The scheduler's operations."""
        return self.cluster.scheduler_comm

    def stop(self, reason: str = "unknown") -> None:
        """Leave the cluster as it is from now on.

        Parameters
        ----------
        reason : str
            For the logs.
        """
        if not self._stopped:
            logger.debug("adapting %s ends: %s", self.cluster.name, reason)
        self._stopped = True
        self._on_loop(self._end)

    def _end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        told = False
        while self.cluster.status not in (Status.closing, Status.closed):
            if self.cluster.status == Status.running:
                try:
                    await self.adapt()
                    told = False
                except OSError as error:
                    logger.debug("the scheduler does not answer: %s", error)
                except Exception:
                    if not told:  # once for a row of failures
                        logger.exception("adapting %s failed; trying again", self.cluster.name)
                    told = True
            await asyncio.sleep(self.interval)

    # -- decisions -----------------------------------------------------------------

    @property
    def plan(self) -> set[Any]:
        """Names of workers that there shall be."""
        return self.cluster.plan

    @property
    def requested(self) -> set[Any]:
        """Names of workers that were started."""
        return self.cluster.requested

    @property
    def observed(self) -> set[Any]:
        """Names of workers that the scheduler knows."""
        return self.cluster.observed

    async def target(self) -> int:
        """Ask the scheduler how many workers the work needs."""
        comm = self.cluster.scheduler_comm
        assert comm is not None
        return int(await comm.adaptive_target(target_duration=self.target_duration))

    async def safe_target(self) -> int:
        """Return `target` within the bounds."""
        return self.within_bounds(await self.target())

    async def workers_to_close(self, target: int) -> list[Any]:
        """Ask the scheduler for names of workers that can go, the best to close first."""
        comm = self.cluster.scheduler_comm
        assert comm is not None
        return list(await comm.workers_to_close(attribute="name"))

    async def recommendations(self, target: int) -> dict[str, Any]:
        """Say what to do when there should be `target` workers: see `AdaptiveCore.recommend`."""
        spare: list[Any] = []
        if len(self.plan) > self.within_bounds(target):
            spare = self.cluster._closable(await self.workers_to_close(target))
        return self.recommend(target, self.plan, self.requested, self.observed, spare)

    async def adapt(self) -> None:
        """Decide once, and tell the cluster."""
        await self.cluster._look()
        advice = dict(await self.recommendations(await self.target()))
        status = advice.pop("status")
        if status == "same":
            return
        self.log.append((time.time(), {"status": status, **advice}))
        if status == "up":
            await self.scale_up(**advice)
        else:
            await self.scale_down(**advice)

    async def scale_up(self, n: int) -> None:
        """Have `n` workers in all."""
        await _finish(self.cluster.scale(n))

    async def scale_down(self, workers: list[Any]) -> None:
        """Have these workers closed, their data first moved to others."""
        closable = self.cluster._closable(workers)
        if closable:
            await _finish(self.cluster.scale_down(closable))


async def _finish(result: Any) -> None:
    if inspect.isawaitable(result):
        await result
