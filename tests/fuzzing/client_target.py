"""The client's core, told by a scheduler whose words are mutated, while its user works on.

Words take the way that they would take to a real client: encoded, mutated, decoded and checked. One
that is refused there ends the connection, and the client makes another, as its session does. After
every event the core's invariants hold, and all it says is what a scheduler can take. In the end the
client closes, and nobody waits any more.
"""

from __future__ import annotations

from typing import Any

from fuzzing.told import ToldEpisode, ToldWorld

from shoal.client.core import events as e
from shoal.client.core.asks import Asking
from shoal.client.core.invariants import check
from shoal.client.core.machine import Machine
from shoal.client.core.state import Call, Extras, Function, Record
from shoal.wire import messages as m
from shoal.wire.blob import Blob
from shoal.wire.codec import BatchCodec

__all__ = ["Episode", "replay"]

_HEARS: BatchCodec[Any] = BatchCodec(m.SchedulerToClient)
_SAYS: BatchCodec[Any] = BatchCodec(m.ClientToScheduler)
_ERROR = Blob(b"error")


class World(ToldWorld):
    """A client's core; the steps say what its user and the scheduler do."""

    hears = _HEARS

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine("client", "name", {}, first_life=1024)
        self.machine.state.part = 3
        self.asked: dict[int, Asking] = {}
        self.waiting: dict[int, None] = {}  # asks without an answer
        self.numbers = 0
        calls = [Function(bytes([65 + i]) * 16, Blob(b"function")) for i in range(3)]
        self.calls = [Call(each, "g", priority=float(i % 2)) for i, each in enumerate(calls)]
        self.feed(e.Connected())

    def feed(self, event: Any) -> None:
        effects = self.machine.handle(event, self.now)
        for messages in effects.batches():
            if messages:
                _SAYS.decode(_SAYS.encode(messages))
        check(self.machine)

    @property
    def over(self) -> bool:  # type: ignore[override]
        return self.machine.state.ended is not None

    def known(self) -> list[str]:
        """Return the keys that have futures."""
        return [key for key, record in self.machine.state.records.items() if record.wanted]

    # -- steps ------------------------------------------------------------------------------

    def hear(self, messages: list[Any]) -> None:
        self.feed(e.FromScheduler(messages))

    def on_again(self) -> None:
        """The connection is lost, and made again."""
        self.feed(e.Disconnected())
        self.now += 1.0
        self.feed(e.Connected())

    def on_submit(self, names: list[str], call: int, inputs: int) -> None:
        known = self.known()
        records: list[Record] = []
        for key in names:
            if key in known:
                continue
            deps = tuple(dict.fromkeys([*known[-inputs:], *[r.key for r in records][-inputs:]]))
            deps = () if not inputs else deps
            records.append(Record(key, self.calls[call], b"args", deps))
        if records:
            self.feed(e.Submitted(records))

    def on_scatter(self, key: str) -> None:
        if key not in self.machine.state.records:
            extras = Extras(nbytes=8, holders=["w1"])
            record = Record(key, type="int", extras=extras, status="finished", holder="w1")
            self.feed(e.Submitted([record]))

    def on_want(self, key: str) -> None:
        if key not in self.machine.state.records:
            self.feed(e.Submitted([Record(key)]))

    def on_release(self, keys: list[str]) -> None:
        known = self.known()
        self.feed(e.Released([key for key in keys if key in known]))

    def on_cancel(self, keys: list[str]) -> None:
        self.feed(e.CancelRequested(keys))

    def on_retry(self, keys: list[str]) -> None:
        self.feed(e.RetryRequested(keys))

    def on_fire(self, keys: list[str]) -> None:
        known = self.known()
        self.feed(e.FireRequested([key for key in keys if key in known]))

    def on_ask(self, kind: str) -> None:
        self.numbers += 1
        claim = ("claim", [["a"]]) if kind == "lock" else None
        ask = m.Ask(self.numbers, kind, "n", "acquire", [["a"], 1], self.known()[:1])
        self.asked[self.numbers] = asking = Asking(ask, self.woken, claim)
        self.waiting[self.numbers] = None
        self.feed(e.RequestMade(asking))

    def woken(self, asking: Asking) -> None:
        self.waiting.pop(asking.ask.id, None)

    def on_unask(self, number: int, back: bool) -> None:
        if number in self.asked:
            if back:
                self.waiting.pop(number, None)
            self.feed(e.Unasked(self.asked[number], back))

    def on_end(self) -> None:
        self.feed(e.Closed())
        s, asks = self.machine.state, self.machine.asks
        assert not s.records, f"left behind: {list(s.records)}"
        assert not asks.pending and not self.waiting, f"they wait: {list(self.waiting)}"


replay = World.replay


class Episode(ToldEpisode):
    """A client's life, in which it hears so many mutated words."""

    talk = 0.6
    words = (1, 1, 2)
    mutated = 0.8

    def __init__(self, seed: str, cases: int) -> None:
        self.core = World()
        super().__init__(seed, cases, self.core)
        self.numbers = 0

    def word(self) -> Any:
        rng = self.rng
        known = list(self.core.machine.state.records) or ["nothing"]
        keys = rng.sample(known, min(len(known), rng.randint(1, 3)))
        n = len(keys)
        told = self.core.machine.state.told
        heard = rng.choice((0, told, told - 1024)) if told > 1024 else 0
        kind = rng.randrange(16)
        if kind < 5:
            values = [rng.choice((None, b"value", 5)) for _ in keys]
            holders = ["w1"] * values.count(None)
            return m.KeysInMemory(keys, ["int"] * n, values, holders, heard)
        if kind < 7:
            return m.KeyErred(keys[0], _ERROR, _ERROR, keys[-1], heard)
        if kind < 10:
            asked = list(self.core.asked) or [1]
            value = rng.choice((None, True, ["a"], [b"v"]))
            return m.Answer(rng.choice(asked), value, rng.choice(("", "", "TimeoutError")), keys)
        words = [
            m.KeysPending(keys, heard),
            m.KeysLost(keys, "lost", heard),
            m.KeysCancelled(keys, "cancelled", heard),
            m.KeysShared(keys, [1024 * 7] * n, heard),
            m.WorkersChanged(["w1", "w2"], ["w3"]),
            m.ClientWelcome("s", ["w1"]),
            m.Published("t", [Blob(b"v")]),
            m.Subscribers("t", ["w1"], 1),
            m.TopicEvent("t", 1.0, {"a": 1}),
            m.Restarted() if rng.random() < 0.2 else m.KeysPending(keys, heard),
            m.SchedulerClosing("reason") if rng.random() < 0.02 else m.KeysPending(keys, heard),
        ]
        return rng.choice(words)

    def happen(self) -> None:
        rng = self.rng
        self.numbers += 1
        known = self.core.known()
        some = rng.sample(known, min(len(known), 2))
        names = [f"k{self.numbers}-{i}" for i in range(rng.choice((1, 1, 2, 5)))]
        step: tuple[Any, ...] = rng.choice(
            (
                ("submit", names, rng.randrange(3), rng.choice((0, 0, 1, 2))),
                ("submit", names, rng.randrange(3), 0),
                ("submit", names, 0, 1),
                ("scatter", f"s{self.numbers}"),
                ("want", f"w{self.numbers}"),
                ("release", some),
                ("release", some),
                ("cancel", some),
                ("retry", some),
                ("fire", some),
                ("ask", rng.choice(("lock", "queue"))),
                ("unask", rng.randint(1, max(1, self.core.numbers)), rng.random() < 0.5),
                ("again",) if rng.random() < 0.3 else ("release", some),
            )
        )
        self.core.do(*step)
