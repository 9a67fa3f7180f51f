"""Any order of events leaves the client core consistent, and the scheduler told of the same."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from looked_at import Unlooked

from shoal.client.core import events as e
from shoal.client.core import functions
from shoal.client.core.state import Call, Failure, PendingGraph, Record
from shoal.wire import messages as m
from shoal.wire.blob import Blob

from .model import Duet, data, function, task

NAMES = st.sampled_from(["a", "b", "c", "d", "e", "f"])
SOME = st.lists(NAMES, unique=True, max_size=3)


class ClientMachine(RuleBasedStateMachine):
    """Checks run inside `Duet.handle`, after every event."""

    @initialize()
    def start(self) -> None:
        functions.MAX_IDLE = 1
        self.duet = Duet()
        self.duet.effects = Unlooked(())  # the state is compared after every step
        self.calls = [Call(function(str(i)), "g", priority=float(i % 2)) for i in range(4)]
        self.ended = False
        self.graphs: list[tuple[PendingGraph, list[str]]] = []  # with what is not lowered yet
        self.announced: list[str] = []
        self.dropped: set[str] = set()  # of these: no future is left, or it is cancelled

    def known(self, *keys: str) -> list[str]:
        records = self.duet.records
        return [k for k in keys if k in records and records[k].wanted]

    def is_free(self, key: str) -> bool:
        """Whether there is no future of a key, and none of one that waits for its turn."""
        return not self.known(key) and key not in self.duet.machine.order.expected

    def usable(self) -> list[str]:
        """Return keys that are to come and have futures."""
        expected = self.duet.machine.order.expected
        return [key for key in self.announced if key in expected and key not in self.dropped]

    @rule(key=NAMES, deps=SOME, i=st.integers(0, 3))
    def submit(self, key: str, deps: list[str], i: int) -> None:
        # As the shell does: a key with a future is not submitted again, inputs have futures.
        if self.is_free(key):
            inputs = [dep for dep in self.known(*deps) if dep != key]
            self.duet.submit(task(key, *inputs, call=self.calls[i]))

    @rule(keys=st.permutations(["a", "b", "c", "d", "e", "f"]), n=st.integers(2, 6), data=st.data())
    def graph(self, keys: list[str], n: int, data: st.DataObject) -> None:
        """Tasks of which some are inputs only, inputs first. Known inputs are left to the core."""
        records: list[Record] = []
        for key in keys[:n]:
            before = [record.key for record in records] + self.known(*keys)
            inputs = (
                data.draw(st.lists(st.sampled_from(before), unique=True, max_size=2))
                if (before)
                else []
            )
            wanted = data.draw(st.booleans())
            if self.is_free(key) and key not in inputs:
                record = task(key, *inputs, call=self.calls[n % 4], wanted=wanted)
                record.position = len(records) + 1
                records.append(record)
        if records:
            self.duet.submit(*records)

    @rule(n=st.integers(1, 3))
    def announce(self, n: int) -> None:
        """A thread begins to lower a graph; every key is new."""
        first = len(self.announced)
        keys = [f"g{first + i}" for i in range(n)]
        self.announced += keys
        graph = PendingGraph({key: Record(key) for key in keys})
        self.graphs.append((graph, keys))
        self.duet.handle(e.GraphAnnounced(graph))

    @precondition(lambda self: self.graphs)
    @rule(i=st.integers(0, 9), deps=SOME, other=st.integers(0, 99), n=st.integers(1, 2))
    def lower(self, i: int, deps: list[str], other: int, n: int) -> None:
        """It needs inputs that have futures, and perhaps another graph."""
        graph, left = self.graphs[i % len(self.graphs)]
        part = []
        for key in left[:n]:
            record = graph.records[key]
            earlier = self.announced[: self.announced.index(key)]
            needed = [earlier[other % len(earlier)]] if earlier else []
            held = [dep for dep in needed if dep in self.usable()]
            record.call, record.deps = self.calls[0], (*self.known(*deps), *held)
            part.append(record)
        del left[:n]
        if part:
            self.duet.handle(e.GraphPart(graph, part))

    @precondition(lambda self: self.graphs)
    @rule(i=st.integers(0, 9))
    def complete(self, i: int) -> None:
        graph, left = self.graphs.pop(i % len(self.graphs))
        failure = Failure(Blob(b"e"), Blob(b"t"), "") if left and not graph.stopped else None
        self.duet.handle(e.GraphComplete(graph, failure))

    @rule(key=NAMES, other=st.integers(0, 99))
    def submit_later(self, key: str, other: int) -> None:
        """A task that needs one of a graph that is being lowered."""
        expected = self.usable()
        if expected and self.is_free(key):
            self.duet.submit(task(key, expected[other % len(expected)], call=self.calls[1]))

    @rule(i=st.integers(0, 99), cancel=st.booleans())
    def drop_announced(self, i: int, cancel: bool) -> None:
        if self.announced:
            keys = [self.announced[i % len(self.announced)]]
            self.dropped.update(keys)
            self.duet.handle(e.CancelRequested(keys) if cancel else e.Released(keys))

    @rule(key=NAMES)
    def scatter(self, key: str) -> None:
        if self.is_free(key) and key not in self.duet.records:
            self.duet.submit(data(key, "w1"))

    @rule(key=NAMES)
    def want(self, key: str) -> None:
        if self.is_free(key) and key not in self.duet.records:
            self.duet.submit(Record(key))

    @rule(keys=SOME)
    def release(self, keys: list[str]) -> None:
        self.duet.release(*keys)

    @rule(keys=SOME)
    def cancel(self, keys: list[str]) -> None:
        self.duet.handle(e.CancelRequested(keys))

    @rule(keys=SOME)
    def retry(self, keys: list[str]) -> None:
        self.duet.handle(e.RetryRequested(keys))

    @rule(keys=SOME)
    def fire(self, keys: list[str]) -> None:
        self.duet.handle(e.FireRequested(self.known(*keys)))

    @rule()
    def connect(self) -> None:
        if self.duet.scheduler is not None:
            self.duet.disconnect()
        self.duet.connect()

    @precondition(lambda self: self.duet.scheduler is not None)
    @rule()
    def disconnect(self) -> None:
        self.duet.disconnect()

    @precondition(lambda self: self.duet.scheduler is not None)
    @rule(keys=SOME)
    def finish(self, keys: list[str]) -> None:
        self.duet.finish(*keys)

    @precondition(lambda self: self.duet.scheduler is not None)
    @rule(key=NAMES)
    def fail(self, key: str) -> None:
        self.duet.fail(key)

    @precondition(lambda self: self.duet.scheduler is not None)
    @rule(keys=SOME)
    def lose(self, keys: list[str]) -> None:
        self.duet.hear(m.KeysPending(keys))

    @precondition(lambda self: self.duet.scheduler is not None)
    @rule(keys=SOME, lost=st.booleans())
    def give_up(self, keys: list[str], lost: bool) -> None:
        assert self.duet.scheduler is not None
        self.duet.scheduler.wants.difference_update(keys)
        self.duet.hear(m.KeysLost(keys, "?") if lost else m.KeysCancelled(keys, "?"))
        for key in keys:  # what nobody needs is forgotten on both sides
            if key not in self.duet.records:
                self.duet.scheduler.tasks.pop(key, None)

    @precondition(lambda self: self.duet.scheduler is not None)
    @rule()
    def restart(self) -> None:
        self.duet.hear(m.Restarted())

    @invariant()
    def what_was_said_is_so(self) -> None:
        """What leaves no trace at the scheduler: who cancels wants no more, who retries waits."""
        if not hasattr(self, "duet") or self.duet.scheduler is None:
            return
        for message in self.duet.told(m.Cancel):
            assert self.duet.scheduler.wants.isdisjoint(message.keys)
        for message in self.duet.told(m.Retry):
            assert {self.duet.records[key].status for key in message.keys} == {"pending"}

    def teardown(self) -> None:
        if hasattr(self, "duet"):
            while self.graphs:
                self.complete(0)
            assert not self.duet.machine.order.expected and not self.duet.machine.order.gone
            self.duet.release(*"abcdef", *self.announced)
            for key in list(self.duet.machine.state.fired):
                if self.duet.scheduler is not None:
                    self.duet.finish(key)
            if not self.duet.machine.state.fired:
                assert not self.duet.records
                assert all(call.function.tasks == 0 for call in self.calls)


TestClientMachine = ClientMachine.TestCase
TestClientMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
