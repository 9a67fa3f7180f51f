"""The worker's effects at its ports: inputs before runs, old results gone before new ones."""

from __future__ import annotations

from typing import Any

from shoal.wire import messages as m
from shoal.wire.blob import Blob
from shoal.worker.applier import WorkerApplier
from shoal.worker.core import (
    Connected,
    Effects,
    Fetch,
    FromScheduler,
    Machine,
    Registration,
    Revoked,
    Settings,
    TaskRun,
    Tick,
)


class Ports:
    """All ports of an applier; they write down what is asked of them."""

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []
        self.applier: WorkerApplier | None = None

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.log.append((name, *args))

    def revoke(self, runs: list[TaskRun]) -> tuple[list[TaskRun], list[TaskRun]]:
        self.log.append(("revoke", runs))
        return runs, []

    def discard(self, runs: list[TaskRun]) -> tuple[list[TaskRun], list[TaskRun]]:
        self.log.append(("discard", runs))
        return [], runs

    def introduce(self, known: Registration) -> Any:
        return known

    def took_back(self, answer: Revoked) -> None:
        assert self.applier is not None
        self.applier.feed(answer)


class Scripted:
    """A core that answers each event with the effects it was given for it."""

    def __init__(self, *effects: Effects) -> None:
        self.left = list(effects)
        self.heard: list[Any] = []
        self.state = Machine(Settings()).state

    def handle(self, event: Any, now: float) -> Effects:
        self.heard.append(event)
        return self.left.pop(0) if self.left else Effects()


def applier_of(machine: Any) -> tuple[WorkerApplier, list[tuple[Any, ...]]]:
    ports = Ports()
    applier = ports.applier = WorkerApplier(
        machine,
        lambda: 0.0,
        link=ports,
        store=ports,
        functions=ports,
        executor=ports,
        timer=ports,
        calls=ports,
    )
    return applier, ports.log


def run(key: str) -> TaskRun:
    return TaskRun(m.Compute(key, 1, b"f", b"args", (0.0, 0, 0), 0.001, False), key, 1)


def test_everything_in_its_order() -> None:
    known = Registration([], [], [], [], [], "running")
    old, gone, new = run("old"), run("gone"), run("new")
    effects = Effects(
        register=known,
        keep=["x"],
        define={b"f": Blob(b"function")},
        revoke=[old],
        discard=[gone],
        drop=["y"],
        execute=[new],
        after={new: (old,)},
        forget=[b"g"],
        fetch=[Fetch("peer", ["z"], 10)],
        pause=True,
        resume=True,
        refuse={new: "no room"},
        evict=100,
        in_use=frozenset("a"),
        spare=["b"],
        reclaim="trim",
        send=[1, 2],
        deadline=5.0,
        close=("why", True),
    )
    core = Scripted(effects)
    core.state.data["x"] = (7, "int")
    applier, log = applier_of(core)
    applier.feed(Tick(), {"x": "value"})
    assert log == [
        ("send", [known]),
        ("put", "x", "value", 7),
        ("define", b"f", Blob(b"function")),
        ("revoke", [old]),
        ("discard", [gone]),
        ("drop", ["y"]),
        ("submit", [new], {new: (old,)}),
        ("forget", b"g"),
        ("fetch", Fetch("peer", ["z"], 10)),
        ("pause",),
        ("paused",),
        ("resume",),
        ("resumed",),
        ("refuse", new, "no room"),
        ("evict", 100, frozenset("a"), ["b"]),
        ("reclaim", "trim"),
        ("send", [1, 2]),
        ("set", 5.0),
        ("close", "why", True),
    ]
    assert core.heard == [Tick(), Revoked([old], []), Revoked([], [gone])]


def test_what_the_executor_took_back_is_told_after_the_batch_it_was_taken_in() -> None:
    machine = Machine(Settings(validate=True))
    applier, log = applier_of(machine)
    applier.feed(Connected())
    one = m.Compute("one", 1, b"f", b"args", (0.0, 0, 0), 0.001, False)
    two = m.Compute("two", 2, b"f", b"args", (0.0, 0, 0), 0.001, False)
    applier.feed(FromScheduler([one]))
    del log[:]
    applier.feed(FromScheduler([m.Steal(["one", "unknown"]), two]))
    assert [name for name, *_ in log] == ["revoke", "submit", "send", "send"]
    assert log[-2:] == [
        ("send", [m.StealReply([], [], ["unknown"])]),
        ("send", [m.StealReply(["one"], [1], [])]),
    ]
