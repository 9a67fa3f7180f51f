"""`SlurmCluster`: a scheduler here, and workers of one or several kinds in the queue of Slurm."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping
from typing import Any

from shoal._base.numbers import whole_number
from shoal.deploy.adaptive import Adaptive
from shoal.deploy.slurm import queue
from shoal.deploy.slurm.script import Pool, own_name
from shoal.deploy.slurm.workers import SlurmWorker, Submitter
from shoal.deploy.spec import SpecCluster

__all__ = ["PoolAdaptive", "SlurmCluster"]

logger = logging.getLogger("shoal.deploy")

_DEFAULT = "worker"
_LOOK_EVERY = 5.0  # seconds between two looks at the queue


class SlurmCluster(SpecCluster):
    """A cluster whose workers are jobs of Slurm.

    Workers that are asked for at once are one submission: a job array, whose elements begin as
    there is room, or one job of several nodes. A worker knows the time limit of its job: it is
    given no task that takes longer than what is left, and hands its data over before the end.

    Parameters
    ----------
    pools : dict, optional
        Kinds of workers, by name: what `Pool` takes, each with its own `scale` and `adapt`. Without
        it, there is one kind, of the arguments below.
    n_workers : int or dict
        How many workers to begin with; by the name of their pool where there are several.
    one_job : bool
        Whether workers that are asked for together are one job of several nodes.
    log_directory : str
        Where jobs write what they have to say.
    scheduler_options : dict, optional
        Arguments of `Scheduler`, such as ``{"interface": "ib0"}``.
    name : str, optional
        Name of the cluster, and of its jobs.
    asynchronous, **kwargs
        As for `SpecCluster`.
    cores, memory, processes, walltime, gpus, partition, account, qos, constraint, directives, \
prologue, resources, worker_options, python, requeue
        Of the one kind of workers: see `shoal.deploy.slurm.script.Pool`.

    Examples
    --------
    >>> cluster = SlurmCluster(cores=4, memory="8 GiB", walltime="01:00:00")  # doctest: +SKIP
    >>> cluster.scale(10)  # doctest: +SKIP
    >>> cluster = SlurmCluster(  # doctest: +SKIP
    ...     {"cpu": {"cores": 8, "memory": "16 GiB"}, "gpu": {"cores": 4, "gpus": 1}}
    ... )
    >>> cluster.adapt(maximum=20, pool="cpu")  # doctest: +SKIP
    >>> cluster.scale(2, pool="gpu")  # doctest: +SKIP
    """

    def __init__(
        self,
        pools: Mapping[str, Mapping[str, Any] | Pool] | None = None,
        *,
        n_workers: int | Mapping[str, int] = 0,
        one_job: bool = False,
        log_directory: str = "slurm-logs",
        scheduler_options: Mapping[str, Any] | None = None,
        name: str | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        silence_logs: int | str | bool = False,
        security: Any = None,
        shutdown_on_close: bool = True,
        **one_kind: Any,
    ) -> None:
        if pools is not None and one_kind:
            raise TypeError(f"with pools={{...}}, say in each pool: {', '.join(one_kind)}")
        given = {_DEFAULT: one_kind} if pools is None else pools
        if not given:
            raise ValueError("pools={} is empty: name at least one kind of workers")
        self.pools = {
            key: each if isinstance(each, Pool) else Pool(**each) for key, each in given.items()
        }
        name = name or f"shoal-{os.getpid()}-{time.time_ns() % 10**6}"
        folder = os.path.abspath(log_directory)
        self._submitters = {
            key: Submitter(name, pool, folder, one_job) for key, pool in self.pools.items()
        }
        self._adaptives: dict[str, Adaptive] = {}
        self._numbers = dict.fromkeys(self.pools, 0)
        self._looked = 0.0
        self._absent: set[int] = set()  # ids of workers without a job, at the last look
        self._were_up: set[int] = set()
        begin = self._by_pool(n_workers)
        workers: dict[Any, dict[str, Any]] = {}
        for pool_name, count in begin.items():
            for _ in range(count):
                workers.update(self._one_more(pool_name))
        super().__init__(
            workers,
            {
                "cls": "shoal.scheduler.scheduler.Scheduler",
                "options": {"protocol": "tcp", **(scheduler_options or {})},
            },
            asynchronous=asynchronous,
            loop=loop,
            silence_logs=silence_logs,
            security=security,
            name=name,
            shutdown_on_close=shutdown_on_close,
        )

    def _by_pool(self, n: int | Mapping[str, int]) -> dict[str, int]:
        if isinstance(n, Mapping):
            return {
                self._pool_named(key): whole_number("n_workers", each, 0) for key, each in n.items()
            }
        count = whole_number("n_workers", n, 0)
        return {self._pool_named(None): count} if count else {}

    def _pool_named(self, pool: str | None) -> str:
        if pool is None and len(self.pools) == 1:
            return next(iter(self.pools))
        if pool not in self.pools:
            raise ValueError(f"say which pool: pool= is one of {', '.join(map(repr, self.pools))}")
        return pool

    def _one_more(self, pool: str) -> dict[Any, dict[str, Any]]:
        number = self._numbers[pool]
        self._numbers[pool] += 1
        spec: dict[str, Any] = {
            "cls": SlurmWorker,
            "options": {"submitter": self._submitters[pool]},
        }
        processes = self.pools[pool].processes
        if processes > 1:
            spec["group"] = [f"-{i}" for i in range(processes)]
        return {f"{pool}-{number}": spec}

    def _of_pool(self, pool: str) -> list[str]:
        return [name for name in self.worker_spec if name.rpartition("-")[0] == pool]

    # -- scaling -----------------------------------------------------------------------

    def scale(  # type: ignore[override]  # pools instead of memory and cores
        self, n: int | Mapping[str, int] = 0, *, pool: str | None = None
    ) -> Any:
        """Have so many workers' jobs of a pool, or of several: ``scale({"cpu": 4, "gpu": 1})``.

        Parameters
        ----------
        n : int or dict
            How many, or how many of each pool.
        pool : str, optional
            Which; not needed where there is one.
        """
        wanted = n if isinstance(n, Mapping) else {self._pool_named(pool): n}
        for key, count in wanted.items():
            self._plan(self._pool_named(key), whole_number("the number of workers", count, 0))
        return self._correct_soon()

    def _plan(self, pool: str, n: int) -> None:
        names = self._of_pool(pool)
        # Jobs that still wait in the queue go first, then the newest.
        running = [name for name in names if self._known_to_scheduler([name])][::-1]
        waiting = [name for name in names if name not in running]
        for name in [*waiting, *running][: max(0, len(names) - n)]:
            del self.worker_spec[name]
        for _ in range(n - len(names)):
            self.worker_spec.update(self._one_more(pool))

    def scale_up(self, n: int = 0, memory: Any = None, cores: Any = None) -> Any:
        """Have `n` workers; the same as `scale`."""
        return self.scale(n)

    def adapt(self, *, pool: str | None = None, **kwargs: Any) -> Adaptive:
        """Have the number of a pool's workers follow the work that they can do.

        Parameters
        ----------
        pool : str, optional
            Which; not needed where there is one.
        **kwargs
            ``minimum``, ``maximum`` and others of `Cluster.adapt`.
        """
        key = self._pool_named(pool)
        before = self._adaptives.pop(key, None)
        if before is not None:
            before.stop()
        found = self._adaptives[key] = PoolAdaptive(self, pool=key, **kwargs)
        return found

    def _stop_adapting(self) -> None:
        for each in self._adaptives.values():
            each.stop()
        self._adaptives.clear()

    # -- workers that are there ----------------------------------------------------------

    def _spec_name(self, name: Any) -> Any:
        return super()._spec_name(own_name(str(name)))

    @property
    def observed(self) -> set[Any]:
        """Names of workers that the scheduler knows, without what a requeued job added."""
        return {own_name(str(name)) for name in super().observed}

    def _known_to_scheduler(self, specs: Iterable[Any]) -> list[Any]:
        wanted = {str(spec) for spec in specs}
        found = []
        for worker in self.scheduler_info["workers"].values():
            name = own_name(str(worker["name"]))
            if name in wanted or name.rpartition("-")[0] in wanted:
                found.append(str(worker["name"]))
        return found

    async def _look(self) -> None:
        await super()._look()
        now = time.monotonic()
        if now - self._looked >= _LOOK_EVERY and self.workers:
            self._looked = now
            self._spawn(self._look_at_queue())

    async def _look_at_queue(self) -> None:
        """Find workers whose jobs are gone: those that had been up are made anew."""
        try:
            jobs = await queue.jobs_named(self.name)
        except RuntimeError as error:
            logger.debug("the queue does not answer: %s", error)
            return
        workers = [(name, each) for name, each in self.workers.items() if each.job is not None]
        self._were_up |= {id(each) for name, each in workers if self._known_to_scheduler([name])}
        gone = [(name, each) for name, each in workers if each.job not in jobs]
        for name, worker in gone:
            if id(worker) not in self._absent:
                continue  # it may have ended between the two questions: look once more
            restart = id(worker) in self._were_up
            if not restart:
                logger.warning(
                    "The job %s of worker %s ended before the worker was there; see %s",
                    worker.job,
                    name,
                    worker.submitter.log_directory,
                )
            worker.job_is_gone(restart)
        self._absent = {id(each) for _, each in gone}

    async def _replace(self, name: Any) -> None:
        """Another worker for a lost one, unless Slurm runs its job again."""
        worker = self.workers.get(name)
        try:
            jobs = await queue.jobs_named(self.name)
        except RuntimeError:
            return
        if worker is not None and worker.job not in jobs:
            await super()._replace(name)


class PoolAdaptive(Adaptive):
    """Has one pool of a `SlurmCluster` follow the work that its workers can do.

    Parameters
    ----------
    cluster : SlurmCluster
        Whom to tell.
    pool : str
        Which pool.
    **kwargs
        As for `Adaptive`.
    """

    cluster: SlurmCluster

    def __init__(self, cluster: SlurmCluster, *, pool: str, **kwargs: Any) -> None:
        self.pool = pool
        super().__init__(cluster, **kwargs)

    def _mine(self, names: Iterable[Any]) -> set[Any]:
        return {name for name in names if str(name).startswith(f"{self.pool}-")}

    @property
    def plan(self) -> set[Any]:
        """Names of workers of the pool that there shall be."""
        return self._mine(self.cluster.plan)

    @property
    def requested(self) -> set[Any]:
        """Names of workers of the pool that were asked for."""
        return self._mine(self.cluster.requested)

    @property
    def observed(self) -> set[Any]:
        """Names of workers of the pool that the scheduler knows."""
        return self._mine(self.cluster.observed)

    async def target(self) -> int:
        """Ask the scheduler how many workers of the pool the work needs."""
        comm = self.cluster.scheduler_comm
        assert comm is not None
        if len(self.cluster.pools) == 1:
            return await super().target()
        pool = self.cluster.pools[self.pool]
        offers = pool.offers()
        threads = max(1, pool.cores // pool.processes)
        return int(
            await comm.adaptive_target(
                target_duration=self.target_duration, resources=offers, nthreads=threads
            )
        )

    async def workers_to_close(self, target: int) -> list[Any]:
        """Ask the scheduler for names of the pool's workers that can go, the best first."""
        spare = await super().workers_to_close(target)
        return list(dict.fromkeys(own_name(str(name)) for name in spare if self._mine([name])))

    async def scale_up(self, n: int) -> None:
        """Have `n` workers of the pool in all."""
        jobs = -(-n // self.cluster.pools[self.pool].processes)
        self.cluster.scale(jobs, pool=self.pool)
