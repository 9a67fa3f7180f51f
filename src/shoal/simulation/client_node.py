"""A client's process: the real core, its applier, and the connection to the scheduler.

A task's client lives in its worker's process, and dies with it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from shoal.client.core import events as e
from shoal.client.core.effects import Effects
from shoal.client.core.invariants import check
from shoal.client.core.machine import Machine
from shoal.client.core.outgoing import STEP
from shoal.client.core.state import Record
from shoal.client.session.applier import ClientApplier
from shoal.simulation.client_ports import Calls, Futures, Link
from shoal.simulation.ledger import Ledger
from shoal.simulation.scheduler_node import ADDRESS
from shoal.wire.messages import ClientHeartbeat

if TYPE_CHECKING:
    from shoal.simulation.network import End
    from shoal.simulation.worker_node import WorkerNode
    from shoal.simulation.world import World

__all__ = ["ClientNode"]

_RETRY = 0.05
_BEAT = 1.0


class ClientNode:
    """One client's process. The user's futures and acts are in `SimulatedClient`."""

    def __init__(self, cluster: World, number: int, home: WorkerNode | None = None) -> None:
        self.cluster = cluster
        self.address = f"client-{number}"
        self.home = home  # the worker, where this is the client of its tasks
        self.on_news: Callable[[Any], None] | None = None
        self.on_direct: Callable[[Any, int], None] | None = None  # from other workers
        self.lost_locks: list[str] = []  # names; others have them now
        self.last_logged: int | None = None  # the number of an event, on this connection
        self.alive = True
        self.end: End | None = None
        first_life = int((1 + cluster.clock.now) * 1e6) * STEP + number
        self.machine = Machine(self.address, first_life=first_life)
        self.ledger = ledger = Ledger(Effects)
        self.applier = ClientApplier(
            self.machine,
            lambda: cluster.clock.now,
            speaking=nullcontext(),  # there is one thread
            link=Link(self),
            futures=ledger.port(Futures(self), "futures"),
            calls=ledger.port(Calls(self), "calls"),
        )
        self.applier.watch = self._check
        self.machine.state.part = cluster.scheduler_settings.slice
        self._events = 0
        self._dial()
        self.later(_BEAT, self._beat)

    def later(self, seconds: float, function: Callable[..., None], *args: Any) -> None:
        """Call something after a while, unless the process is gone by then."""
        self.cluster.clock.call_later(seconds, self._if_alive, function, args)

    def _if_alive(self, function: Callable[..., None], args: tuple[Any, ...]) -> None:
        if self.alive:
            function(*args)

    def _beat(self) -> None:
        """Give a sign of life: a client that gives none loses its locks and leases."""
        if self.end is not None:
            self.end.send([ClientHeartbeat()])
        self.later(_BEAT, self._beat)

    def vanish(self) -> None:
        """End without a goodbye."""
        self.alive = False
        self.cluster.network.died(self)

    def close(self) -> None:
        """Say goodbye and end."""
        self.handle(e.Closed())
        self.ledger.check_all_done()  # these were the last ones
        self.alive = False
        if self.end is not None:
            self.end.close()

    # -- events and effects --------------------------------------------------------

    def handle(self, event: Any) -> None:
        """Give the core an event and carry out what follows."""
        self.applier.feed(event)

    def _check(self, event: Any, effects: Effects) -> None:
        self.ledger.asked(effects)
        self.cluster.events += 1
        self._events += 1
        if self._events % self.cluster.check_every == 0:
            check(self.machine)

    def changed(self, record: Record) -> None:
        """A future changed its status: whoever has it looks."""

    # -- the scheduler ---------------------------------------------------------------

    def _dial(self) -> None:
        self.cluster.network.dial(self, ADDRESS, "client", self._dialed)

    def _dialed(self, end: End | None) -> None:
        if end is None:
            self.later(_RETRY, self._dial)
            return
        self.end = end
        self.last_logged = None
        self.handle(e.Connected())

    def received(self, end: End, messages: list[Any]) -> None:
        """Take a batch of the scheduler's messages."""
        if end is self.end:
            self.handle(e.FromScheduler(messages))

    def lost(self, end: End, reason: str) -> None:
        """The connection to the scheduler is gone."""
        if end is self.end:
            self.end = None
            self.handle(e.Disconnected())
            self.later(_RETRY, self._dial)

    def accepted(self, end: End, edge: str) -> None:
        """Refuse: a client accepts no connections."""
        raise AssertionError(f"a stream {edge} to {self.address}")

    def asked(self, question: Any, reply: Callable[[Any], None]) -> None:
        """Refuse: a client answers no questions."""
        raise AssertionError(f"{self.address} was asked {question}")
