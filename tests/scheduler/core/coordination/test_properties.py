"""Random clients that use primitives, give up, die and come back: nothing is lost or leaked.

The core's invariants are checked after every event; they say that nobody is forgotten. Here a model
of what each client knows says that no item is lost or doubled, that all is first come first served,
and that locks exclude.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
)

from shoal.wire import messages as m

from .asking import Asking

CLIENTS = ("a", "b", "c")
clients = st.sampled_from(CLIENTS)
names = st.sampled_from(["x", "y", "z"])


class Primitives(RuleBasedStateMachine):
    """Clients whose connections break and come back; some answers are not read before that."""

    asks = Bundle("asks")

    def __init__(self) -> None:
        super().__init__()
        self.c = Asking(*CLIENTS, recovery_window=0.0)
        self.c.worker("w")
        self.away: dict[str, None] = {}
        self.numbers = 0
        self.put: list[bytes] = []  # acknowledged or not
        self.got: list[bytes] = []  # by clients that said so
        self.read: dict[int, None] = {}  # answers that their clients have seen
        self.untold: dict[str, list[bytes]] = {name: [] for name in CLIENTS}
        self.pending: dict[str, dict[int, m.Ask]] = {name: {} for name in CLIENTS}
        self.holds: dict[str, dict[int, tuple[str, list[str]]]] = {name: {} for name in CLIENTS}
        self.given_up: dict[int, None] = {}

    # -- asking ------------------------------------------------------------------

    def ask(self, client: str, kind: str, op: str, *args: Any, **more: Any) -> int:
        id = self.c.ask(client, kind, op, *args, **more)
        self.pending[client][id] = self.c.asks[id][1]
        return id

    def here(self, client: str) -> bool:
        return client not in self.away

    def pick(self, client: str) -> str:
        """Return a client that is here, this one if possible; one comes back when all are away."""
        if len(self.away) == len(CLIENTS):
            self._come_back(client)
        return client if self.here(client) else next(c for c in CLIENTS if self.here(c))

    @rule(target=asks, client=clients, maxsize=st.sampled_from([0, 2]), keyed=st.booleans())
    def put_item(self, client: str, maxsize: int, keyed: bool) -> int:
        client = self.pick(client)
        self.numbers += 1
        value = b"%d" % self.numbers
        self.put.append(value)
        keys = [f"k{self.numbers % 3}"] if keyed else []
        if keyed:
            self.c.graph(client, {keys[0]: []})
        return self.ask(client, "queue", "put", maxsize, value, keys=keys)

    @rule(target=asks, client=clients, n=st.integers(0, 3))
    def get_items(self, client: str, n: int) -> int:
        client = self.pick(client)
        return self.ask(client, "queue", "get", 0, n)

    @rule(target=asks, client=clients, wanted=st.sets(names, min_size=1), some=st.booleans())
    def acquire(self, client: str, wanted: set[str], some: bool) -> int:
        client = self.pick(client)
        needed = 1 if some else len(wanted)
        return self.ask(client, "lock", "acquire", sorted(wanted), needed)

    @rule(target=asks, client=clients)
    def lease(self, client: str) -> int:
        client = self.pick(client)
        return self.ask(client, "semaphore", "acquire", 2)

    @rule(client=clients)
    def set_variable(self, client: str) -> None:
        self.ask(self.pick(client), "variable", "set", b"v", keys=["k0"])

    @rule(target=asks, client=clients, op=st.sampled_from(["get", "delete"]))
    def use_variable(self, client: str, op: str) -> int:
        client = self.pick(client)
        return self.ask(client, "variable", op)

    @rule(target=asks, client=clients, op=st.sampled_from(["wait", "set", "clear"]))
    def use_event(self, client: str, op: str) -> int:
        client = self.pick(client)
        return self.ask(client, "event", op)

    # -- giving up, reading, releasing ----------------------------------------------

    @rule(id=consumes(asks), back=st.booleans())
    def give_up(self, id: int, back: bool) -> None:
        if not id or id in self.read:
            return
        client = self.c.asks[id][0]
        if not self.here(client) or id in self.given_up:
            return
        if back:
            self.given_up[id] = None
            self.pending[client].pop(id, None)
        self.c.unask(id, back)

    @rule(client=clients, breaks=st.booleans())
    def read_answers(self, client: str, breaks: bool) -> None:
        client = self.pick(client)
        took = []
        for id, ask in list(self.pending[client].items()):
            answer = self.c.answers.get(id)
            if answer is None or id in self.read:
                continue
            self.read[id] = None
            del self.pending[client][id]
            if answer.error:
                if (ask.kind, ask.op) == ("queue", "put"):
                    self.put.remove(ask.args[1])
                continue
            if (ask.kind, ask.op) == ("queue", "get"):
                self.got += answer.value
                if breaks:
                    self.untold[client] += answer.value
            if ask.op == "get":
                took.append(id)
            if ask.op == "acquire":
                held = answer.value if ask.kind == "lock" else []
                self.holds[client][id] = (ask.kind, held)
        if breaks:  # before it could say so
            self.break_connection(client)
        elif took:
            self.c.took(*took)

    @rule(client=clients)
    def release(self, client: str) -> None:
        if self.here(client) and self.holds[client]:
            id, (kind, _) = self.holds[client].popitem()
            done = self.c.ask(client, kind, "release", id)
            assert self.c.value(done) is True

    # -- connections ------------------------------------------------------------------

    @rule(client=clients)
    def break_connection(self, client: str) -> None:
        if self.here(client):
            self.away[client] = None
            self.c.lose_client(client)

    @precondition(lambda self: self.away)
    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        self._come_back(data.draw(st.sampled_from(sorted(self.away))))

    def _come_back(self, client: str) -> None:
        del self.away[client]
        self.untold[client] = []
        claims = [
            m.Ask(-id, kind, "x", "claim", [held if kind == "lock" else 2, id])
            for id, (kind, held) in self.holds[client].items()
        ]
        for claim in claims:
            self.c.answers.pop(claim.id, None)
        again = list(self.pending[client].values())
        hello = m.ClientHello(client, None, {}, True, [])
        self.c.say(client, hello, m.Resume([*claims, *again]))
        for claim in claims:
            assert self.c.value(claim.id) is True, "it came back in time"

    @rule(client=clients)
    def die(self, client: str) -> None:
        """For good: what it was told and did not say that it has is somebody else's."""
        if self.here(client):
            self.c.lose_client(client)
            self.c.advance(1.0)
        elif client in self.away:
            self.c.advance(1.0)
        for name in [client, *self.away]:
            self._forget(name)
        self.away.pop(client, None)
        self.c.client(client)

    def _forget(self, client: str) -> None:
        for id, ask in self.pending[client].items():
            answer = self.c.answers.get(id)
            refused = answer is None or answer.error
            if (ask.kind, ask.op) == ("queue", "put") and refused:
                self.put.remove(ask.args[1])
            self.given_up[id] = None
        self.pending[client] = {}
        self.holds[client] = {}
        for value in self.untold[client]:  # nobody knows that a dead client had these
            self.got.remove(value)
        self.untold[client] = []

    # -- what must be so ------------------------------------------------------------------

    @invariant()
    def no_item_is_lost_or_doubled(self) -> None:
        coordination = self.c.s.coordination
        if coordination is None:
            return
        queue = coordination.places.get(("queue", "x"))
        inside = [item.value for item in queue.items] if queue else []
        inside += [putter.args[1] for putter in queue.putters] if queue else []
        for unacked in coordination.unacked.values():
            for delivery in unacked.values():
                inside += [item.value for item in delivery.items or ()]
        assert len(set(inside)) == len(inside)
        untold = {value for values in self.untold.values() for value in values}
        assert not set(inside) & (set(self.got) - untold)
        assert len(set(self.got)) == len(self.got)
        withdrawn = set(self.put) - set(inside) - set(self.got)
        for value in withdrawn:  # only puts that were given up, or not heard of by the scheduler
            (id,) = [i for i, (_, ask) in self.c.asks.items() if value in ask.args]
            answer = self.c.answers.get(id)
            client = self.c.asks[id][0]
            lost = id in self.given_up or client in self.away
            assert lost or (answer is not None and answer.error), value

    @invariant()
    def locks_exclude(self) -> None:
        names = [n for held in self.holds.values() for _, ns in held.values() for n in ns]
        assert len(set(names)) == len(names)
        leases = [1 for held in self.holds.values() for kind, _ in held.values() if kind != "lock"]
        assert len(leases) <= 2

    def teardown(self) -> None:
        """When all are gone, nothing is left but items, values and flags."""
        for client in list(self.c.s.clients):
            self.c.say(client, m.ClientGoodbye())
        self.c.advance(1.0)
        coordination = self.c.s.coordination
        if coordination is None:
            return
        assert (
            not coordination.waiting
            and not coordination.held
            and not coordination.unacked
            and not coordination.gone
        )
        self.c.client("end")
        for kind, op in (("queue", "close"), ("variable", "delete"), ("event", "clear")):
            self.c.ask("end", kind, op)
        assert self.c.is_clean
        self.c.advance(20.0)
        assert not self.c.s.tasks


TestPrimitives = Primitives.TestCase
TestPrimitives.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_items_leave_in_the_order_they_came_whoever_asks(n: int) -> None:
    c = Asking()
    gets = [c.get("abc"[i % 3], n) for i in range(10)]
    for i in range(10 * n):
        c.put("abc"[i % 2], b"%d" % i)
    assert [value for get in gets for value in c.value(get)] == [b"%d" % i for i in range(10 * n)]
