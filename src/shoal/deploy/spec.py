"""Clusters made of specifications: which workers there shall be, each with class and arguments."""

from __future__ import annotations

import asyncio
import atexit
import copy
import logging
import math
import os
from collections.abc import Iterable
from typing import Any

from dask.utils import parse_bytes

from shoal import config
from shoal._base.logs import Silence
from shoal._base.named_class import class_of
from shoal._base.numbers import whole_number
from shoal._base.together import run_together
from shoal.core import Status, rpc
from shoal.deploy.adaptive import Adaptive
from shoal.deploy.cluster import Cluster
from shoal.deploy.interface import NoOpAwaitable, ProcessInterface
from shoal.deploy.lost import LostWorkers
from shoal.security import Security

__all__ = ["NoOpAwaitable", "ProcessInterface", "SpecCluster"]

logger = logging.getLogger("shoal.deploy")

_SCHEDULER = "shoal.scheduler.scheduler.Scheduler"
_EXIT_TIMEOUT = 10.0
_ANSWER = 10.0  # seconds that a scheduler may take to answer, beyond what it was asked to do
_open: dict[int, tuple[int, SpecCluster]] = {}  # by id: process that made it, cluster


class SpecCluster(Cluster):
    """A cluster that is told which workers there shall be, and starts and closes them.

    Parameters
    ----------
    workers : dict, optional
        Specification of each worker by name: ``{"cls": Nanny, "options": {...}}``. With a
        ``"group"`` of suffixes, one object stands for several workers.
    scheduler : dict, optional
        Specification of the scheduler; by default a `Scheduler` in this process.
    worker : dict, optional
        Specification of workers that `scale` adds.
    asynchronous, loop
        As for `Cluster`.
    security : Security, optional
        Certificates.
    silence_logs : int or False
        Level below which this process's shoal logs nothing while the cluster is open.
    name : str, optional
        Name of the cluster.
    shutdown_on_close : bool
        Whether the cluster closes when its process ends.
    scheduler_sync_interval : float
        Seconds between two looks at the scheduler's workers.
    """

    def __init__(
        self,
        workers: dict[Any, dict[str, Any]] | None = None,
        scheduler: dict[str, Any] | None = None,
        worker: dict[str, Any] | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        security: Security | dict[str, Any] | None = None,
        silence_logs: int | str | bool = False,
        name: str | None = None,
        shutdown_on_close: bool = True,
        scheduler_sync_interval: float | str = 1,
    ) -> None:
        self.scheduler_spec = copy.copy(scheduler)
        self.worker_spec: dict[Any, dict[str, Any]] = dict(workers or {})
        self.new_spec = copy.copy(worker)
        self.scheduler: Any = None
        self.workers: dict[Any, Any] = {}
        self.security = Security(**security) if isinstance(security, dict) else security
        self.shutdown_on_close = shutdown_on_close
        self._i = 0
        self._lock: asyncio.Lock | None = None
        self._corrections: set[asyncio.Task[None]] = set()  # that are under way
        self._leaving: set[Any] = set()  # names of workers that are emptied, then closed
        self._tasks: set[asyncio.Task[Any]] = set()
        self._lost = LostWorkers()
        super().__init__(
            asynchronous=asynchronous,
            loop=loop,
            name=name,
            scheduler_sync_interval=scheduler_sync_interval,
        )
        self._silence = Silence(silence_logs) if silence_logs else None
        _open[id(self)] = (os.getpid(), self)
        if not self.called_from_running_loop:
            try:
                self._loop_runner.start()
                self.sync(self._start)
            except BaseException:  # Ctrl-C too: nothing may stay behind
                self.close(timeout=_EXIT_TIMEOUT)
                raise

    # -- life ------------------------------------------------------------------------

    async def _start(self) -> None:
        if self.status not in (Status.created, Status.running):
            raise RuntimeError(f"the cluster {self.name} is {self.status.name}; make a new one")
        if self.status == Status.running:
            return
        self.status = Status.starting
        self._lock = asyncio.Lock()
        try:
            await self._start_scheduler()
            # A scheduler in another process comes up while the workers do.
            await run_together([self._scheduler_up(), self._correct_state_internal()])
            await super()._start()
        except BaseException:
            await self._close()
            raise
        self._spawn(self._follow_scheduler(self.scheduler))

    async def _start_scheduler(self) -> None:
        if self.scheduler_spec is None:
            self.scheduler_spec = {"cls": _SCHEDULER}
        cls = class_of(self.scheduler_spec["cls"])
        scheduler = cls(**self.scheduler_spec.get("options", {}))
        self.scheduler = scheduler
        await scheduler
        security = self.security or Security()
        address = getattr(scheduler, "external_address", None) or scheduler.address
        self.scheduler_comm = rpc(
            address, connection_args=security.get_connection_args("client", "scheduler")
        )

    async def _scheduler_up(self) -> None:
        if hasattr(self.scheduler, "up"):
            await self.scheduler.up()

    async def _follow_scheduler(self, scheduler: Any) -> None:
        """Close the cluster when its scheduler closes by itself: idle for long, or shut down."""
        await scheduler.finished()
        if self.status == Status.running:
            self._log("the scheduler closed")
            await self._close()

    async def _close(self) -> None:
        if self.status == Status.closing:
            while self.status != Status.closed:  # another task closes it
                await asyncio.sleep(0.01)
        if self.status == Status.closed:
            return
        self.status = Status.closing
        self._stop_adapting()
        try:
            await self._end_tasks()
            self.worker_spec = {}
            workers, self.workers = list(self.workers.values()), {}
            await _settled([worker.close() for worker in workers])
            if self.scheduler is not None:
                await _settled([self.scheduler.close()])
        finally:
            await self._end_tasks()
            _open.pop(id(self), None)
            if self._silence is not None:
                self._silence.end()
            await super()._close()

    def _abandon(self) -> None:
        """Remove what stays behind of a cluster whose loop ended before anybody closed it."""

    async def _end_tasks(self) -> None:
        """Cancel what goes on beside and wait for it: what is being started is closed there."""
        current = asyncio.current_task()
        tasks = [task for task in self._tasks if task is not current]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # -- state -------------------------------------------------------------------------

    def _correct_state(self) -> asyncio.Task[None]:
        """Begin to start and close workers, as the specification says."""
        task = self._spawn(self._correct_state_internal())
        self._corrections.add(task)
        task.add_done_callback(self._corrections.discard)
        return task

    async def _settle(self) -> None:
        """Wait until there are the workers that were asked for, and no others."""
        while self._corrections:
            done, _ = await asyncio.wait(self._corrections)
            await self._look()
            for correction in done:
                correction.result()

    async def _correct_state_internal(self) -> None:
        assert self._lock is not None
        gone = set(self.workers) - set(self.worker_spec) - self._leaving
        leaving = [name for name in self.workers if name in gone]
        self._leaving |= gone
        try:
            async with self._lock:
                coming = [name for name in self.worker_spec if name not in self.workers]
                if coming and self.status in (Status.starting, Status.running):
                    await self._add(coming)
            # Without the lock: a worker may take long to leave, and others are to come meanwhile.
            if leaving:
                await self._retire(leaving)
        finally:
            self._leaving -= gone

    async def _retire(self, names: list[Any]) -> None:
        """Close workers, after their data moved to others."""
        if self.scheduler_comm is not None:
            try:
                await self._look()
                # A worker that is not there must not keep the data of the others from moving.
                known = self._known_to_scheduler(names)
                if known:
                    await self._hand_over(known)
            except Exception as error:
                logger.warning("Closing workers whose data could not be moved: %s", error)
        leaving = [self.workers.pop(name) for name in names if name in self.workers]
        await _settled([worker.close() for worker in leaving])

    async def _hand_over(self, names: list[Any]) -> None:
        """Have the scheduler move the data of workers to others, and close them."""
        assert self.scheduler_comm is not None
        limit = config.get_seconds("shoal.retire.timeout")
        async with asyncio.timeout(limit + _ANSWER):
            retired = await self.scheduler_comm.retire_workers(names=names)
        if isinstance(retired, dict) and len(retired) < len(names):
            moved = {str(worker["name"]) for worker in retired.values()}
            left = [str(name) for name in names if str(name) not in moved]
            logger.warning("Closing workers with data that did not move: %s", ", ".join(left))

    async def _add(self, names: list[Any]) -> None:
        workers = {}
        for name in names:
            spec = self.worker_spec[name]
            options = self._worker_options(name, dict(spec.get("options", {})))
            options.setdefault("name", name)
            workers[name] = class_of(spec["cls"])(self.scheduler.address, **options)
        self.workers.update(workers)
        try:
            await run_together([_started(worker) for worker in workers.values()])
        except BaseException:
            for name in workers:
                self.workers.pop(name, None)
                self.worker_spec.pop(name, None)
            await _settled([worker.close() for worker in workers.values()])
            raise
        for name, worker in workers.items():
            self._spawn(self._follow_worker(name, worker))

    async def _follow_worker(self, name: Any, worker: Any) -> None:
        """Forget a worker that closed by itself, or make it anew where that was the intention."""
        await worker.finished()
        if self.workers.get(name) is not worker:
            return
        del self.workers[name]
        if getattr(worker, "close_restart", False):
            self._log(f"worker {name} closed and is made anew")
            self._correct_state()
        else:
            self._log(f"worker {name} closed")
            self.worker_spec.pop(name, None)

    def _worker_options(self, name: Any, options: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of one worker, from those of its specification."""
        return options

    def _spawn(self, coroutine: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._spawned_done)
        return task

    def _spawned_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and self.status == Status.running:
            logger.error("Cluster %s: %s", self.name, task.exception())

    # -- scaling -----------------------------------------------------------------------

    def scale(self, n: int = 0, memory: str | int | None = None, cores: int | None = None) -> Any:
        """Have `n` workers, or as many as have this memory or these cores in all.

        Returns at once; workers come and go meanwhile (see `wait_for_workers`).

        Parameters
        ----------
        n : int
            Number of workers.
        memory : str or int, optional
            Memory of all workers together, such as ``"20 GB"``.
        cores : int, optional
            Threads of all workers together.
        """
        if memory is not None:
            n = max(n, math.ceil(parse_bytes(memory) / self._memory_per_worker()))
        if cores is not None:
            n = max(n, math.ceil(cores / self._threads_per_worker()))
        n = whole_number("the number of workers", n, 0)
        if len(self.worker_spec) > n:
            names = list(self.worker_spec)
            # Workers that did not come up yet go first, then the newest.
            names.sort(key=lambda name: name in self.workers)
            fresh = [name for name in names if name not in self.workers]
            old = [name for name in names if name in self.workers][::-1]
            for name in (fresh + old)[: len(names) - n]:
                del self.worker_spec[name]
        while len(self.worker_spec) < n:
            self.worker_spec.update(self.new_worker_spec())
        return self._correct_soon()

    def adapt(
        self,
        *,
        minimum: int | None = None,
        maximum: float | None = None,
        minimum_cores: int | None = None,
        maximum_cores: int | None = None,
        minimum_memory: str | int | None = None,
        maximum_memory: str | int | None = None,
        **kwargs: Any,
    ) -> Adaptive:
        """Have the number of workers follow the work from now on; see `Cluster.adapt`.

        Parameters
        ----------
        minimum, maximum : int, optional
            Fewest and most workers.
        minimum_cores, maximum_cores : int, optional
            The same in threads of all workers together.
        minimum_memory, maximum_memory : str or int, optional
            The same in memory of all workers together, such as ``"20 GB"``.
        **kwargs
            Of `Cluster.adapt`.
        """
        least = [minimum] if minimum is not None else []
        most = [maximum] if maximum is not None else []
        if minimum_cores is not None:
            least.append(math.ceil(minimum_cores / self._threads_per_worker()))
        if minimum_memory is not None:
            least.append(math.ceil(parse_bytes(minimum_memory) / self._memory_per_worker()))
        if maximum_cores is not None:
            most.append(math.floor(maximum_cores / self._threads_per_worker()))
        if maximum_memory is not None:
            most.append(math.floor(parse_bytes(maximum_memory) / self._memory_per_worker()))
        return super().adapt(
            minimum=max(least) if least else None,
            maximum=min(most) if most else None,
            **kwargs,
        )

    def scale_up(self, n: int = 0, memory: Any = None, cores: int | None = None) -> Any:
        """Have `n` workers; the same as `scale`."""
        return self.scale(n, memory, cores)

    def scale_down(self, workers: Iterable[Any]) -> Any:
        """Close the workers of these names."""
        for name in workers:
            self.worker_spec.pop(self._spec_name(name), None)
        return self._correct_soon()

    def _correct_soon(self) -> Any:
        if self.asynchronous:
            self._correct_state()
        else:
            self.loop.call_soon_threadsafe(self._correct_state)
        return NoOpAwaitable() if self.asynchronous else None

    def new_worker_spec(self) -> dict[Any, dict[str, Any]]:
        """Return name and specification of one more worker."""
        if self.new_spec is None:
            raise ValueError("this cluster cannot be scaled up: it was made without worker={...}")
        name = self._new_worker_name(self._i)
        while name in self.worker_spec or name in self.workers:
            self._i += 1
            name = self._new_worker_name(self._i)
        self._i += 1
        return {name: copy.copy(self.new_spec)}

    def _new_worker_name(self, worker_number: int) -> Any:
        """Return the name of a new worker; subclasses may choose others."""
        return worker_number

    def _spec_name(self, name: Any) -> Any:
        for candidate, spec in self.worker_spec.items():
            if str(name) == str(candidate):
                return candidate
            if name in [f"{candidate}{suffix}" for suffix in spec.get("group", ())]:
                return candidate
        return name

    def _closable(self, names: list[Any]) -> list[Any]:
        """Leave out workers of which others in their group are to stay: they close together."""
        given = {str(name) for name in names}
        whole: list[Any] = []
        for name in names:
            spec = self._spec_name(name)
            if all(str(member) in given for member in self._expand([spec])):
                whole.append(name)
        return whole

    async def _look(self) -> None:
        await super()._look()
        if not self.scheduler_info["workers"]:
            return  # the scheduler does not answer, or all are gone: it may have been it
        lost = self._lost.look(self.workers, self._known_to_scheduler)
        if self.status == Status.running:
            for name in lost:
                self._spawn(self._replace(name))

    async def _replace(self, name: Any) -> None:
        """Close what was to be a worker and is none any more, and make another."""
        worker = self.workers.get(name)
        if worker is None or name in self._leaving:
            return
        self._log(f"worker {name} is gone from the scheduler; another is made")
        logger.warning("Worker %s of %s is lost; making another", name, self.name)
        del self.workers[name]
        await _settled([worker.close()])
        self._correct_state()

    def _known_to_scheduler(self, specs: Iterable[Any]) -> list[Any]:
        """Return which of these workers are up; an object with a group of suffixes has several."""
        up = {str(worker["name"]) for worker in self.scheduler_info["workers"].values()}
        names: list[Any] = []
        for name in specs:
            if str(name) in up:
                names.append(name)
            else:
                names += sorted(each for each in up if each.startswith(f"{name}-"))
        return names

    @property
    def observed(self) -> set[Any]:
        """Names of workers that the scheduler knows, those of the specification as they are there.

        A name is the same as its text: a worker that was started by a command as ``"0"`` is 0 here.
        """
        given = {str(name): name for name in self.plan | self.requested}
        return {given.get(str(name), name) for name in super().observed}

    def _threads_per_worker(self) -> int:
        if self.new_spec is None:
            raise ValueError("this cluster was made without worker={...}: give scale(n)")
        options = self.new_spec.get("options", {})
        threads = options.get("nthreads") or options.get("cores")
        if not threads:
            raise ValueError("the threads of a worker are not known here: give scale(n)")
        return int(threads)

    def _memory_per_worker(self) -> int:
        if self.new_spec is None:
            raise ValueError("this cluster was made without worker={...}: give scale(n)")
        limit = self.new_spec.get("options", {}).get("memory_limit")
        if not limit or limit == "auto":
            raise ValueError("the memory of a worker is not known here: give scale(n)")
        return int(parse_bytes(limit))

    @property
    def requested(self) -> set[Any]:
        """Names of workers that were asked for and exist, up or not."""
        return self._expand(self.workers)

    @property
    def plan(self) -> set[Any]:
        """Names of workers that there shall be."""
        return self._expand(self.worker_spec)

    def _expand(self, names: Iterable[Any]) -> set[Any]:
        found: set[Any] = set()
        for name in names:
            group = self.worker_spec.get(name, {}).get("group")
            found |= {f"{name}{suffix}" for suffix in group} if group else {name}
        return found


async def _started(worker: Any) -> None:
    await worker


async def _settled(coroutines: list[Any]) -> None:
    """Run coroutines at once and wait for all; their errors are no reason to stop closing."""
    for result in await asyncio.gather(*coroutines, return_exceptions=True):
        if isinstance(result, Exception):
            logger.warning("closing: %s: %s", type(result).__name__, result)


@atexit.register
def _close_all() -> None:
    """Close what the user did not; runs before the loop's own exit handler."""
    for made_by, cluster in list(_open.values()):
        if made_by != os.getpid() or not cluster.shutdown_on_close:
            continue
        if cluster._asynchronous:
            cluster._abandon()
            continue
        try:
            cluster.close(timeout=_EXIT_TIMEOUT)
        except Exception as error:
            logger.warning("the cluster %s did not close cleanly: %s", cluster.name, error)
