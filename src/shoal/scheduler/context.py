"""`SchedulerContext`: the base of a scheduler, for its operations and for the documented methods.

`Scheduler` is made of classes that derive from this one, and hands itself to the functions of
`operations`, so that none of them needs `Scheduler`. The steps of a scheduler's life do not
belong here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.comm.addressing import normalize_address
from shoal.diagnostics.server_attributes import ServerAttributes
from shoal.scheduler.core.events import SetPlugin
from shoal.scheduler.views.registry import Views

if TYPE_CHECKING:
    import asyncio

    from shoal._base.logs import LogBuffer
    from shoal.comm.stream_messages import Outboxes
    from shoal.scheduler.copying import Copying
    from shoal.scheduler.core import Machine
    from shoal.scheduler.core.settings import Settings
    from shoal.scheduler.core.state import SchedulerState
    from shoal.scheduler.core_access import Kind
    from shoal.scheduler.journal.journal import SchedulerJournal
    from shoal.scheduler.memory_manager import MemoryManager
    from shoal.scheduler.observe.profiling import LoopProfile
    from shoal.scheduler.observe.seen import Seen
    from shoal.scheduler.observe.topics import Topics
    from shoal.scheduler.plugins.own import SchedulerPlugins
    from shoal.scheduler.plugins.registry import PluginRegistry
    from shoal.scheduler.streams import Streams
    from shoal.wire.blob import Blob

__all__ = ["SchedulerContext"]


class SchedulerContext(ServerAttributes):
    """The scheduler as its operations and methods use it. `Scheduler` sets the attributes.

    Attributes
    ----------
    settings : Settings
        Of the core.
    worker_streams, client_streams : Streams
        The connections that messages go through.
    outbox : Outboxes
        Messages of users' code to workers.
    own_plugins : SchedulerPlugins
        Plugins of the scheduler itself.
    topics : Topics
        Which clients hear of which events.
    seen : Seen
        The server that pages and monitoring are told of.
    copying, memory_manager
        Copies that are made on request, and by themselves.
    journal : SchedulerJournal, optional
        Of what no peer can repeat.
    """

    settings: Settings
    started_at: float
    log_buffer: LogBuffer
    worker_streams: Streams
    client_streams: Streams
    outbox: Outboxes
    own_plugins: SchedulerPlugins
    topics: Topics
    seen: Seen
    copying: Copying
    memory_manager: MemoryManager
    profiler: LoopProfile
    journal: SchedulerJournal | None
    _machine: Machine | None
    _clock: Callable[[], float]
    _views: Views | None = None

    # The scheduler's methods, for what is built upon them.
    feed: Callable[..., None]
    describe_worker: Callable[..., dict[str, Any]]
    plugin_registry: Callable[[bool], PluginRegistry]
    tell_plugins: Callable[..., None]
    retired: Callable[[str], asyncio.Future[None]]
    workers_changed: Callable[[], Any]
    lose_worker: Callable[..., None]
    close_worker: Callable[..., None]
    workers_to_close: Callable[..., list[Any]]
    expect_close: Callable[[str], None]
    close_soon: Callable[[str], None]
    carry_on: Callable[[], None]

    @property
    def core(self) -> Machine:
        """The state machine."""
        if self._machine is None:
            raise RuntimeError("the scheduler is not started")
        return self._machine

    @property
    def state(self) -> SchedulerState:
        """The core's state, for the scheduler's own code."""
        return self.core.state

    @property
    def views(self) -> Views:
        """The views of what the core knows."""
        if self._views is None:
            self._views = Views(self)
        return self._views

    def wall_time(self, when: float) -> float:
        """Return seconds since the epoch for a time of the core's clock."""
        return time.time() - self._clock() + when

    async def keep_plugin(self, kind: Kind, name: str, plugin: Blob | None) -> None:
        """Have a plugin, or that it was taken back, in the journal, where there is one."""
        if self.journal is not None:
            self.feed(SetPlugin(kind, name, plugin))
            await self.journal.settled()

    def coerce_address(self, addr: Any, resolve: bool = True) -> str:
        """Return the address of a worker, given its address or name."""
        text = str(getattr(addr, "address", addr))
        if text in self.state.workers:
            return text
        known = self.state.aliases.get(text)
        if known is not None:
            return known
        if isinstance(addr, tuple):
            text = f"{addr[0]}:{addr[1]}"
        return normalize_address(text)
