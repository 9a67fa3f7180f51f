"""The interface of the workers and schedulers that a cluster of specifications makes."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, TypeVar

from shoal.core import Status

__all__ = ["NoOpAwaitable", "ProcessInterface"]

T = TypeVar("T", bound="ProcessInterface")


class ProcessInterface:
    """A worker or scheduler somewhere: a batch job, a container, a process on another host.

    Subclasses start it in `start` and end it in `close`, and call the methods of this class there.

    Parameters
    ----------
    scheduler : str, optional
        Address of the scheduler; a worker gets it from the cluster.
    name : object, optional
        Name of the worker; it gets that from the cluster too.
    """

    @property
    def status(self) -> Status:
        """Where it is in its life."""
        return self._status

    @status.setter
    def status(self, value: Status) -> None:
        self._status = value

    def __init__(self, scheduler: str | None = None, name: Any = None) -> None:
        self.address: str | None = getattr(self, "address", None)
        self.external_address: str | None = None
        # Published subclasses set these first, and give nothing here.
        self.scheduler = getattr(self, "scheduler", None) if scheduler is None else scheduler
        self.name = getattr(self, "name", None) if name is None else name
        self.lock = asyncio.Lock()
        self.status = Status.created
        self._event_finished = asyncio.Event()

    def __await__(self: T) -> Generator[Any, None, T]:
        async def started() -> T:
            async with self.lock:
                if self.status == Status.created:
                    await self.start()
                    assert self.status == Status.running
            return self

        return started().__await__()

    async def start(self) -> None:
        """Start it."""
        self.status = Status.running

    async def close(self) -> None:
        """End it."""
        self.status = Status.closed
        self._ended()

    async def finished(self) -> None:
        """Wait until it ended."""
        await self._event_finished.wait()

    def _ended(self) -> None:
        self._event_finished.set()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: status={self.status.name}>"

    async def __aenter__(self: T) -> T:
        return await self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


class NoOpAwaitable:
    """Awaiting it does nothing; for methods that work both in plain and in asynchronous code."""

    def __await__(self) -> Generator[Any, None, None]:
        async def nothing() -> None:
            pass

        return nothing().__await__()
