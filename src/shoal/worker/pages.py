"""A worker's pages over HTTP, and where the scheduler's are. Their contents are a layer above."""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any, Protocol

from shoal.diagnostics.garbage import count_collections
from shoal.diagnostics.links import member_link
from shoal.diagnostics.loop_watch import LoopWatch

if TYPE_CHECKING:
    from shoal.comm.rpc import ConnectionPool
    from shoal.security import Security

__all__ = ["WorkerPages"]

logger = logging.getLogger("shoal.worker")


class Host(Protocol):
    """The parts of a worker that are needed here."""

    rpc: ConnectionPool
    scheduler_address: str
    security: Security
    dashboard_link: str


class WorkerPages:
    """The pages of a worker for visitors, where it has any.

    Parameters
    ----------
    worker : Host
        Whose.
    place : str, int or None
        Where; nowhere by default.
    prefix : str or None
        The prefix of all paths.

    Attributes
    ----------
    http : object or None
        The server, an object with a `port`.
    loop_watch : LoopWatch
        How late the worker's loop is.
    """

    def __init__(self, worker: Host, place: str | int | None, prefix: str | None) -> None:
        self._worker = worker
        self._place, self._prefix = place, prefix or ""
        self.http: Any = None
        self.loop_watch = LoopWatch()

    def open(self) -> None:
        """Begin to listen, on the running loop."""
        count_collections()
        if self._place is not None:
            # By name, as it is a layer above.
            module = importlib.import_module("shoal.http.lazy_server")
            routes = "shoal.http.worker_routes"
            self.http = module.LazyHttpServer(self._worker, self._place, self._prefix, routes)
            logger.info("Pages of the worker at: %s:%d", self.http.host, self.http.port)

    async def close(self) -> None:
        """Listen no more."""
        self.loop_watch.stop()
        if self.http is not None:
            await self.http.close()

    async def find_those_of_scheduler(self) -> None:
        """Learn where the scheduler's pages are, for those who look at this worker."""
        worker = self._worker
        try:
            scheduler = await worker.rpc(worker.scheduler_address).identity(n_workers=0)
        except Exception as error:
            logger.debug("The scheduler does not say where its pages are: %s", error)
        else:
            worker.dashboard_link = member_link(scheduler, worker.security.secret)
