"""A worker's process: the real core, an executor with virtual threads, transfers from peers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal._base.alarm import Alarm
from shoal.simulation.executor import Executor
from shoal.simulation.ledger import Ledger
from shoal.simulation.lines import EDGE, Lines
from shoal.simulation.scheduler_node import ADDRESS
from shoal.simulation.worker_ports import MEMORY, Calls, Link
from shoal.wire import messages as m
from shoal.worker.applier import WorkerApplier
from shoal.worker.core import (
    Connected,
    DataAdded,
    DataLost,
    Disconnected,
    Effects,
    FromScheduler,
    Machine,
    MemoryMeasured,
    Settings,
    Tick,
)
from shoal.worker.core.invariants import check

if TYPE_CHECKING:
    from shoal.simulation.network import End
    from shoal.simulation.simulated_client import SimulatedClient
    from shoal.simulation.slots import Slot
    from shoal.simulation.world import World

__all__ = ["WorkerNode"]

_RETRY = 0.1


class WorkerNode:
    """One process of a worker, from its start to its death."""

    def __init__(self, cluster: World, slot: Slot, address: str) -> None:
        self.cluster = cluster
        self.slot = slot
        self.address = address
        self.alive = True
        self.left = False  # it said that it makes room for another process
        self.slowness = 1.0
        self.other_memory = 0
        self._measured = (0, 0)
        self.end: End | None = None
        self.executor = Executor(self, slot.nthreads)
        self.clients: list[SimulatedClient] = []  # of its tasks
        self.lines = Lines(self)
        settings = Settings(
            resources=slot.resources,
            nthreads=slot.nthreads,
            memory_limit=MEMORY,
            fetch_message_keys=5,
            interrupt_grace=0.5,
            stuck_after=1.0 if cluster.seed % 4 == 3 else 10.0,
        )
        self.machine = Machine(settings)
        self._alarm = Alarm(self._tick, cluster.clock.call_at)
        self.ledger = ledger = Ledger(Effects)
        self.applier = WorkerApplier(
            self.machine,
            lambda: cluster.clock.now,
            link=ledger.port(Link(self), "link"),
            store=ledger.port(self.executor, "store"),
            functions=ledger.port(self.executor.functions, "functions"),
            executor=ledger.port(self.executor, "executor"),
            timer=ledger.port(self._alarm, "timer"),
            calls=ledger.port(Calls(self), "calls"),
        )
        self.applier.watch = self._check
        self._events = 0
        cluster.network.listeners[address] = self
        self._dial()
        self._beat()

    def later(self, seconds: float, function: Callable[..., None], *args: Any) -> None:
        """Call something after a while, unless the process is dead by then."""
        self.cluster.clock.call_later(seconds, self._if_alive, function, args)

    def _if_alive(self, function: Callable[..., None], args: tuple[Any, ...]) -> None:
        if self.alive:
            function(*args)

    def die(self) -> None:
        """End as with `kill -9`."""
        self.alive = False
        self._alarm.off()
        self.cluster.network.died(self)
        for client in self.clients:
            client.vanish()

    # -- events and effects --------------------------------------------------------

    def handle(self, event: Any, values: dict[str, bytes] | None = None) -> None:
        """Give the core an event and carry out what follows; `values` came with the event."""
        self.applier.feed(event, values)

    def _check(self, event: Any, effects: Effects) -> None:
        self.ledger.asked(effects)
        self.cluster.events += 1
        self._events += 1
        if self._events % self.cluster.check_every == 0:
            check(self.machine)

    def _tick(self) -> None:
        self.handle(Tick())

    def close(self, reason: str, restart: bool) -> None:
        """End, and let the connection end after what was said."""
        self.cluster.trace.write(self.cluster.clock.now, f"{self.address} closes: {reason}")
        if self.end is not None:
            self.end.close()
            self.end = None
        self.die()
        self.slot.closed(restart or reason != "retired")

    # -- the scheduler ---------------------------------------------------------------

    def _dial(self) -> None:
        self.cluster.network.dial(self, ADDRESS, "worker", self._dialed)

    def _dialed(self, end: End | None) -> None:
        if end is None:
            self.later(_RETRY, self._dial)
            return
        self.end = end
        self.handle(Connected())

    def received(self, end: End, messages: list[Any]) -> None:
        """Take a batch of the scheduler's messages, or of another worker's values."""
        if end is self.end:
            self.handle(FromScheduler(messages))
        else:
            self.lines.receive(end, messages)

    def lost(self, end: End, reason: str) -> None:
        """The connection to the scheduler is gone, or a line of values."""
        if end is not self.end:
            self.lines.lose(end)
            return
        self.end = None
        self.handle(Disconnected(reason))
        self.later(_RETRY * self.cluster.rng.random(), self._dial)

    def accepted(self, end: End, edge: str) -> None:
        """Other workers open streams for what they publish, and nobody opens others."""
        assert edge == EDGE, f"a stream {edge} to {self.address}"
        self.lines.accept(end)

    def _beat(self) -> None:
        if self.end is not None:
            self.end.send([m.WorkerHeartbeat({}, self.executor.long_ones())])
        self.measure()
        self.later(self.cluster.scheduler_settings.heartbeat_interval, self._beat)

    # -- data --------------------------------------------------------------------------

    def asked(self, question: Any, reply: Callable[[Any], None]) -> None:
        """Answer `("get", keys, lives)` with what is here of these, or of any where it is None.

        `("put", {key: value}, (life, equal))` once it is stored, and `("call", key)` of an actor
        with which process this is, and which call.
        """
        op, payload, *more = question
        store = self.executor.store
        if op == "get":
            lives = more[0]
            if lives is not None:
                payload = [key for key in payload if self.machine.holds(key, lives.get(key, 0))]
            found = {key: store.get(key) for key in payload}
            reply({key: value for key, value in found.items() if value is not None})
            return
        if op == "call":
            reply((self.slot.starts, self.executor.call_actor(payload)))
            return
        specs = self.cluster.model.specs
        keys = list(payload)
        for key in keys:
            self.cluster.note_holder(key, self.address)
        sizes = [specs[key].nbytes for key in keys]
        life, equal = more[0]
        added = DataAdded(keys, sizes, ["int"] * len(keys), [life] * len(keys), equal)
        self.handle(added, payload)
        reply(True)

    def lose_data(self, keys: list[str]) -> None:
        """The disk under some values failed: of some that is found at once, of others later."""
        store = self.executor.store
        store.unreadable.update(dict.fromkeys(key for key in keys if key in store.disk))
        known = [key for key in keys if key in store.memory]
        store.drop(known)
        if known:
            self.found_lost(known)

    def found_lost(self, keys: list[str]) -> None:
        """Data that was here is not."""
        self.handle(DataLost(keys, "its spill file cannot be read"))

    def use_memory(self, nbytes: int) -> None:
        """The process is found to use this much of its limit of 1,000 beside its data."""
        self.other_memory = nbytes
        self.measure()

    def measure(self, always: bool = False) -> None:
        """Look at the memory of the process."""
        managed = self.executor.store.memory_bytes if self.cluster.spills else 0
        found = (self.other_memory + managed, managed)
        # A real worker tells again and again; here while it may matter, for the sake of time.
        s = self.machine.state
        if always or found != self._measured or s.paused or s.spilling or s.guard is not None:
            self._measured = found
            self.handle(MemoryMeasured(*found, running=len(self.executor.running)))
