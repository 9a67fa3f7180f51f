"""The interface of every kind of cluster: address, workers, logs, a client, and a clean end."""

from __future__ import annotations

import asyncio
import datetime
import importlib
import inspect
import logging
import uuid
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from dask.utils import format_bytes, parse_timedelta

from shoal._base.loop import LoopRunner, SyncMethodMixin, is_inherited
from shoal._base.numbers import whole_number
from shoal.comm.page_tokens import without_token
from shoal.core import Status, rpc
from shoal.deploy.adaptive import Adaptive as _Adaptive
from shoal.deploy.logs import Log, Logs
from shoal.diagnostics.links import member_link
from shoal.diagnostics.reprs import card, facts_of_workers, workers_table
from shoal.errors import WorkerStartTimeoutError
from shoal.security import Security

if TYPE_CHECKING:
    from shoal.client.client import Client

__all__ = ["Cluster"]

logger = logging.getLogger("shoal.deploy")

C = TypeVar("C", bound="Cluster")
_NO_WORKERS: dict[str, Any] = {"workers": {}}


class Cluster(SyncMethodMixin):
    """Base of cluster objects.

    Subclasses start scheduler and workers in `_start` after setting ``scheduler_comm``, and end
    them in `_close`; both call the methods of this class.

    Parameters
    ----------
    asynchronous : bool
        Whether methods are awaited.
    loop : event loop, optional
        Loop to live on.
    quiet : bool
        Accepted for compatibility.
    name : str, optional
        Name of the cluster.
    scheduler_sync_interval : float
        Seconds between two looks at the scheduler's workers.
    """

    _supports_scaling = True
    _adaptive: _Adaptive | None = None

    def __init__(
        self,
        asynchronous: bool = False,
        loop: Any = None,
        quiet: bool = False,
        name: str | None = None,
        scheduler_sync_interval: float | str = 1,
    ) -> None:
        self._loop_runner = LoopRunner(loop=loop, asynchronous=asynchronous)
        self._asynchronous = asynchronous
        self.quiet = quiet
        self.name = name or uuid.uuid4().hex[:8]
        self.scheduler_comm: rpc | None = None
        self.scheduler_info: dict[str, Any] = dict(_NO_WORKERS)
        self.security: Security | None = getattr(self, "security", None)
        self.shutdown_on_close: bool = getattr(self, "shutdown_on_close", True)
        self.status = Status.created
        self._interval = float(parse_timedelta(scheduler_sync_interval))
        self._watcher: asyncio.Task[None] | None = None
        self._manager_log: list[tuple[datetime.datetime, str]] = []

    # -- life ----------------------------------------------------------------------

    @property
    def _name(self) -> str:
        # Published subclasses read and set it: dask-jobqueue, dask-cloudprovider.
        return self.name

    @_name.setter
    def _name(self, name: str) -> None:
        self.name = name

    @property
    def called_from_running_loop(self) -> bool:
        """Whether this is code that runs on the cluster's own event loop."""
        running = asyncio._get_running_loop()
        return self._asynchronous or (running is not None and running is self._loop_runner._loop)

    async def _start(self) -> None:
        if self.scheduler_comm is not None:
            await self._look()
            self._watcher = asyncio.create_task(self._keep_looking())
        self.status = Status.running

    async def _close(self) -> None:
        if self.status == Status.closed:
            return
        self._stop_adapting()
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.wait([self._watcher])
        if self.scheduler_comm is not None:
            await self.scheduler_comm.close_rpc()
        self.scheduler_info = dict(_NO_WORKERS)
        self.status = Status.closed

    def close(self, timeout: float | None = None) -> Any:
        """Close workers and scheduler.

        Parameters
        ----------
        timeout : float, optional
            Seconds after which to stop waiting for that.
        """
        if self.status == Status.closed or is_inherited(self.loop.asyncio_loop):
            return _nothing() if self.asynchronous else None
        result = self.sync(self._close, callback_timeout=timeout)
        if not self.asynchronous:
            self._loop_runner.stop()
        return result

    def __enter__(self: C) -> C:
        if self._asynchronous:
            raise RuntimeError(f"write 'async with {type(self).__name__}(asynchronous=True)'")
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def _settle(self) -> None:
        """Wait until what was asked of the cluster so far is done."""

    def __await__(self: C) -> Generator[Any, None, C]:
        async def started() -> C:
            if self.status == Status.created:
                await self._start()
            await self._settle()
            return self

        return started().__await__()

    async def __aenter__(self: C) -> C:
        return await self

    async def __aexit__(self, *exc: object) -> None:
        await self._close()

    # -- scaling -------------------------------------------------------------------

    def scale(self, n: int) -> Any:
        """Ask for `n` workers in all."""
        raise TypeError(f"a {type(self).__name__} cannot be scaled")

    def scale_down(self, workers: Iterable[Any]) -> Any:
        """Close the workers of these names."""
        raise TypeError(f"a {type(self).__name__} cannot be scaled")

    def adapt(
        self,
        *,
        minimum: int | None = None,
        maximum: float | None = None,
        interval: float | str | None = None,
        wait_count: int | None = None,
        target_duration: float | str | None = None,
        Adaptive: Callable[..., _Adaptive] = _Adaptive,
        **kwargs: Any,
    ) -> _Adaptive:
        """Have the number of workers follow the work from now on.

        Workers that are closed give their data to others first. A second call takes the place of
        the first.

        Parameters
        ----------
        minimum, maximum : int, optional
            Fewest and most workers; configuration ``distributed.adaptive``, like all the others.
        interval : float or str, optional
            Time between two decisions.
        wait_count : int, optional
            How often in a row a worker must be found to be too much before it is closed.
        target_duration : float or str, optional
            In what time the work that is ready should be done.
        Adaptive : type
            The subclass of `shoal.Adaptive` that decides.
        **kwargs
            More arguments of that class.

        Returns
        -------
        Adaptive
            The policy that decides; its `stop` ends it.
        """
        given = {
            "minimum": minimum,
            "maximum": maximum,
            "interval": interval,
            "wait_count": wait_count,
            "target_duration": target_duration,
        }
        kwargs.update((name, value) for name, value in given.items() if value is not None)
        self._stop_adapting()
        self._adaptive = Adaptive(self, **kwargs)
        return self._adaptive

    def _stop_adapting(self) -> None:
        if self._adaptive is not None:
            self._adaptive.stop()
            self._adaptive = None

    def _closable(self, names: list[Any]) -> list[Any]:
        """Return those names that can be closed when all these are."""
        return names

    @property
    def requested(self) -> set[Any]:
        """Names of workers that were asked for."""
        return {worker["name"] for worker in self.scheduler_info["workers"].values()}

    @property
    def plan(self) -> set[Any]:
        """Names of workers that there shall be."""
        return self.requested

    @property
    def observed(self) -> set[Any]:
        """Names of workers that the scheduler knows."""
        return {worker["name"] for worker in self.scheduler_info["workers"].values()}

    def wait_for_workers(self, n_workers: int = 1, timeout: float | str | None = None) -> Any:
        """Wait until there are at least `n_workers`.

        Raises
        ------
        WorkerStartTimeoutError
            When they do not come within `timeout` seconds.
        """
        n_workers = whole_number("n_workers", n_workers, 1)
        return self.sync(self._wait_for_workers, n_workers, parse_timedelta(timeout))

    async def _wait_for_workers(self, n_workers: int, timeout: float | None) -> None:
        clock = asyncio.get_running_loop().time
        deadline = None if timeout is None else clock() + timeout
        pause = 0.005
        while True:
            await self._look()
            found = len(self.scheduler_info["workers"])
            if found >= n_workers:
                return
            if self.status not in (Status.created, Status.starting, Status.running):
                raise RuntimeError(f"{self.name} is {self.status.name}; no workers will come")
            if deadline is not None and clock() + pause > deadline:
                raise WorkerStartTimeoutError(found, n_workers, float(timeout or 0))
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.2)

    # -- attributes -------------------------------------------------------------------

    async def _look(self) -> None:
        """Ask the scheduler for its workers; while it does not answer, there are none known."""
        if self.scheduler_comm is None:
            return
        try:
            async with asyncio.timeout(5):
                self.scheduler_info = await self.scheduler_comm.identity()
        except (OSError, TimeoutError, RuntimeError) as error:
            logger.debug("the scheduler does not answer: %s", error)
            self.scheduler_info = dict(_NO_WORKERS)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self._look()
            if self.scheduler_info.get("scale_request") is not None and self._supports_scaling:
                await self._scale_as_asked()

    async def _scale_as_asked(self) -> None:
        """Scale as a viewer of the dashboard asked for, where the configuration lets one ask."""
        assert self.scheduler_comm is not None
        try:
            wanted = await self.scheduler_comm.take_scale_request()
            if wanted is None:
                return  # another cluster object of the same scheduler took it
            self._stop_adapting()
            logger.info("scale to %d workers, asked for on the dashboard", wanted)
            scaled = self.scale(wanted)
            if inspect.isawaitable(scaled):
                await scaled
        except Exception as error:
            logger.warning("the cluster was not scaled as asked for on the dashboard: %s", error)

    @property
    def scheduler_address(self) -> str:
        """Address of the scheduler; a text that says so where there is none yet."""
        return self.scheduler_comm.address if self.scheduler_comm is not None else "<Not Connected>"

    @property
    def dashboard_link(self) -> str:
        """Web address of the scheduler's pages; empty where there are none."""
        secret = self.security.secret if isinstance(self.security, Security) else None
        return member_link(self.scheduler_info, secret)

    @classmethod
    def from_name(cls, name: str) -> Cluster:
        """Return an object for a cluster that runs already; of classes that can find one.

        Raises
        ------
        TypeError
            By classes that cannot.
        """
        raise TypeError(
            f"a {cls.__name__} cannot be found by its name {name!r}: connect with its address, "
            "Client(address)"
        )

    def get_client(self, asynchronous: bool | None = None, **kwargs: Any) -> Client:
        """Return a new client of this cluster.

        Parameters
        ----------
        asynchronous : bool, optional
            Whether it is used from coroutines; as the cluster by default.
        **kwargs
            More arguments of `Client`.
        """
        if asynchronous is None:
            asynchronous = self._asynchronous
        # By name: clients can make clusters, so neither module can import the other.
        module = importlib.import_module("shoal.client.client")
        client: Client = module.Client(self, asynchronous=asynchronous, **kwargs)
        return client

    def _log(self, text: str) -> None:
        self._manager_log.append((datetime.datetime.now(), text))
        logger.info("%s: %s", self.name, text)

    def get_logs(self, cluster: bool = True, scheduler: bool = True, workers: Any = True) -> Any:
        """Return the logs of the cluster, its scheduler, and its workers.

        Parameters
        ----------
        cluster, scheduler : bool
            Whether to include these.
        workers : bool or list of str
            Whether to include the workers', or the addresses of those wanted.

        Returns
        -------
        dict
            Text by name: ``"Cluster"``, ``"Scheduler"``, and the addresses of workers.
        """
        return self.sync(self._get_logs, cluster=cluster, scheduler=scheduler, workers=workers)

    async def _get_logs(self, cluster: bool, scheduler: bool, workers: Any) -> Logs:
        logs = Logs()
        if cluster:
            logs["Cluster"] = Log("\n".join(f"{when} {text}" for when, text in self._manager_log))
        if self.scheduler_comm is None:
            return logs
        if scheduler:
            logs["Scheduler"] = _as_log(await self.scheduler_comm.logs())
        if workers:
            chosen = None if workers is True else list(workers)
            found = await self.scheduler_comm.broadcast(msg={"op": "logs"}, workers=chosen)
            logs.update({address: _as_log(lines) for address, lines in found.items()})
        return logs

    def __reduce__(self) -> Any:
        raise TypeError(
            f"there is a {type(self).__name__} in it, and that cannot be pickled: use its "
            "scheduler_address where others are to connect to it"
        )

    def __repr__(self) -> str:
        workers = self.scheduler_info.get("workers", {}).values()
        text = (
            f"{type(self).__name__}({self.name}, {self.scheduler_address!r}, "
            f"workers={len(workers)}, threads={sum(w['nthreads'] for w in workers)}"
        )
        limits = [w["memory_limit"] for w in workers]
        if limits and all(limits):
            text += f", memory={format_bytes(sum(limits))}"
        if self.dashboard_link:
            text += f", dashboard={without_token(self.dashboard_link)}"
        return text + ")"

    def _repr_html_(self) -> str:
        workers = self.scheduler_info.get("workers", {})
        facts = {
            "Name": self.name,
            "Scheduler": self.scheduler_address or self.status.value,
            "Dashboard": self.dashboard_link or None,
        }
        facts.update(facts_of_workers(workers))
        return card(type(self).__name__, facts, workers_table(workers))


def _as_log(newest_first: list[tuple[str, str]]) -> Log:
    return Log("\n".join(line for _, line in reversed(newest_first)))


async def _nothing() -> None:
    pass
