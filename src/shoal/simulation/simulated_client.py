"""A client with the futures that its user holds, and what the user does with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal._base.keys import set_aside_key
from shoal.client.core import events as e
from shoal.client.core.state import (
    CANCELLED,
    DONE,
    ERROR,
    FINISHED,
    LOST,
    PENDING,
    Call,
    Extras,
    Record,
)
from shoal.simulation.call_table import CallTable
from shoal.simulation.client_node import ClientNode
from shoal.simulation.model import Spec, is_name
from shoal.simulation.scheduler_node import ADDRESS

if TYPE_CHECKING:
    from shoal.simulation.worker_node import WorkerNode
    from shoal.simulation.world import World

__all__ = ["SimulatedClient"]


class SimulatedClient(ClientNode):
    """One client and its futures. When what is done is in `user`."""

    def __init__(self, cluster: World, number: int, home: WorkerNode | None = None) -> None:
        self.futures: dict[str, Record] = {}  # the user's futures, of whatever status
        # The versions that reused names stand for, where a name has stood for others before.
        self.meanings: dict[str, list[str]] = {}
        self.cancelled: dict[str, None] = {}  # by this user
        self.fired: dict[str, None] = {}
        self.foreign: dict[str, None] = {}  # keys of others
        self.promised: dict[str, None] = {}  # they came in a value of a primitive
        self.verified: dict[str, None] = {}  # finished, and the value was looked at
        self.proxies: dict[str, str] = {}  # where actors are, as the value said
        self._waits_for = ""  # a key that was not settled when it was last looked at
        self.asking = 0  # values on their way to workers, and graphs that are being lowered
        self.held: Counter[str] = Counter()  # keys that graphs need that are being lowered
        self.dropped: dict[str, None] = {}  # of these, those that have no other future
        self.not_lowered: dict[str, None] = {}  # keys whose graph could not be lowered
        self._reading: dict[str, None] = {}
        self._statuses: dict[str, str] = {}
        self._calls = CallTable()
        if home is not None:
            home.clients.append(self)
        super().__init__(cluster, number, home)

    def close(self) -> None:
        """Say goodbye and end."""
        self.futures.clear()
        super().close()

    def changed(self, record: Record) -> None:
        """A future changed its status."""
        if record.status == CANCELLED and self.futures.get(record.key) is not record:
            return  # of a graph that was not wanted any more
        key = record.key
        self.verified.pop(key, None)
        before = self._statuses.get(key, "pending")
        self._statuses[key] = record.status
        self.cluster.coverage.client_changed(before, record.status)
        judge = self.cluster.judge
        if record.status == FINISHED:
            self.proxies[key] = self.cluster.home_of(key, record.holder)
            if record.value is not None:
                judge.value(self, key, record.value)
                self.verified[key] = None
        elif record.status == ERROR:
            judge.error(self, record)
        elif record.status == LOST:
            judge.lost(self, record)
        elif record.status == CANCELLED:
            judge.cancelled(self, record)

    def live(self, *statuses: str) -> list[str]:
        """Return keys with futures that can still be used, of these statuses or any."""
        records = self.machine.state.records
        expected = self.machine.order.expected
        return [
            key
            for key, future in self.futures.items()
            if (
                (records.get(key) is future and future.wanted)
                or (future.status == PENDING and key in expected)
            )
            and not is_name(key)
            and (not statuses or future.status in statuses)
        ]

    def submit(self, specs: list[Spec], wanted: Callable[[Spec], bool]) -> None:
        """Submit a graph, inputs first, and keep futures of some of its tasks."""
        records = []
        for spec in specs:
            self.cluster.model.add(spec)
            record = self.record(spec)
            record.wanted = wanted(spec)
            records.append(record)
        needed = {dep for record in records for dep in record.deps}
        for record in records:
            record.wanted = record.wanted or record.key not in needed
            if record.wanted:
                self.futures[record.key] = record
        self.handle(e.Submitted(records))

    def record(self, spec: Spec) -> Record:
        """Return the record of a task."""
        wire = self.cluster.model.wire
        deps = tuple(wire(dep) for dep in spec.deps)
        return Record(wire(spec.key), self.call_of(spec), spec.key.encode(), deps)

    def begins(self, key: str) -> None:
        """A future of a key that was used before is another one's."""
        self._statuses[key] = "pending"

    def again(self, key: str) -> None:
        """Submit a task that the core still knows, though no future is left, once more."""
        self.cluster.resubmitted = True
        spec = self.cluster.model.specs[key]
        record = self.futures[key] = self.record(spec)
        self._statuses[key] = "pending"
        self.verified.pop(key, None)
        self.handle(e.Submitted([record]))

    def forgotten(self) -> list[str]:
        """Return keys of tasks that the core knows and no future refers to.

        Not those whose inputs are names that are used again: without futures of these inputs a user
        cannot say which are meant, for the names may mean nothing any more, or something else.
        """
        records = self.machine.state.records
        tasks = [
            key
            for key, record in records.items()
            if record.call is not None and not any(is_name(dep) for dep in record.deps)
        ]
        unwanted = [key for key in tasks if key not in self.futures and not self.held[key]]
        return [key for key in unwanted if not is_name(key)]

    def call_of(self, spec: Spec) -> Call:
        """Return what a task has in common with others like it."""
        return self._calls.of(spec)

    def release(self, keys: list[str]) -> None:
        """Drop futures."""
        for key in keys:
            self.futures.pop(key, None)
            if key not in self.machine.asks.carried:  # it stays, and may be found to be lost
                self.foreign.pop(key, None)
            self.cluster.at_restart.pop(key, None)  # it may have to be computed again
        held = [key for key in keys if self.held[key] > 0]
        self.dropped.update(dict.fromkeys(held))
        self.handle(e.Released([key for key in keys if key not in held]))

    def cancel(self, keys: list[str], force: bool) -> None:
        """Cancel tasks and what depends on them."""
        for key in keys:
            self.cancelled[key] = None
            self.cluster.at_restart.pop(key, None)
            if force:
                self.cluster.forced[key] = None
        self.handle(e.CancelRequested(keys, force))

    def retry(self, keys: list[str]) -> None:
        """Have failed tasks run again."""
        self.handle(e.RetryRequested(keys))

    def fire(self, keys: list[str]) -> None:
        """Forget the futures of tasks that shall run all the same."""
        self.fired.update(dict.fromkeys(keys))
        self.handle(e.FireRequested(keys))
        self.release(keys)

    def want(self, key: str, promised: bool = False) -> None:
        """Take a future of another client's task; promised: it is kept until this is said."""
        if promised:
            self.promised[key] = None
        if key not in self.machine.state.records:
            self.foreign[key] = None
            self.meanings.pop(key, None)  # its meaning was that of the client that had it
            record = self.futures[key] = Record(key)
            self._statuses[key] = "pending"
            self.handle(e.Submitted([record]))

    def scatter(
        self,
        spec: Spec,
        copies: int,
        equal: bool = True,
        then: Callable[[bool], None] | None = None,
    ) -> None:
        """Put data on workers, then tell the scheduler; `then` hears whether it is there."""
        model = self.cluster.model
        model.add(spec)
        value = model.expected(spec.key)
        life = self.machine.draw_life()
        key = model.wire(spec.key)
        if not equal and (key in self.machine.state.records or key in self.futures):
            model.goes_by(spec.key, set_aside_key(key, life))
            key = model.wire(spec.key)
        addresses = list(self.machine.state.workers)
        chosen = self.cluster.rng.sample(addresses, min(copies, len(addresses)))
        left = len(chosen)
        holders: list[str] = []

        def stored(address: str) -> Callable[[Any], None]:
            def answered(result: Any) -> None:
                nonlocal left
                left -= 1
                self.asking -= 1
                if result:
                    holders.append(address)
                if not left and holders:
                    extras = Extras(nbytes=spec.nbytes, holders=holders, equal=equal)
                    record = Record(key, type="int", extras=extras, status=FINISHED, life=life)
                    record.holder = holders[0]
                    self._has_put(record)
                if not left and then is not None:
                    then(bool(holders))

            return answered

        self.asking += left
        if not chosen and then is not None:
            then(False)
        for address in chosen:
            question = ("put", {key: value}, (life, equal))
            self.cluster.network.ask(self, address, question, stored(address))

    def _has_put(self, record: Record) -> None:
        """Hold a future of data that is on workers, unless there is one: then it is a copy."""
        key = record.key
        known = self.futures.get(key)
        if known is not None and self.machine.state.records.get(key) is known and known.wanted:
            self.handle(e.PutAgain(record))
            return
        self.futures[key] = record
        self.verified.pop(key, None)
        self._statuses[key] = FINISHED
        self.handle(e.Submitted([record]))

    def read(self, key: str) -> None:
        """Fetch a result that did not come along: from its holder, else through the scheduler."""
        record = self.futures[key]
        if key in self._reading or record.status != FINISHED or record.value is not None:
            return
        self._reading[key] = None

        def from_scheduler(value: bytes | None) -> None:
            self._reading.pop(key, None)
            if value is not None and self.futures.get(key) is record:
                self.cluster.judge.value(self, key, value)
                if record.status == FINISHED:
                    self.verified[key] = None

        def from_holder(found: dict[str, bytes] | None) -> None:
            if found and key in found:
                from_scheduler(found[key])
            else:
                self.cluster.network.ask(self, ADDRESS, ("gather", key), from_scheduler)

        self.cluster.network.ask(self, record.holder, ("get", [key], None), from_holder)

    def call_actor(self, key: str) -> None:
        """Call a method of an actor, where it lives."""
        record = self.futures[key]
        address = self.proxies[key]
        self.asking += 1

        def answered(found: tuple[int, int] | None) -> None:
            self.asking -= 1
            there = self.futures.get(key) is record and record.status == FINISHED
            self.cluster.judge.actor_answered(self, key, address, found, there)

        self.cluster.network.ask(self, address, ("call", key), answered)

    def is_waiting(self) -> bool:
        """Return whether some outcome is not known; a quick look before `unsettled`."""
        first = self._waits_for
        record = self.futures.get(first)
        if record is not None and record.status not in DONE:
            return True
        for key, record in self.futures.items():
            if record.status not in DONE:
                self._waits_for = key
                return True
        return False

    def unsettled(self) -> list[str]:
        """Return keys whose outcome is not known or was not looked at; look at some."""
        found = []
        for key, record in self.futures.items():
            if record.status not in DONE:
                found.append(key)
            elif record.status == FINISHED and key not in self.verified:
                if record.value is not None:
                    self.cluster.judge.value(self, key, record.value)
                    self.verified[key] = None
                else:
                    self.read(key)
                    found.append(key)
        return found
