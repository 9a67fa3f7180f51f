"""`CoreAccess`: what most parts of a scheduler need of it, which is its core.

They take this, not `Scheduler`, so that each can be read without the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Coroutine

    from shoal.comm.rpc import ConnectionPool
    from shoal.scheduler.core.events import Event
    from shoal.scheduler.core.state import SchedulerState
    from shoal.wire.blob import Blob

__all__ = ["CoreAccess", "Kind", "PeerAccess"]

Kind: TypeAlias = Literal["scheduler", "worker", "nanny"]
"""The kinds of servers that plugins are for."""


class CoreAccess(Protocol):
    """A scheduler, as the parts know it that look into its core and give events to it."""

    @property
    def state(self) -> SchedulerState:
        """The core's state."""

    def feed(self, event: Event) -> None:
        """Give the core an event and carry out what follows from it."""

    def wall_time(self, when: float) -> float:
        """Return seconds since the epoch for a time of the core's clock."""


class PeerAccess(CoreAccess, Protocol):
    """The same for parts that also ask workers and nannies."""

    @property
    def rpc(self) -> ConnectionPool:
        """Operations of workers and nannies, by address."""

    @property
    def id(self) -> Any:
        """The scheduler's id."""

    async def keep_plugin(self, kind: Kind, name: str, plugin: Blob | None) -> None:
        """Have a plugin, or that it was taken back, in the journal, where there is one."""

    def background(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run a coroutine beside what is under way."""
