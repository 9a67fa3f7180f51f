"""The worker's core, told by a scheduler whose words are mutated, among honest peers.

Words take the way that they would take to a real worker: encoded, mutated, decoded and checked. One
that is refused there ends the connection, and the worker makes another, as its link does. After
every event the core's invariants hold, and all it says can be said to a scheduler. In the end, when
nobody wants anything any more, nothing must be left of runs, fetches and resources.
"""

from __future__ import annotations

from typing import Any

from fuzzing.told import ToldEpisode, ToldWorld

from shoal.wire import messages as m
from shoal.wire.blob import Blob
from shoal.wire.codec import BatchCodec
from shoal.worker.core import (
    Connected,
    DataAdded,
    DataLost,
    Disconnected,
    Effects,
    Fetch,
    Fetched,
    FetchFailed,
    FromScheduler,
    Machine,
    MemoryMeasured,
    Outcome,
    Outcomes,
    ResourcesSet,
    Revoked,
    Seceded,
    Settings,
    Started,
    TaskRun,
    Tick,
)

__all__ = ["Episode", "replay"]

_KEYS = ["a", "b", "('x', 0)", "('x', 1)", "c", "d"]
_PEERS = ["p", "q", "r"]
_FUNCTION = b"f" * 16
_HEARS: BatchCodec[Any] = BatchCodec(m.SchedulerToWorker)
_SAYS: BatchCodec[Any] = BatchCodec(m.WorkerToScheduler)


class _Failure:
    exception = traceback = Blob(b"error")
    exception_text = "error"
    traceback_text = ""
    kinds = ["ValueError"]
    agreed = True


class World(ToldWorld):
    """A worker's core, and what is around it; the steps say which of its tasks and fetches move."""

    hears = _HEARS

    def __init__(self) -> None:
        super().__init__()
        self.machine = Machine(
            Settings(
                resources={"GPU": 2.0},
                memory_limit=1000,
                fetch_bytes=100,
                fetch_message_bytes=50,
                fetches_per_peer=1,
                validate=True,
            )
        )
        self.over = False  # it was told to close
        self.queued: list[TaskRun] = []
        self.ended: list[Outcome] = []
        self.fetches: list[Fetch] = []
        self.apply(self.machine.handle(Connected(), 0.0))

    def feed(self, event: Any) -> None:
        self.apply(self.machine.handle(event, self.now))

    def apply(self, effects: Effects) -> None:
        if effects.send:
            _SAYS.decode(_SAYS.encode(effects.send))
        revoked, kept = [], []
        for task in [*effects.revoke, *effects.discard]:
            if task in self.queued:
                self.queued.remove(task)
                revoked.append(task)
            elif task not in revoked:
                kept.append(task)
        for task in effects.execute:
            assert task not in self.queued, f"{task} was handed over twice"
            self.queued.append(task)
        self.fetches += effects.fetch
        # What is abandoned never ends: its thread is given up.
        self.queued = [task for task in self.queued if task not in effects.abandon]
        if effects.close is not None:
            self.over = True
        if revoked or kept:
            self.feed(Revoked(revoked, kept))

    # -- steps ------------------------------------------------------------------------------

    def hear(self, messages: list[Any]) -> None:
        self.feed(FromScheduler(messages))

    def on_again(self) -> None:
        """The connection is lost, and made again."""
        self.feed(Disconnected("lost"))
        self.feed(Connected())

    def on_run(self, which: int, kind: str) -> None:
        if self.queued:
            task = self.queued.pop(which % len(self.queued))
            failure = _Failure() if kind == "error" else None
            missing = tuple(task.compute.deps[:1]) if kind == "missing" else ()
            if kind == "missing" and not missing:
                kind = "ok"
            self.feed(
                Outcomes(
                    [
                        Outcome(
                            task.key,
                            task.run,
                            kind,
                            1.0,
                            2.0,
                            10,
                            "int",
                            failure=failure,
                            missing=missing,
                        )
                    ]
                )
            )

    def on_secede(self, which: int) -> None:
        if self.queued:
            task = self.queued[which % len(self.queued)]
            self.feed(Seceded(task.key, task.run, 0.1))

    def on_start(self, which: int) -> None:
        if self.queued:
            task = self.queued[which % len(self.queued)]
            self.feed(Started(task.key, task.run, 0.01))

    def on_fetched(self, which: int, how: str) -> None:
        if not self.fetches:
            return
        fetch = self.fetches.pop(which % len(self.fetches))
        keys = fetch.keys
        if how == "fail":
            self.feed(FetchFailed(fetch.peer, keys, "no route", fetch.lives))
        elif how == "absent":
            self.feed(Fetched(fetch.peer, [], keys, fetch.lives))
        else:
            self.feed(Fetched(fetch.peer, [(key, 10, "int") for key in keys], [], fetch.lives))

    def on_time(self, seconds: float) -> None:
        self.now += seconds
        self.feed(Tick())

    def on_memory(self, nbytes: int) -> None:
        self.feed(MemoryMeasured(nbytes, 10))

    def on_scatter(self, key: str, life: int) -> None:
        self.feed(DataAdded([key], [10], ["int"], [life]))

    def on_loss(self, key: str) -> None:
        if key in self.machine.state.data:
            self.feed(DataLost([key], "unreadable"))

    def on_resources(self, amount: float) -> None:
        self.feed(ResourcesSet({"GPU": amount}))

    def on_end(self) -> None:
        """Nobody wants anything any more, and all that is under way comes to its end."""
        self.feed(Disconnected("the end"))
        for _ in range(500):
            if not self.queued and not self.fetches:
                break
            self.on_run(0, "ok")
            self.on_fetched(0, "ok")
        s = self.machine.state
        left = (s.tasks, s.orphans, s.missing_keys, s.constrained)
        assert not any(left), f"left behind: {left}"
        assert s.fetching_bytes == 0, f"{s.fetching_bytes} bytes are said to be under way"
        for name, amount in s.resources.items():
            assert abs(s.available[name] - amount) < 1e-6, f"{name}: {s.available[name]}"


replay = World.replay


class Episode(ToldEpisode):
    """A worker's life, of so many mutated words."""

    talk = 0.5
    words = (1, 1, 2, 3)
    mutated = 0.7

    def __init__(self, seed: str, cases: int) -> None:
        self.core = World()
        super().__init__(seed, cases, self.core)
        self.run_number = 0
        self.life = 1

    def word(self) -> Any:
        rng = self.rng
        kind = rng.randrange(14)
        keys = rng.sample(_KEYS, rng.randint(1, 3))
        n = len(keys)
        lives = rng.choice(([], [self.life] * n))
        if kind < 5:
            return self.compute()
        if kind == 5:
            self.run_number += 10
            return m.ComputeMany(
                keys, self.run_number, _FUNCTION, [b"a"] * n, [(0.0, 0, 1)] * n, 0.1, True, 1
            )
        if kind == 6:
            return m.DefineFunctions([_FUNCTION], [Blob(b"function")])
        if kind == 7:
            return m.ForgetFunctions([_FUNCTION])
        if kind == 8:
            return m.Steal(keys)
        if kind < 11:
            holders = [rng.sample(_PEERS, rng.randint(0, 2)) for _ in keys]
            return m.Acquire(keys, [10] * n, holders, lives, rng.choice(([], [0] * n)))
        if kind == 11 and rng.random() < 0.3:
            return m.WorkerWelcome("s", 1.0, keys, keys[:1], lives)
        if kind == 12 and rng.random() < 0.05:
            return m.CloseWorker("reason", True)
        if kind == 12:
            orphans = list(self.core.machine.state.orphans)[:2]
            return m.Interrupt([key for key, _ in orphans], [run for _, run in orphans], "force")
        return m.Free(keys, lives)

    def compute(self) -> m.Compute:
        rng = self.rng
        self.run_number += 1
        if rng.random() < 0.2:
            self.life += 1
        at = rng.randrange(len(_KEYS))
        deps = rng.sample(_KEYS[:at], rng.randint(0, min(at, 3)))
        n = len(deps)
        options = None
        if rng.random() < 0.3:
            resources = rng.choice((None, {"GPU": 1.0}, {"GPU": 2.0}))
            options = m.TaskOptions(resources=resources, timeout=rng.choice((0.0, 0.05)))
        return m.Compute(
            _KEYS[at],
            self.run_number,
            _FUNCTION,
            b"args",
            (0.0, 0, rng.randrange(5)),
            0.1,
            True,
            tuple(deps),
            rng.choice(((), (10,) * n)),
            rng.choice(((), tuple([rng.sample(_PEERS, rng.randint(0, 2)) for _ in deps]))),
            (),
            options,
            rng.choice(((), (), tuple([rng.choice((None, 5)) for _ in deps]))),
            self.life,
            rng.choice(((), (self.life,) * n)),
        )

    def happen(self) -> None:
        rng = self.rng
        which = rng.randrange(100)
        step: tuple[Any, ...] = rng.choice(
            (
                ("run", which, rng.choice(("ok", "ok", "ok", "error", "reschedule", "missing"))),
                ("run", which, "ok"),
                ("run", which, "ok"),
                ("fetched", which, rng.choice(("ok", "ok", "ok", "fail", "absent"))),
                ("fetched", which, "ok"),
                ("secede", which),
                ("start", which),
                ("start", which),
                ("time", rng.choice((0.06, 1.0))),
                ("memory", rng.choice((10, 500, 780, 900))),
                ("scatter", rng.choice(_KEYS), self.life),
                ("loss", rng.choice(_KEYS)),
                ("resources", rng.choice((1.0, 2.0))),
                ("again",) if rng.random() < 0.3 else ("time", 0.06),
            )
        )
        self.core.do(*step)
