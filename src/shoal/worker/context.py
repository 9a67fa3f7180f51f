"""`WorkerContext`: the base of a worker, for its operations and for the documented methods.

`Worker` is made of classes that derive from this one, and hands itself to the functions of
`operations` and to its parts, so that none of them needs `Worker`. Nothing is done here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.diagnostics.server_attributes import ServerAttributes

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from concurrent.futures import Executor

    from shoal._base.logs import LogBuffer
    from shoal.comm.rpc import ConnectionPool
    from shoal.comm.stream_messages import Outboxes
    from shoal.preloading import Preloads
    from shoal.worker.actors import Actors
    from shoal.worker.core import Machine
    from shoal.worker.exchange import Exchange
    from shoal.worker.executor.pool import ThreadPool
    from shoal.worker.link import SchedulerLink
    from shoal.worker.pages import WorkerPages
    from shoal.worker.plugins import WorkerPlugins
    from shoal.worker.profiling import Profiler
    from shoal.worker.report import Report
    from shoal.worker.settings import Lifetime
    from shoal.worker.store import Store
    from shoal.worker.transfers import Transfers

__all__ = ["WorkerContext"]


class WorkerContext(ServerAttributes):
    """The worker as its operations and methods use it. `Worker` sets the attributes.

    Attributes
    ----------
    nthreads, memory_limit, resources, nanny, local_directory, scheduler_address
        Its arguments and its places.
    machine : Machine
        Its core.
    store : Store
        The values of results.
    pool : ThreadPool
        The threads that run tasks.
    exchange : Exchange
        Values on their way from and to other workers; `transfers` counts them.
    actors, plugin_host, profiler, report
        Its other parts.
    """

    nthreads: int
    memory_limit: int
    resources: dict[str, float]
    nanny: str | None
    local_directory: str
    scheduler_address: str
    log_buffer: LogBuffer
    machine: Machine
    store: Store
    data: MutableMapping[Any, Any]
    pool: ThreadPool
    exchange: Exchange
    transfers: Transfers
    actors: Actors
    plugin_host: WorkerPlugins
    profiler: Profiler
    report: Report
    pages: WorkerPages
    peers: ConnectionPool
    outbox: Outboxes
    _link: SchedulerLink | None
    _preloads: Preloads
    _lifetime: Lifetime
    _death_timeout: float | None
    _executors: dict[str, Executor]

    # The worker's methods, for what is built upon them.
    feed: Callable[..., None]
    memory: Callable[[], dict[str, int]]
    close_soon: Callable[..., None]
    say_how_it_is: Callable[[], Any]
    upload_file: Callable[..., Any]
    get_monitor_info: Callable[..., dict[str, Any]]

    def began_stream(self, token: Any) -> bool:
        """Whether this worker began a stream to a scheduler with this token."""
        return self._link is not None and self._link.began(token)
