"""After every event, whatever it was, the journal says what there is; and a scheduler that begins
from it goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import precondition, rule

from shoal.scheduler.core import LogEvent, SetMetadata, SetPlugin
from shoal.wire import messages as m
from shoal.wire.blob import Blob, Buffer

from ..coordination.asking import Asking
from ..coordination.test_properties import Primitives, clients
from ..test_random_peers import Peers


class JournaledPeers(Peers):
    """They also put futures into values, forget tasks, note and log."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, journal=True, events_length=5)
        self.asked = 0

    def actions(self) -> list[tuple[float, Callable[[], None]]]:
        return [
            *super().actions(),
            (2.0, self.give_value),
            (1.0, self.take_value),
            (1.0, self.forget),
            (0.5, self.note),
            (0.5, self.log),
            (0.3, self.register),
        ]

    def ask(self, kind: str, op: str, *args: Any, keys: Any = ()) -> None:
        client = self.rng.choice(list(self.wants))
        self.asked += 1
        name = self.rng.choice("xy")
        self.cluster.say(client, m.Ask(self.asked, kind, name, op, list(args), list(keys)))
        if op == "get" and self.rng.random() < 0.7 and client in self.wants:
            self.cluster.say(client, m.Took([self.asked]))

    def give_value(self) -> None:
        keys = self.some_keys(self.rng.choice(list(self.wants)))[:2]
        kind = self.rng.randrange(3)
        if kind == 0:
            self.ask("variable", "set", b"v", keys=keys)
        elif kind == 1:
            self.ask("dataset", "publish", b"d", True, keys=keys)
        else:
            self.ask("queue", "put", self.rng.choice([0, 3]), b"i", keys=keys)

    def take_value(self) -> None:
        kind = self.rng.randrange(5)
        if kind == 0:
            self.ask("variable", "delete")
        elif kind == 1:
            self.ask("dataset", "unpublish")
        elif kind == 2:
            self.ask("queue", "close")
        elif kind == 3:
            self.ask("queue", "get", 0, 1)
        else:
            self.ask("variable", "get")

    def forget(self) -> None:
        client = self.rng.choice(list(self.wants))
        keys = self.some_keys(client)
        self.wants[client].difference_update(keys)
        self.cluster.say(client, m.FireAndForget(keys), m.Release(keys))

    def note(self) -> None:
        client = self.rng.choice(list(self.wants))
        for key in [*self.some_keys(client)[:1], "note"]:
            self.cluster.handle(SetMetadata([key, "a"], (1, b"2")))

    def log(self) -> None:
        self.cluster.handle(LogEvent(self.rng.choice("tu"), {"n": self.asked}))

    def register(self) -> None:
        plugin = self.rng.choice([None, Blob(b"p%d" % self.asked, [Buffer(b"b")])])
        self.cluster.handle(SetPlugin("worker", self.rng.choice("xy"), plugin))

    def finish(self) -> None:
        for _ in range(4):
            for kind, op in (("queue", "close"), ("variable", "delete"), ("dataset", "unpublish")):
                for name in "xy":
                    self.asked += 1
                    client = next(iter(self.wants))
                    self.cluster.say(client, m.Ask(self.asked, kind, name, op, [], []))
        self.add_worker()
        for _ in range(30):
            self.run_some()
            self.listen()
            self.advance()
        self.restart()  # some that are forgotten may never run
        for client in list(self.wants):
            self.cluster.say(client, m.ClientGoodbye())
        self.cluster.advance(100.0)
        self.listen()
        assert not self.cluster.s.tasks
        entries = self.cluster.entries
        assert entries is not None
        left = [entry for entry in entries if entry[0] not in STAYS]
        assert not left, f"the journal grows: {left}"

    def begin_anew(self) -> None:
        """The scheduler died, and nobody came back: what the journal says is computed anew."""
        self.held.clear()
        self.queued.clear()
        self.wants.clear()
        self.add_client()


@pytest.mark.parametrize("block", range(5))
def test_the_journal_says_what_there_is_whatever_the_peers_do(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        try:
            peers = JournaledPeers(seed)
            for _ in range(80):
                peers.step()
            if seed % 2:
                before = logical(peers)
                peers.cluster.start_anew()
                assert logical(peers) == before
                peers.begin_anew()
            peers.finish()
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise


def logical(peers: JournaledPeers) -> tuple[Any, ...]:
    """What the journal says, where tasks go by their keys."""
    entries = peers.cluster.entries
    assert entries is not None
    names = {key: row[0] for (kind, key), row in entries.items() if kind == 11}
    kept = {}
    for (kind, key), value in entries.items():
        if kind == 11 and value[2] is None:
            continue  # data: of a name in a value that nobody defines it is made anew
        if kind == 11:
            row = list(value)
            row[5] = [names[dep] for dep in row[5]]
            kept[kind, names[key]] = row
        elif kind == 13:
            kept[kind, names[key]] = value
        else:
            kept[kind, key] = value
    return tuple(sorted(map(repr, kept.items())))


class JournaledPrimitives(Primitives):
    """The scheduler dies, too, and clients come back to another with the same journal."""

    def __init__(self) -> None:
        super().__init__()
        self.c = Asking(
            "a", "b", "c", journal=True, recovery_window=0.0, recovery_grace=1.0, client_grace=1.0
        )
        self.c.worker("w")
        self.said: dict[int, Any] = {}  # answers that nobody had read when the scheduler died

    def _come_back(self, client: str) -> None:
        super()._come_back(client)
        for id in list(self.said):
            owner, ask = self.c.asks[id]
            if owner == client and (ask.kind, ask.op) in DONE_ONCE and id not in self.given_up:
                assert self.c.answers[id] == self.said[id], f"{ask} was done again"
            self.said.pop(id) if owner == client else None

    @rule(client=clients)
    def scheduler_dies(self, client: str) -> None:
        for name in self.pending:
            self.away[name] = None
            for id in self.pending[name]:
                answer = self.c.answers.pop(id, None)
                if answer is not None and not answer.error:  # clients note what was refused
                    self.said[id] = answer
        self.c.start_anew()
        self.c.worker("w")
        self._come_back(client)

    @precondition(lambda self: False)
    @rule()
    def give_up_of_those_away(self) -> None:
        """Nobody gives up while there is no scheduler."""

    def teardown(self) -> None:
        super().teardown()
        entries = self.c.entries
        assert entries is not None
        left = [entry for entry in entries if entry[0] not in LOGGED]
        assert not left, f"the journal grows: {left}"


PHASES = (Phase.explicit, Phase.reuse, Phase.generate)  # to make a life shorter takes minutes
STAYS = (14, 15, 16)  # notes, events and plugins
DONE_ONCE = {
    ("queue", "put"),
    ("queue", "get"),
    ("lock", "acquire"),
    ("semaphore", "acquire"),
    ("variable", "delete"),
    ("event", "set"),
}
LOGGED = (15, 10)  # events, answers to a client that is there


TestPrimitives = JournaledPrimitives.TestCase
TestPrimitives.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None, phases=PHASES
)
