"""A worker's attributes, by the documented names."""

from __future__ import annotations

import importlib
import os
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from shoal import task_context
from shoal._base.keys import decode_key
from shoal.comm.rpc import PooledRPC
from shoal.preloading import Preloads
from shoal.worker.context import WorkerContext
from shoal.worker.core.invariants import check
from shoal.worker.views.memory import WorkerMemoryManager
from shoal.worker.views.state import WorkerState

if TYPE_CHECKING:
    from shoal.comm.stream_messages import Outbox

__all__ = ["WorkerAttributes"]


class WorkerAttributes(WorkerContext):
    """The part of `Worker` that tasks, plugins and monitoring read."""

    _own_executors: dict[str, Executor] | None = None

    @property
    def services(self) -> dict[str, Any]:
        """Its other servers: the pages are ``"dashboard"``, an object with a `port`."""
        http = self.pages.http
        return {} if http is None else {"dashboard": http}

    @property
    def http_server(self) -> Any:
        """The server of its pages, an object with a `port`; None where there are none."""
        return self.pages.http

    # -- the scheduler and other workers ---------------------------------------------------

    @property
    def worker_address(self) -> str:
        """The address."""
        return self.address

    @property
    def contact_address(self) -> str:
        """The address that others are told."""
        return self.address

    @property
    def scheduler(self) -> PooledRPC:
        """Calls operations of the scheduler: ``await worker.scheduler.identity()``."""
        return self.rpc(self.scheduler_address)

    @property
    def client(self) -> Any:
        """The client of the tasks of this worker, made when it is first asked for."""
        return importlib.import_module("shoal.client.in_task.task_client").client_of(self)

    @property
    def batched_stream(self) -> Outbox:
        """Takes messages to the scheduler's `stream_handlers`: ``send({"op": name, ...})``.

        A handler gets the fields of the message, and `worker`, the address of this one.
        """
        return self.outbox.to(self.scheduler_address)

    def batched_send(self, msg: dict[str, Any]) -> None:
        """Send a message to one of the scheduler's `stream_handlers`."""
        self.batched_stream.send(msg)

    @property
    def latency(self) -> float:
        """Seconds that a question to the scheduler took when this worker joined."""
        return self.report.latency

    @property
    def heartbeat_interval(self) -> float:
        """Seconds between two words to the scheduler on how this worker is."""
        return self.report.interval

    @property
    def death_timeout(self) -> float | None:
        """Seconds after which it closes when it finds no scheduler; None: never."""
        return self._death_timeout

    # -- tasks -----------------------------------------------------------------------------

    @property
    def state(self) -> WorkerState:
        """All tasks and data."""
        return WorkerState(self)

    def get_current_task(self) -> Any:
        """Return the key of the task that runs here: in tasks only.

        Raises
        ------
        ValueError
            Outside of tasks.

        Examples
        --------
        >>> def f():
        ...     return get_worker().get_current_task()
        >>> client.submit(f, key="f").result()  # doctest: +SKIP
        'f'
        """
        context = task_context.current_task()
        if context is None or context.key is None:
            raise ValueError("get_current_task() works only in tasks that run on a worker")
        return decode_key(context.key)

    @property
    def active_keys(self) -> set[Any]:
        """The keys of the tasks that run, those that seceded included."""
        return {decode_key(task.key) for task in self.pool.running.copy()}

    @property
    def active_threads(self) -> dict[int, Any]:
        """The keys of the tasks that run, by the thread on which each does."""
        at_work = self.pool.at_work.copy()
        return {thread: decode_key(at.task.key) for thread, at in at_work.items() if at.task}

    @property
    def threads(self) -> dict[Any, int]:
        """The threads of the tasks that run, by key."""
        return {key: thread for thread, key in self.active_threads.items()}

    @property
    def executors(self) -> dict[str, Executor]:
        """Executors by name.

        Executors that were given to the worker run tasks that ask for them. ``"default"`` and
        ``"offload"`` are for others' calls here: tasks run on threads of the worker's own.
        """
        if self._own_executors is None:
            pid = os.getpid()
            self._own_executors = {
                "default": ThreadPoolExecutor(
                    self.nthreads, thread_name_prefix=f"Dask-Default-Threads-Aside-{pid}"
                ),
                "offload": ThreadPoolExecutor(1, thread_name_prefix=f"Dask-Offload-{pid}"),
            }
        return {**self._own_executors, **self._executors}

    @property
    def executor(self) -> Executor:
        """The executor of the name ``"default"``."""
        return self.executors["default"]

    def _shut_executors(self) -> None:
        for executor in (self._own_executors or {}).values():
            executor.shutdown(wait=False, cancel_futures=True)

    @property
    def preloads(self) -> Preloads:
        """The users' modules that ran at the start."""
        return self._preloads

    def validate_state(self) -> None:
        """Check the whole state; an `AssertionError` says what does not fit."""
        check(self.machine)

    # -- memory ----------------------------------------------------------------------------

    @property
    def memory_manager(self) -> WorkerMemoryManager:
        """The limits of its memory."""
        return WorkerMemoryManager(self)

    # -- transfers -------------------------------------------------------------------------

    @property
    def transfer_incoming_log(self) -> deque[dict[str, Any]]:
        """The latest transfers from other workers."""
        return self.transfers.incoming.log

    @property
    def transfer_outgoing_log(self) -> deque[dict[str, Any]]:
        """The latest transfers to other workers."""
        return self.transfers.outgoing.log

    @property
    def transfer_outgoing_count(self) -> int:
        """How many requests for data are being answered."""
        return self.transfers.outgoing.active

    @property
    def transfer_outgoing_count_total(self) -> int:
        """How many were answered."""
        return self.transfers.outgoing.count

    @property
    def transfer_outgoing_bytes_total(self) -> int:
        """How many bytes that were together."""
        return self.transfers.outgoing.nbytes

    @property
    def transfer_outgoing_bytes(self) -> int:
        """How many bytes the requests for data ask for that are being answered."""
        return self.transfers.outgoing.active_bytes

    @property
    def transfer_outgoing_count_limit(self) -> None:
        """How many requests for data are answered at once: any number.

        Values in flight are limited in bytes (``distributed.worker.memory.transfer``).
        """
        return None

    @property
    def bandwidth_types(self) -> dict[str, float]:
        """Bytes a second that came from other workers, by the type of the values."""
        return self.transfers.incoming.bandwidths_by_kind()

    @property
    def bandwidth_workers(self) -> dict[str, float]:
        """Bytes a second that came from other workers, by address; of large transfers."""
        return self.transfers.incoming.bandwidths()

    @property
    def bandwidth(self) -> float:
        """Bytes a second that came from other workers; before there were any, what is assumed."""
        return self.report.bandwidth()

    # -- life ------------------------------------------------------------------------------

    @property
    def lifetime(self) -> float | None:
        """Seconds after which it retires; None: never."""
        return self._lifetime.seconds

    @property
    def lifetime_restart(self) -> bool:
        """Whether the nanny starts another worker then."""
        return self._lifetime.restart

    async def wait_until_closed(self) -> None:
        """Wait until it has closed."""
        await self.finished()

    @property
    def metrics(self) -> dict[str, Callable[[Any], Any]]:
        """Functions that are called with the worker before each heartbeat, by name: what they
        return is in ``WorkerState.metrics`` at the scheduler.
        """
        return self.report.metrics

    @property
    def startup_information(self) -> dict[str, Callable[[Any], Any]]:
        """Functions that are called with the worker when it joins, by name: what they return is
        in ``WorkerState.extra`` at the scheduler.
        """
        return self.report.startup_information

    @property
    def low_level_profiler(self) -> bool:
        """Whether frames of C are sampled: they never are."""
        return False

    @property
    def profile_recent(self) -> Mapping[str, Any]:
        """Where tasks spent their time lately."""
        return self.profiler.collect(None, None, None, False)
