"""A scheduler's process: the real core, with streams, timers and operations like its shell's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal._base.alarm import Alarm
from shoal.scheduler.applier import SchedulerApplier
from shoal.scheduler.core import (
    ClientLost,
    Effects,
    FromClient,
    FromWorker,
    HoldersFailed,
    Machine,
    RetireWorkers,
    SetMetadata,
    Tick,
    WorkerLost,
)
from shoal.scheduler.core.invariants import check
from shoal.scheduler.core.journal.writer import JournalWriter
from shoal.simulation.journal_disk import SMALL, DiskPort, SchedulerDied, check_journal
from shoal.simulation.ledger import Ledger
from shoal.simulation.scheduler_ports import Calls, Peers
from shoal.wire.messages import TopicEvent

if TYPE_CHECKING:
    from shoal.simulation.clock import Timer
    from shoal.simulation.journal_disk import Platter
    from shoal.simulation.network import End
    from shoal.simulation.world import World

__all__ = ["ADDRESS", "SchedulerNode"]

ADDRESS = "scheduler"
_LOOK_EVERY = 150  # events between two comparisons of the journal and the state


class SchedulerNode:
    """One incarnation of the scheduler."""

    def __init__(self, cluster: World, number: int) -> None:
        self.cluster = cluster
        self.address = ADDRESS
        self.alive = True
        now = cluster.clock.now
        # Microseconds, as in the shell: larger than any run of an incarnation before.
        first_run = int((1 + now) * 1e6)
        platter = cluster.platter
        self.machine = Machine(
            cluster.scheduler_settings,
            f"scheduler-{number}",
            now=now,
            first_run=first_run,
            journal=None if platter is None else platter.changes(),
        )
        self.machine.state.watch = cluster.coverage.task_moved
        self.workers = Peers()
        self.clients = Peers()
        self.retiring: dict[str, None] = {}  # addresses; somebody waits until they are empty
        self.edges: dict[End, str] = {}
        self.names: dict[End, str] = {}
        self._alarm = Alarm(self._tick, self._call_at)
        self.ledger = ledger = Ledger(Effects, lambda: self.applier.waiting)
        writer = None if platter is None else self._writer(platter, number)
        self.applier = SchedulerApplier(
            self.machine,
            lambda: cluster.clock.now,
            workers=ledger.port(self.workers, "workers"),
            clients=ledger.port(self.clients, "clients"),
            timer=ledger.port(self._alarm, "timer"),
            calls=ledger.port(Calls(self), "calls"),
            journal=None if writer is None else ledger.port(writer, "journal"),
        )
        self.applier.watch = self._check
        self._events = 0
        self.went_idle = False
        self.silenced = 0  # workers that were given up
        self._logged = 0
        if platter is None or self._begin(platter):
            cluster.network.listeners[ADDRESS] = self

    def kill(self) -> None:
        """End as with `kill -9`."""
        self.alive = False
        if self.cluster.platter is not None:
            self.cluster.platter.crash()
        self._alarm.off()
        self.cluster.network.died(self)

    # -- the journal ----------------------------------------------------------------

    def _writer(self, platter: Platter, number: int) -> JournalWriter:
        disk = DiskPort(platter, lambda: self.alive, self.die)
        writer = JournalWriter(
            disk,
            platter.policy,
            self.machine.snapshot,
            1000 * (number + 1),
            self._go_on_soon,
            lambda level, text: self.cluster.trace.write(self.cluster.clock.now, text),
            SMALL,
        )
        disk.writer = self.writer = writer
        return writer

    def _begin(self, platter: Platter) -> bool:
        """Begin the journal anew; return False if the scheduler dies of it."""
        try:
            self.writer.begin()
        except OSError:
            self.writer.retry()  # the disk is full: later
        except SchedulerDied:
            self.die()
        return self.alive

    def _go_on_soon(self) -> None:
        self.cluster.clock.call_later(0.0, self._go_on)

    def _go_on(self) -> None:
        if self.alive:
            try:
                self.applier.carry_on()
            except SchedulerDied:
                self.die()

    @property
    def keeps_nothing(self) -> bool:
        """Whether there is a journal that cannot be written at present."""
        return self.cluster.platter is not None and self.writer.suspended

    def die(self) -> None:
        """End in the midst of something; another one starts."""
        if self.alive:
            self.cluster.scheduler_deaths += 1
            self.kill()
            wait = self.cluster.rng.choice([0.01, 0.3, 1.5])
            self.cluster.clock.call_later(wait, self.cluster.start_scheduler)

    # -- events and effects --------------------------------------------------------

    def feed(self, event: Any) -> None:
        """Give the core an event and carry out what follows from it."""
        if not self.alive:
            return
        platter = self.cluster.platter
        if platter is None:
            self.applier.feed(event)
            return
        if self._events % _LOOK_EVERY == 0 and not self.writer.suspended:
            check_journal(platter, self.machine)
        try:
            self.applier.feed(event)
        except SchedulerDied:
            self.die()

    def _check(self, event: Any, effects: Effects) -> None:
        self.ledger.asked(effects)
        self.cluster.events += 1
        self._events += 1
        if self._events % self.cluster.check_every == 0:
            check(self.machine.state)

    def _tick(self) -> None:
        self.feed(Tick())

    def _call_at(self, deadline: float, function: Callable[[], None]) -> Timer:
        # A timer never fires early; it is a little late, as real ones are.
        return self.cluster.clock.call_at(deadline + 1e-6, function)

    # -- peers -----------------------------------------------------------------------

    def accepted(self, end: End, edge: str) -> None:
        """Take a connection; the first message names the peer."""
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

    def _introduce(self, end: End, streams: Peers, first: Any) -> str:
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
        if streams is self.workers:
            self._log(name)
        return name

    def _log(self, text: str) -> None:
        """Tell all clients of an event, as of prints of tasks; they are numbered."""
        self._logged += 1
        for end in self.clients.values():
            end.send([TopicEvent("print", self.cluster.clock.now, (self._logged, text))])

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
        if name in self.machine.state.departures.leaving:
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
            runs = None
            if dead and ws.address in self.cluster.deaths:
                reason, runs = self.cluster.deaths[ws.address]
            self.feed(WorkerLost(ws.address, reason, dead=dead, running=runs))

    def retire(self, address: str) -> None:
        """Empty a worker, then close it."""
        if self.alive and address in self.machine.state.workers:
            self.retiring[address] = None
            self.feed(RetireWorkers([address]))

    # -- operations ------------------------------------------------------------------

    def asked(self, question: Any, reply: Callable[[Any], None]) -> None:
        """Answer a question: a value, or None when nobody has it; or a note."""
        if question[0] == "note":
            self._note(question[1], question[2], reply)
            return
        if question[0] != "gather":
            self._relay(question, reply)
            return
        _, key = question
        self._gather(key, reply)

    def _relay(self, question: Any, reply: Callable[[Any], None]) -> None:
        """Pass a question on around a wall, or take what a worker that was called has to say."""
        op, about, *more = question
        walls = self.cluster.network.walls
        assert walls is not None
        if op == "called":
            reply(walls.question(about))
        elif op == "answered":
            walls.answered(about, more[0])
            reply(True)
        else:
            self.cluster.network.ask(self, about, more[0], reply)

    def _note(self, name: str, value: int | None, reply: Callable[[Any], None]) -> None:
        """Note a number, or return the one that was noted."""
        if value is not None:
            self.feed(SetMetadata(["notes", name], value))
        notes = self.machine.state.notes.metadata.get("notes", {})
        self._reply_when_safe(self.writer.position, lambda: reply(notes.get(name, 0)))

    def _reply_when_safe(self, position: int, reply: Callable[[], None]) -> None:
        if self.writer.synced >= position:
            reply()
        elif self.alive:
            self.cluster.clock.call_later(0.005, self._reply_when_safe, position, reply)

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

        self.cluster.network.ask(self, address, ("get", [key], None), answered)
