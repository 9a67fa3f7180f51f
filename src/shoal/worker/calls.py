"""The core's effects in a worker's process, besides messages, values, runs and the timer."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from dask.utils import format_bytes

from shoal._base.versions import own_versions
from shoal._base.worker_names import shown_name
from shoal.comm.addressing import get_address_host
from shoal.comm.base import Listener
from shoal.comm.passages import answer_call
from shoal.comm.rpc import ConnectionPool
from shoal.comm.sockets import SocketListener
from shoal.comm.status import Status
from shoal.errors import NoMemoryError
from shoal.wire.messages import RegisterWorker
from shoal.worker.core import Fetch, Interrupted, Outcomes, Registration, Revoked, TaskRun
from shoal.worker.core.events import Event
from shoal.worker.executor.run import failed
from shoal.worker.memory_watch import MemoryWatch
from shoal.worker.plugins import WorkerPlugins
from shoal.worker.store.store import Store

__all__ = ["ShellCalls"]

logger = logging.getLogger("shoal.worker")


class Host(Protocol):
    """The parts of a worker that are needed here."""

    id: str
    name: Any
    scheduler_address: str
    rpc: ConnectionPool
    nthreads: int
    memory_limit: int
    resources: dict[str, float]
    nanny: str | None
    local_directory: str
    status: Status
    introduction: dict[str, Any]
    plugin_host: WorkerPlugins
    store: Store
    memory_watch: MemoryWatch

    @property
    def service_ports(self) -> dict[str, int]:
        """The ports of what else it serves."""

    @property
    def address(self) -> str:
        """The address at which others reach it."""

    @property
    def listener(self) -> Listener | None:
        """The listener, once there is one."""

    def feed(self, event: Event, /) -> None:
        """Give its core an event."""

    async def leave(self, reason: str, restart: bool = False) -> None:
        """The same, in a short time."""

    async def close_gracefully(self, restart: bool | None = None, reason: str = "") -> None:
        """Have the scheduler move its data, then close."""

    def background(self, coroutine: Coroutine[Any, Any, Any], /) -> Any:
        """Run a coroutine beside."""


class ShellCalls:
    """The real worker's `shoal.worker.applier.Calls`.

    Parameters
    ----------
    worker : Host
        Whose process it is.
    fetch : callable
        A coroutine function that gets values from a peer.
    close : callable
        Called with a reason and whether to restart, when the worker is to close.
    lifetime_left : callable
        Returns how many seconds the worker has to live, None for any number.
    """

    def __init__(
        self,
        worker: Host,
        *,
        fetch: Callable[[Fetch], Coroutine[Any, Any, None]],
        close: Callable[[str, bool], None],
        lifetime_left: Callable[[], float | None],
    ) -> None:
        self.close = close
        self.registered_once = False
        self._worker = worker
        self._get = fetch
        self._lifetime_left = lifetime_left

    def introduce(self, known: Registration) -> RegisterWorker:
        """Return what the worker says of itself."""
        worker = self._worker
        reconnect, self.registered_once = self.registered_once, True
        return RegisterWorker(
            address=worker.address,
            name=shown_name(worker.name),
            nthreads=worker.nthreads,
            memory_limit=worker.memory_limit,
            resources=worker.resources,
            pid=os.getpid(),
            host=_host(worker.address),
            nanny=worker.nanny,
            status=known.status,
            server_id=worker.id,
            versions=own_versions(),
            local_directory=worker.local_directory,
            services=worker.service_ports,
            reconnect=reconnect,
            lifetime=self._lifetime_left(),
            held=known.held,
            held_nbytes=known.held_nbytes,
            held_types=known.held_types,
            running=known.running,
            running_runs=known.running_runs,
            held_lives=known.held_lives,
            running_lives=known.running_lives,
            extra={**worker.introduction, "plugins": worker.plugin_host.change},
        )

    def took_back(self, answer: Revoked) -> None:
        """Tell the core what the executor took back."""
        self._worker.feed(answer)

    def stopped(self, answer: Interrupted) -> None:
        """Tell the core what the executor stopped."""
        self._worker.feed(answer)

    def fetch(self, fetch: Fetch) -> None:
        """Get values from a peer, beside."""
        self._worker.background(self._get(fetch))

    def call_back(self, token: str) -> None:
        """Open a connection to the scheduler, and answer on it."""
        self._worker.background(self._call_back(token))

    async def _call_back(self, token: str) -> None:
        worker = self._worker
        listener = worker.listener
        if not isinstance(listener, SocketListener):
            return
        try:
            await answer_call(
                worker.scheduler_address,
                worker.address,
                token,
                listener,
                worker.rpc.connection_args,
            )
        except OSError as error:
            logger.warning("the scheduler called, and a connection to it cannot be made: %s", error)

    def paused(self) -> None:
        """Show that no run begins."""
        self._worker.status = Status.paused
        worker = self._worker
        logger.warning(
            "Worker %s is paused: too much memory in use. Of its limit of %s it holds %s of "
            "results in memory and %s on disk",
            worker.name,
            format_bytes(worker.memory_limit),
            format_bytes(worker.store.memory_bytes),
            format_bytes(worker.store.disk_bytes),
        )

    def resumed(self) -> None:
        """Show that runs begin again."""
        self._worker.status = Status.running
        logger.warning("Worker %s is running again", self._worker.name)

    def leave(self, reason: str) -> None:
        """Hand over the data and have the nanny start another process; say so where none is."""
        worker = self._worker
        if worker.nanny is None:
            logger.error(
                "Worker %s: %s. No nanny restarts it: free its memory, or start another instead",
                worker.name,
                reason,
            )
            return
        logger.warning("Worker %s leaves for a new process: %s", worker.name, reason)
        worker.background(worker.close_gracefully(restart=True, reason=reason))

    def replace(self, reason: str) -> None:
        """Hand over the data soon, and have the nanny start another process; say so."""
        worker = self._worker
        if worker.nanny is None:
            logger.warning(
                "Worker %s: %s. No nanny replaces its process, so the code runs on in a thread "
                "that nobody waits for",
                worker.name,
                reason,
            )
            return
        logger.warning("Worker %s makes room for a new process: %s", worker.name, reason)
        worker.background(worker.leave(reason, restart=True))

    def refuse(self, task: TaskRun, reason: str) -> None:
        """Have a run fail."""
        self._worker.feed(Outcomes([failed(task, NoMemoryError(reason), None)]))

    def evict(self, nbytes: int, in_use: frozenset[str], spare: list[str]) -> None:
        """Write values to disk, on a thread."""
        self._worker.memory_watch.evict(nbytes, in_use, spare)

    def reclaim(self, how: str) -> None:
        """Give free memory back to the system, on a thread."""
        self._worker.memory_watch.reclaim(how)


def _host(address: str) -> str:
    host = get_address_host(address)
    return socket.gethostname() if host in ("localhost", "") else host
