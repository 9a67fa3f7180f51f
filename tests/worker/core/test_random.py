"""A random scheduler, executor and network around a worker's core: every run is answered once.

The core checks its invariants after every event (`validate`). The world around it keeps what it was
promised: each `Compute` ends in exactly one of Finished, Failed, Rescheduled, MissingDeps or being
given back, unless it was freed or the connection broke; copies asked for come or are refused; the
books on data agree with the store in the end.
"""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.wire import messages as m
from shoal.worker.core import (
    Connected,
    DataAdded,
    DataLost,
    Disconnected,
    Effects,
    Evicted,
    Fetch,
    MemoryMeasured,
    Outcome,
    Outcomes,
    Revoked,
    Seceded,
    TaskRun,
    Tick,
)

from .harness import Core, Failure, compute

KEYS = [f"t{i}" for i in range(6)]
DATA = [f"d{i}" for i in range(4)]
PEERS = ["p", "q", "r"]


class World:
    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.core = Core(
            False,
            resources={"gpu": 2},
            memory_limit=100,
            fetch_bytes=40,
            fetch_message_bytes=20,
            fetches_per_peer=1,
        )
        self.connected = False
        self.run = 0
        self.open: dict[str, int] = {}  # runs that the scheduler waits for
        self.copies: set[str] = set()  # copies it asked for
        self.stealing: set[str] = set()
        self.queued: list[TaskRun] = []
        self.started: list[TaskRun] = []
        self.discarded: set[int] = set()
        self.ended: list[Outcome] = []  # not delivered yet
        self.store: set[str] = set()
        self.fetches: list[Fetch] = []
        self.paused = False
        self.evicting: list[int] = []

    def feed(self, event: object) -> None:
        arrived = set()
        if hasattr(event, "got"):
            arrived = {key for key, _, _ in event.got}
        elif isinstance(event, DataAdded):
            arrived = set(event.keys)
        self.apply(self.core.handle(event), arrived)

    def apply(self, e: Effects, arrived: set[str]) -> None:
        if e.register is not None:
            self.registered(e)
        assert set(e.keep) <= arrived
        self.store |= set(e.keep)
        revoked, kept = [], []
        for task in [*e.revoke, *e.discard]:
            if task in self.queued:
                self.queued.remove(task)
                revoked.append(task)
            elif task not in revoked:
                kept.append(task)
        self.discarded |= {task.run for task in e.discard}
        self.store -= set(e.drop)
        for task in e.execute:
            assert task not in self.queued
            assert task not in self.started
            self.queued.append(task)
        for task in e.refuse:
            self.ended.append(Outcome(task.key, task.run, "error", failure=Failure()))
        for fetch in e.fetch:
            assert fetch.keys
            self.fetches.append(fetch)
        self.paused = (self.paused or e.pause) and not e.resume
        if e.evict:
            self.evicting.append(e.evict)
        for message in e.send:
            self.hear(message)
        if revoked or kept:
            self.feed(Revoked(revoked, kept))

    def registered(self, e: Effects) -> None:
        assert e.register is not None
        running = dict(zip(e.register.running, e.register.running_runs, strict=True))
        ran = [(x.key, x.run) for x in [*self.started, *self.ended]]  # type: ignore[attr-defined]
        assert running.items() <= set(ran)
        self.open = running

    def hear(self, message: object) -> None:
        assert self.connected
        match message:
            case m.Finished():
                for key, run in zip(message.keys, message.runs, strict=True):
                    assert self.open.pop(key) == run
            case m.Failed() | m.Rescheduled():
                assert self.open.pop(message.key) == message.run
            case m.MissingDeps():
                assert self.open.pop(message.key) == message.run
                assert message.deps
                assert len(message.deps) == len(message.absent) == len(message.unreachable)
            case m.StealReply():
                for key, run in zip(message.keys, message.runs, strict=True):
                    assert self.open.pop(key) == run
                for key in [*message.keys, *message.kept]:
                    self.stealing.discard(key)
            case m.Acquired():
                self.copies -= set(message.keys)
                assert set(message.keys) <= set(self.core.machine.state.data)
            case m.NotAcquired():
                self.copies -= set(message.keys)
            case m.LongRunning():
                assert self.open[message.key] == message.run

    # ------------------------------------------------------------------ what may happen

    def say(self, message: object) -> None:
        self.apply(self.core.say(message), set())

    def on_compute(self) -> None:
        if not self.connected:
            return
        r = self.random
        self.run += 1
        key = r.choice(KEYS)
        inputs = r.sample([*DATA, *[k for k in KEYS if k < key]], r.choice([0, 0, 1, 2, 3]))
        deps = {dep: r.sample(PEERS, r.choice([0, 1, 1, 2])) for dep in inputs}
        gpu = r.choice([None, None, {"gpu": 1.0}, {"gpu": 2.0}])
        self.open[key] = self.run
        self.stealing.discard(key)
        self.copies.discard(key)
        self.say(compute(key, self.run, deps, gpu, r.randrange(5), r.choice([1, 10, 30])))

    def on_free(self) -> None:
        keys = self.random.sample([*KEYS, *DATA], 3)
        if self.connected:
            for key in keys:
                self.open.pop(key, None)
                self.stealing.discard(key)
                self.copies.discard(key)
            self.say(m.Free(keys))

    def on_steal(self) -> None:
        keys = self.random.sample(KEYS, 3)
        if self.connected:
            self.stealing |= {key for key in keys if key in self.open}
            self.say(m.Steal(keys))

    def on_acquire(self) -> None:
        key = self.random.choice(DATA)
        if self.connected:
            self.copies.add(key)
            self.say(m.Acquire([key], [10], [self.random.sample(PEERS, 2)]))

    def on_start(self) -> None:
        if not self.queued or self.paused:
            return
        task = self.queued.pop(self.random.randrange(len(self.queued)))
        missing = [dep for dep in task.compute.deps if dep not in self.store]
        if missing:
            self.ended.append(Outcome(task.key, task.run, "missing", missing=missing))
        else:
            self.started.append(task)

    def on_end(self) -> None:
        if not self.started:
            return
        task = self.started.pop(self.random.randrange(len(self.started)))
        kind = self.random.choice(["ok", "ok", "ok", "error", "reschedule"])
        if task.run in self.discarded:
            kind = "discarded"
        if kind == "ok":
            self.store.add(task.key)
        self.ended.append(Outcome(task.key, task.run, kind, nbytes=10, failure=Failure()))

    def on_deliver(self) -> None:
        if self.ended:
            ended, self.ended = self.ended, []
            self.feed(Outcomes(ended))

    def on_secede(self) -> None:
        if self.started:
            task = self.random.choice(self.started)
            self.feed(Seceded(task.key, task.run, 0.1))

    def on_fetch(self) -> None:
        if not self.fetches:
            return
        fetch = self.fetches.pop(self.random.randrange(len(self.fetches)))
        how = self.random.choice(["all", "all", "some", "failure"])
        keys = fetch.keys
        got = keys if how == "all" else self.random.sample(keys, len(keys) // 2)
        rest = tuple(key for key in keys if key not in got)
        if how == "failure":
            self.apply(self.core.got(fetch.peer, *got), set(got))
            self.apply(self.core.fails(fetch.peer, *rest), set())
        else:
            self.apply(self.core.got(fetch.peer, *got, absent=rest), set(got))

    def on_scatter(self) -> None:
        self.feed(DataAdded([self.random.choice(DATA)], [10], ["int"]))

    def on_loss(self) -> None:
        key = self.random.choice([*DATA, *KEYS])
        s = self.core.machine.state
        if key in self.store and key in s.data and key not in s.tasks:
            self.store.discard(key)
            self.feed(DataLost([key], "unreadable"))

    def on_memory(self) -> None:
        self.feed(MemoryMeasured(self.random.choice([10, 50, 78, 90]), 10))

    def on_evicted(self) -> None:
        if self.evicting:
            asked = self.evicting.pop(0)
            freed = self.random.choice([0, asked])
            self.feed(Evicted(asked, freed, reason=self.random.choice(["", "the disk is full"])))

    def on_time(self) -> None:
        self.core.now += 0.06
        self.feed(Tick())

    def on_connection(self) -> None:
        if not self.connected:
            self.connected = True
            self.feed(Connected())
        elif self.random.random() < 0.1:
            self.connected = False
            self.open.clear()
            self.copies.clear()
            self.stealing.clear()
            self.feed(Disconnected("reset"))

    def settle(self) -> None:
        """Let everything that is under way come to its end."""
        if not self.connected:
            self.on_connection()
        self.feed(MemoryMeasured(10, 0))
        for _ in range(1000):
            under_way = (self.queued, self.started, self.ended, self.fetches, self.open)
            if not any(under_way) and not self.core.machine.state.missing_keys:
                break
            self.on_start()
            self.on_end()
            self.on_deliver()
            self.on_fetch()
            self.on_evicted()
            self.on_time()
            self.feed(MemoryMeasured(10, 0))
        for _ in range(5):
            self.on_time()


ACTIONS = sorted(name for name in vars(World) if name.startswith("on_"))
WEIGHTS = [{"on_compute": 5, "on_start": 4, "on_end": 4, "on_fetch": 4}.get(a, 1) for a in ACTIONS]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32))
def test_every_run_is_answered_once(seed: int) -> None:
    world = World(seed)
    world.on_connection()
    for action in world.random.choices(ACTIONS, WEIGHTS, k=80):
        getattr(world, action)()
    world.settle()
    s = world.core.machine.state
    assert world.open == {}
    assert world.copies == set()
    assert world.stealing == set()
    assert (s.tasks, s.orphans, s.missing_keys, s.peers, s.constrained) == ({}, {}, {}, {}, {})
    assert s.available == {"gpu": 2, "memory": 100}
    assert s.fetching_bytes == 0
    assert set(s.data) == world.store
