"""The client as its parts know it: its session, its connections, and whether it is open.

`Client` is made of classes that derive from `ClientContext`, and hands itself to functions that
ask for one, so that none of them needs `Client`. Methods for users do not belong here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Protocol, Self

from shoal._base.loop import SyncMethodMixin
from shoal._base.within import within
from shoal.errors import ClosedClientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shoal.actors.connections import ActorConnections
    from shoal.client.session.callbacks import Callbacks
    from shoal.client.session.session import Session
    from shoal.comm.rpc import ConnectionPool, PooledRPC

__all__ = ["ClientContext", "SchedulerAccess"]


class SchedulerAccess(Protocol):
    """The part of a client that most requests need: wait until it is connected, and ask."""

    @property
    def scheduler(self) -> PooledRPC:
        """The scheduler's operations."""

    def __await__(self) -> Generator[Any, None, Any]:
        """Wait for the connection."""


class ClientContext(SyncMethodMixin):
    """The base of a client: what its parts use, declared once. `Client` sets the attributes.

    Attributes
    ----------
    id, name : str
        The client's id, and what people call it.
    scheduler : PooledRPC
        The scheduler's operations.
    rpc : ConnectionPool
        Operations of workers, by address.
    connection_args : dict
        The arguments for making connections.
    direct_to_workers : bool, optional
        Whether values are fetched from workers, or through the scheduler.
    submit, get, persist, cancel, retry : callable
        The client's methods, for futures and what else is built upon them.
    """

    id: str
    name: str | None
    scheduler: PooledRPC
    rpc: ConnectionPool
    connection_args: dict[str, Any]
    direct_to_workers: bool | None
    _session: Session
    _callbacks: Callbacks
    _actor_connections: ActorConnections | None
    _unreachable: set[str]  # workers that could not be reached
    _identity: dict[str, Any]  # the scheduler's description of itself and its workers
    _status: str
    _starting: asyncio.Task[None] | None

    submit: Callable[..., Any]
    get: Callable[..., Any]
    persist: Callable[..., Any]
    cancel: Callable[..., Any]
    retry: Callable[..., Any]

    @property
    def status(self) -> str:
        """``"running"``, while it can be used.

        ``"connecting"`` at first, and while it looks for a scheduler that it lost; ``"closed"``
        when there is none any more: the cluster was closed, or did not come back in time. A method
        called then says which of the two. ``"closing"`` is what `close` does.
        """
        if self._status != "running":
            return self._status
        if self._session.ended is not None:
            return "closed"
        return "running" if self._session.stream is not None else "connecting"

    @property
    def _is_left(self) -> bool:
        """Whether its cluster is gone, and nobody closed it."""
        return self._status == "running" and self.status == "closed"

    def __await__(self) -> Generator[Any, None, Self]:
        return self._started().__await__()

    async def _started(self) -> Self:
        # A part of the start itself does not wait for its end.
        if self._starting not in (None, asyncio.current_task()):
            await asyncio.shield(self._starting)
        return self

    def _check_open(self) -> None:
        if self._session.ended is not None:
            raise ClosedClientError(f"this client cannot be used any more: {self._session.ended}")

    async def _ask(self, op: str, **kwargs: Any) -> Any:
        await self._started()
        return await getattr(self.scheduler, op)(**kwargs)

    async def _know_workers(self, number: int) -> None:
        """Have `scheduler_info` tell of so many workers, also where it may not ask."""
        if len(self._identity.get("workers", {})) < number:
            self._identity = await self.scheduler.identity()

    async def _workers_changed(self, timeout: float | None) -> bool:
        """Wait until workers come or go; return whether they did."""
        changed = asyncio.Event()
        self._session.on_workers.append(changed.set)
        try:
            await within(changed.wait(), timeout)
        except TimeoutError:
            return False
        finally:
            self._session.on_workers.remove(changed.set)
        return True
