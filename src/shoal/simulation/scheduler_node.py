"""A scheduler's process: the real core, with streams, timers and operations like its shell's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal.scheduler.core import (
    ClientLost,
    Continue,
    Effects,
    FromClient,
    FromWorker,
    HoldersFailed,
    Machine,
    RetireWorkers,
    Tick,
    WorkerLost,
)
from shoal.scheduler.core.invariants import check
from shoal.wire import messages as m

if TYPE_CHECKING:
    from shoal.simulation.clock import Timer
    from shoal.simulation.cluster import Cluster
    from shoal.simulation.network import End

__all__ = ["ADDRESS", "SchedulerNode"]

ADDRESS = "scheduler"


class SchedulerNode:
    """One incarnation of the scheduler."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        self.cluster = cluster
        self.address = ADDRESS
        self.alive = True
        now = cluster.clock.now
        # Microseconds, as in the shell: larger than any run of an incarnation before.
        first_run = int((1 + now) * 1e6)
        self.machine = Machine(
            cluster.scheduler_settings, f"scheduler-{number}", now=now, first_run=first_run
        )
        self.machine.state.watch = cluster.coverage.task_moved
        self.workers: dict[str, End] = {}
        self.clients: dict[str, End] = {}
        self.edges: dict[End, str] = {}
        self.names: dict[End, str] = {}
        self._timer: Timer | None = None
        self._continuing = False
        self._events = 0
        cluster.network.listeners[ADDRESS] = self

    def kill(self) -> None:
        """End as with `kill -9`."""
        self.alive = False
        if self._timer is not None:
            self._timer.cancel()
        self.cluster.network.died(self)

    # -- events and effects --------------------------------------------------------

    def feed(self, event: Any) -> None:
        """Give the core an event and carry out what follows from it."""
        if not self.alive:
            return
        cluster = self.cluster
        effects = self.machine.handle(event, cluster.clock.now)
        cluster.events += 1
        self._events += 1
        if self._events % cluster.check_every == 0:
            check(self.machine.state)
        for name, messages in effects.to_workers.items():
            if name in self.workers:
                self.workers[name].send(messages)
        for name, messages in effects.to_clients.items():
            if name in self.clients:
                self.clients[name].send(messages)
        self._plan(effects.next_deadline)
        if effects.more and not self._continuing:
            self._continuing = True
            cluster.clock.call_later(cluster.rng.choice([0.0, 1e-3]), self._continue)
        self._close(effects)

    def _continue(self) -> None:
        self._continuing = False
        self.feed(Continue())

    def _close(self, effects: Effects) -> None:
        for client in effects.left_clients:
            gone = self.clients.pop(client, None)
            if gone is not None:
                gone.close()
        for address, reason in effects.rejected:
            end = self.workers.pop(address)
            end.send([m.WorkerRejected(reason)])
            end.close()
        for address, reason in effects.close_workers:
            if address in self.workers:
                self.workers.pop(address).close()
            if address in self.machine.state.workers:
                self.cluster.note_loss(address)
                self.feed(WorkerLost(address, reason))
        for client, reason in effects.close_clients:
            raise AssertionError(f"client {client} was turned away: {reason}")

    def _plan(self, deadline: float | None) -> None:
        timer = self._timer
        if timer is not None and timer.function is not None:
            if deadline is not None and timer.when <= deadline:
                return
            timer.cancel()
        self._timer = None
        if deadline is not None:
            # A timer never fires early; it is a little late, as real ones are.
            self._timer = self.cluster.clock.call_at(deadline + 1e-6, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.feed(Tick())

    # -- peers -----------------------------------------------------------------------

    def accepted(self, end: End, edge: str) -> None:
        """Take a connection; the first message says who it is."""
        self.edges[end] = edge

    def received(self, end: End, messages: list[Any]) -> None:
        """Take a batch of messages."""
        streams = self.workers if self.edges[end] == "worker" else self.clients
        name = self.names.get(end)
        if name is None:
            name = self._introduce(end, streams, messages[0])
        if streams.get(name) is not end:
            return
        if streams is self.workers:
            self.feed(FromWorker(name, messages))
        else:
            self.feed(FromClient(name, messages))

    def _introduce(self, end: End, streams: dict[str, End], first: Any) -> str:
        name: str = first.address if streams is self.workers else first.client
        self.names[end] = name
        before = streams.pop(name, None)
        if before is not None:
            before.close()
        if streams is self.workers and name in self.machine.state.workers:
            self.feed(WorkerLost(name, "it connected again", expected=True))
        elif streams is self.clients and name in self.machine.state.clients:
            self.feed(ClientLost(name, "it connected again"))
        streams[name] = end
        return name

    def lost(self, end: End, reason: str) -> None:
        """A connection ended."""
        name = self.names.get(end)
        worker = self.edges[end] == "worker"
        streams = self.workers if worker else self.clients
        if name is None or streams.get(name) is not end:
            return
        del streams[name]
        if not worker:
            if name in self.machine.state.clients:
                self.feed(ClientLost(name, reason))
            return
        ws = self.machine.state.workers.get(name)
        if ws is None:
            return
        if name in self.machine.state.leaving:
            self.feed(WorkerLost(name, reason, expected=True))
        else:  # the shell asks the nanny first
            wait = self.cluster.rng.choice([0.0, 0.01, 0.2])
            self.cluster.clock.call_later(wait, self._post_mortem, ws, reason)

    def _post_mortem(self, ws: Any, reason: str) -> None:
        same = self.machine.state.workers.get(ws.address) is ws
        if self.alive and same and ws.address not in self.workers:
            # A nanny knows of a death; whether it can be reached is another question.
            lives = any(node.alive and node.address == ws.address for node in self.cluster.nodes)
            dead = not lives and self.cluster.rng.random() < 0.5
            self.feed(WorkerLost(ws.address, reason, dead=dead))

    def retire(self, address: str) -> None:
        """Empty a worker, then close it."""
        if address in self.machine.state.workers:
            self.feed(RetireWorkers([address]))

    # -- operations ------------------------------------------------------------------

    def asked(self, question: Any, reply: Callable[[Any], None]) -> None:
        """Answer a question: `("gather", key)` returns the value, or None when nobody has it."""
        _, key = question
        self._gather(key, reply)

    def _gather(self, key: str, reply: Callable[[Any], None]) -> None:
        ts = self.machine.state.tasks.get(key)
        if ts is None or not ts.who_has:
            reply(None)
            return
        address = ts.who_has[-1].address

        def answered(found: Any) -> None:
            if found is not None and key in found:
                reply(found[key])
                return
            self.feed(HoldersFailed(key, [address]))
            self._gather(key, reply)

        self.cluster.network.ask(self, address, ("get", [key]), answered)
