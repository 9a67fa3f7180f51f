"""Methods of a scheduler that are about workers, by the documented names: for plugins, preloads and
functions that run in its process. The work is done in `operations`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, Literal

from shoal.scheduler.core.policies.estimates import load, transfer_time
from shoal.scheduler.core.policies.restrictions import allowed_workers
from shoal.scheduler.operations import functions, information, membership
from shoal.scheduler.views.attributes import SchedulerAttributes
from shoal.scheduler.views.client import ClientComm
from shoal.scheduler.views.downscaling import workers_to_close
from shoal.scheduler.views.named import Names, addresses
from shoal.wire import messages as m

if TYPE_CHECKING:
    from shoal.comm.stream_messages import Outbox
    from shoal.scheduler.views.task import TaskState
    from shoal.scheduler.views.worker import WorkerState

__all__ = ["WorkerMethods"]


class WorkerMethods(SchedulerAttributes):
    """A scheduler's methods that handle workers. Methods that ask workers are coroutines."""

    async def retire_workers(
        self,
        workers: Names = None,
        *,
        names: Names = None,
        close_workers: bool = False,
        remove: bool = True,
        stimulus_id: str = "",
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Empty workers, data first, and let them go; return what they were, by address.

        Parameters
        ----------
        workers, names : iterable, optional
            Addresses (or `WorkerState`), or names. By default those that `workers_to_close`
            returns.
        close_workers : bool
            Whether they are closed, once they are empty.
        remove : bool
            Whether they are taken out of the cluster, which closes them too. Without either they
            stay, empty, until somebody closes them.
        stimulus_id : str
            Taken for compatibility: the story names its own events.
        **kwargs
            For `workers_to_close`.
        """
        if workers is None and names is None:
            workers = self.workers_to_close(**kwargs)
        elif kwargs:
            raise TypeError(f"retire_workers() got {', '.join(kwargs)} beside workers= or names=")
        return await membership.retire_workers(
            self,
            workers=addresses(workers),
            names=addresses(names),
            close_workers=close_workers or remove,
            remove=remove,
        )

    def workers_to_close(
        self,
        memory_ratio: float | None = None,
        n: int | None = None,
        key: Callable[[WorkerState], Hashable] | bytes | None = None,
        minimum: int | None = None,
        target: int | None = None,
        attribute: str = "address",
    ) -> list[Any]:
        """Return workers that can be closed at little cost, the best first.

        They do nothing, and hold little; the memory of the others is enough.

        Parameters
        ----------
        memory_ratio : float, optional
            How many times the memory of those that stay is to exceed all results; 2 by default,
            where `n` and `target` are not given.
        n : int, optional
            How many to close at most; then also some that do something.
        key : callable, optional
            Returns the group that a `WorkerState` belongs to: groups are closed as a whole.
        minimum : int, optional
            How many stay at least.
        target : int, optional
            How many should stay.
        attribute : str
            The attribute to return of each, such as ``"name"``.
        """
        call: Any = key
        if isinstance(key, bytes):
            call = functions.open_pickle(key, "runs no functions of clients")
        return workers_to_close(self, memory_ratio, n, call, minimum, target, attribute)

    def adaptive_target(self, target_duration: Any = None) -> int:
        """Return how many workers would do the work that is there in about so many seconds.

        Parameters
        ----------
        target_duration : float or str, optional
            ``distributed.adaptive.target-duration`` by default.
        """
        return membership.adaptive_target(self, target_duration)

    async def remove_worker(
        self,
        address: str,
        *,
        stimulus_id: str = "",
        expected: bool = False,
        close: bool = True,
    ) -> Literal["OK", "already-removed"]:
        """Take a worker as gone; what it did is done elsewhere.

        Parameters
        ----------
        address : str
            Of the worker.
        stimulus_id : str
            Taken for compatibility.
        expected : bool
            True: no task is blamed for it.
        close : bool
            Whether it is told to close.
        """
        address = self.coerce_address(address)
        if address not in self.state.workers:
            return "already-removed"
        reason = "it was removed from the scheduler"
        if expected:
            self.expect_close(address)
        if close:
            self.worker_streams.send(address, [m.CloseWorker(reason)])
            await self.worker_streams.dismiss(address)
        if address in self.state.workers:
            self.lose_worker(address, reason)
        return "OK"

    async def restart(
        self,
        *,
        client: str | None = None,
        timeout: float = 30,
        wait_for_workers: bool = True,
        stimulus_id: str = "",
    ) -> None:
        """Forget all tasks and restart all workers; see `Client.restart`."""
        await membership.restart(self, timeout, wait_for_workers)

    async def restart_workers(
        self,
        workers: Names = None,
        client: str | None = None,
        timeout: float = 30,
        wait_for_workers: bool = True,
        on_error: Literal["raise", "return"] = "raise",
        stimulus_id: str = "",
    ) -> dict[str, Any]:
        """Have nannies start workers anew; see `Client.restart_workers`."""
        return await membership.restart_workers(self, addresses(workers), timeout, on_error)

    async def broadcast(
        self,
        *,
        msg: dict[str, Any],
        workers: Names = None,
        hosts: list[str] | None = None,
        nanny: bool = False,
        serializers: Any = None,
        on_error: str = "raise",
    ) -> dict[str, Any]:
        """Send a request to workers, or to their nannies; return the answers by address.

        Parameters
        ----------
        msg : dict
            The request, with its `op`.
        workers, hosts : list, optional
            Whom to ask; all by default.
        nanny : bool
            Whether to ask the nannies.
        serializers : object
            Taken for compatibility.
        on_error : {"raise", "return", "return_pickle", "ignore"}
            The treatment of workers that fail to answer.
        """
        return await membership.broadcast(self, msg, addresses(workers), hosts, nanny, on_error)

    async def proxy(self, msg: dict[str, Any], worker: str, serializers: Any = None) -> Any:
        """Send a request to one worker and return its answer."""
        return (await self.broadcast(msg=msg, workers=[worker]))[self.coerce_address(worker)]

    @property
    def stream_comms(self) -> dict[str, Outbox]:
        """Senders of messages to the `stream_handlers` of workers, by their addresses."""
        return {address: self.outbox.to(address) for address in self.state.workers}

    @property
    def client_comms(self) -> dict[str, ClientComm]:
        """The connections of clients by their ids."""
        return {id: ClientComm(id, stream) for id, stream in self.client_streams.items()}

    def worker_send(self, worker: str, msg: dict[str, Any]) -> None:
        """Send a message to one of the `stream_handlers` of a worker; it gets its fields.

        Parameters
        ----------
        worker : str
            The address.
        msg : dict
            With the name of the handler in `op`.
        """
        self.outbox.to(worker).send(msg)

    def workers_list(self, workers: Names) -> list[str]:
        """Return the addresses of workers that are named by address, name or host; all for None."""
        return [ws.address for ws in information.find_workers(self, addresses(workers))]

    def coerce_hostname(self, host: Any) -> str:
        """Return the host of a worker, given its name; any other text is a host already."""
        address = self.state.aliases.get(str(host))
        return str(host) if address is None else self.state.workers[address].info.host

    def get_worker_service_addr(
        self, worker: str, service_name: str, protocol: bool = False
    ) -> Any:
        """Return (host, port) of what a worker serves under a name; None where it does not."""
        info = self.state.workers[worker].info
        port = info.services.get(service_name)
        if port is None:
            return None
        scheme = worker.partition("://")[0]
        return f"{scheme}://{info.host}:{port}" if protocol else (info.host, port)

    # -- placement -------------------------------------------------------------------------

    def valid_workers(self, ts: TaskState) -> set[WorkerState] | None:
        """Return the workers that a task may run on; None: any."""
        found = allowed_workers(self.state, ts._core)
        return None if found is None else self.views.workers(found)

    def get_comm_cost(self, ts: TaskState, ws: WorkerState) -> float:
        """Return the seconds it takes to bring the inputs of a task to a worker, as estimated."""
        return transfer_time(self.state, ts._core, ws._core)

    def worker_objective(self, ts: TaskState, ws: WorkerState) -> tuple[float, int]:
        """Return what placement weighs: when a task could start on a worker, and its data there."""
        return load(ws._core) + self.get_comm_cost(ts, ws), ws.nbytes
