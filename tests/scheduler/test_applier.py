"""The scheduler's effects at its ports: last messages before the end, the next event afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.scheduler.applier import SchedulerApplier
from shoal.scheduler.core import (
    ClientLost,
    Effects,
    FromClient,
    FromWorker,
    Machine,
    Settings,
    Tick,
    WorkerLost,
)
from shoal.wire import messages as m


class Ports:
    """All ports of an applier; they write down what is asked of them."""

    def __init__(self) -> None:
        self.log: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *args: self.log.append((name, *args))


class Peers:
    def __init__(self, ports: Ports, edge: str) -> None:
        self.log = ports.log
        self.edge = edge

    def send(self, name: str, messages: list[Any]) -> None:
        self.log.append(("send", self.edge, name, messages))

    def dismiss_soon(self, name: str) -> None:
        self.log.append(("dismiss", self.edge, name))

    def drop(self, name: str) -> None:
        self.log.append(("drop", self.edge, name))


class Scripted:
    """A core that answers each event with the effects it was given for it."""

    def __init__(self, *effects: Effects) -> None:
        self.left = list(effects)
        self.heard: list[Any] = []

    def handle(self, event: Any, now: float) -> Effects:
        self.heard.append(event)
        return self.left.pop(0) if self.left else Effects((), {}, {})


def applier_of(machine: Any) -> tuple[SchedulerApplier, list[tuple[Any, ...]]]:
    ports = Ports()
    applier = SchedulerApplier(
        machine,
        lambda: 0.0,
        workers=Peers(ports, "worker"),
        clients=Peers(ports, "client"),
        timer=ports,
        calls=ports,
    )
    return applier, ports.log


def test_everything_in_its_order() -> None:
    effects = Effects(
        (),
        {"w": [1]},
        {"c": [2]},
        rejected=[("refused", "why")],
        close_workers=[("w", "silent")],
        close_clients=[("odd", "nonsense")],
        left_clients=["c"],
        retired=["r"],
        not_retired=[("n", "an actor")],
        idle=True,
        more=True,
        next_deadline=5.0,
    )
    applier, log = applier_of(Scripted(effects))
    applier.feed(Tick())
    assert log == [
        ("send", "worker", "w", [1]),
        ("send", "client", "c", [2]),
        ("worker_refused", "refused", "why"),
        ("send", "worker", "refused", [m.WorkerRejected("why")]),
        ("dismiss", "worker", "refused"),
        ("worker_closed", "w", "silent"),
        ("drop", "worker", "w"),
        ("client_closed", "odd", "nonsense"),
        ("send", "client", "odd", [m.SchedulerClosing("nonsense")]),
        ("dismiss", "client", "odd"),
        ("client_left", "c"),
        ("dismiss", "client", "c"),
        ("worker_retired", "r", None),
        ("worker_retired", "n", "an actor"),
        ("idle",),
        ("continue_soon",),
        ("set", 5.0),
    ]


def test_a_closed_peer_is_lost_after_the_batch_and_the_later_timer_counts() -> None:
    core = Scripted(
        Effects(
            (), {}, {}, close_workers=[("w", "a")], close_clients=[("c", "b")], next_deadline=9.0
        ),
        Effects((), {"other": [1]}, {}, next_deadline=2.0),
        Effects((), {}, {}, next_deadline=1.0),
    )
    applier, log = applier_of(core)
    applier.feed(Tick())
    assert core.heard == [Tick(), WorkerLost("w", "a"), ClientLost("c", "b")]
    assert log[-4:] == [("set", 9.0), ("send", "worker", "other", [1]), ("set", 2.0), ("set", 1.0)]


def test_who_waits_is_answered_in_another_way() -> None:
    applier, log = applier_of(Scripted(Effects((), {}, {"c": [1]}), Effects((), {}, {"c": [2]})))
    direct: list[Any] = []
    applier.feed(FromClient("c", []), lambda name, messages: direct.append((name, messages)))
    applier.feed(Tick())
    assert direct == [("c", [1])]
    assert log == [("send", "client", "c", [2])]


@pytest.mark.parametrize("known", [False, True])
def test_a_real_core_closes_a_worker_that_speaks_nonsense(known: bool) -> None:
    machine = Machine(Settings(validate=True), "scheduler")
    applier, log = applier_of(machine)
    if known:
        register = m.RegisterWorker(
            address="w",
            name="w",
            nthreads=1,
            memory_limit=0,
            resources={},
            pid=1,
            host="host",
            nanny=None,
            status="running",
            server_id="w",
            versions={},
            local_directory="",
        )
        applier.feed(FromWorker("w", [register]))
        assert "w" in machine.state.workers
    applier.feed(FromWorker("w", [m.Release(["x"])]))
    assert ("drop", "worker", "w") in log
    assert not machine.state.workers
