"""Large changes are carried on in later events; small ones end with their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from scheduler_harness import FUNCTION, Cluster

from shoal.scheduler.core import (
    ClientLost,
    Continue,
    FromClient,
    FromWorker,
    RetireWorkers,
    WorkerLost,
)
from shoal.wire import messages as m

SLICE = 100
N = 2000
MOST = 2 * SLICE  # transitions of a task are two at most, in one place


class Counting(Cluster):
    """Notes how many different tasks each event moved."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"slice": SLICE, "validate": False, "log_length": 0, **settings})
        self.moved: set[str] = set()
        self.most = 0
        self.events = 0
        self.s.watch = lambda ts, start, finish: self.moved.add(ts.key)

    def handle_slice(self, event: Any) -> Any:
        self.moved.clear()
        self.events += 1
        effects = super().handle_slice(event)
        self.most = max(self.most, len(self.moved))
        return effects


@pytest.fixture
def cluster() -> Iterator[Counting]:
    cluster = Counting()
    for name in "ab":
        cluster.worker(name, nthreads=2)
    cluster.client()
    yield cluster


def fill(cluster: Counting, n: int = N, done: bool = True) -> list[str]:
    """Have a map there, in parts as clients send it."""
    keys = [f"x-{i}" for i in range(n)]
    for start in range(0, n, SLICE):
        cluster.graph("c", {key: [] for key in keys[start : start + SLICE]})
    if done:
        cluster.run_all()
        assert set(cluster.states().values()) == {"memory"}
    cluster.most = cluster.events = 0
    return keys


def test_release(cluster: Counting) -> None:
    keys = fill(cluster)
    cluster.release("c", *keys)
    assert not cluster.s.tasks
    assert cluster.most <= MOST and cluster.events >= N // SLICE
    cluster.ignore(m.Free, why="all results are dropped, in many messages")


def test_release_of_what_needs_everything(cluster: Counting) -> None:
    """Nobody names the tasks that go with the last one."""
    rows = {f"x-{i}": [f"x-{i - 1}"] if i else [] for i in range(N)}
    cluster.graph("c", rows, wanted=[f"x-{N - 1}"])
    cluster.run_all()
    cluster.most = 0
    cluster.release("c", f"x-{N - 1}")
    assert not cluster.s.tasks
    assert cluster.most <= MOST
    cluster.ignore(m.Free, why="all results are dropped, in many messages")


def test_cancel(cluster: Counting) -> None:
    keys = fill(cluster, done=False)
    cluster.say("c", m.Cancel(keys))
    assert not cluster.s.tasks and not cluster.s.queue.size
    assert cluster.most <= MOST + 4 * 500  # and what workers had
    cluster.ignore(m.ComputeMany, m.Free, why="workers had some of them, and give these back")


def test_a_client_that_is_lost(cluster: Counting) -> None:
    fill(cluster)
    cluster.lose_client("c")
    assert cluster.most <= MOST and len(cluster.s.adopted.wants) == N
    cluster.advance(11)
    while cluster.s.tasks:
        cluster.advance(0)
    assert cluster.most <= MOST
    cluster.ignore(m.ForgetFunctions, m.Free, why="all results and the function go with it")


def test_a_worker_that_is_lost(cluster: Counting) -> None:
    fill(cluster)
    held = len(cluster.s.workers["a"].has_what)
    cluster.lose_worker("a")
    assert sum(state != "memory" for state in cluster.states().values()) == held
    assert cluster.most <= MOST + 2 * 500  # and what the other worker was sent
    cluster.run_all()
    assert set(cluster.states().values()) == {"memory"}
    cluster.ignore(m.KeysPending, why="its results are pending until they are made again")


def test_a_first_worker() -> None:
    cluster = Counting()
    cluster.client()
    fill(cluster, done=False)
    cluster.worker("a")
    assert cluster.most <= MOST
    cluster.run_all()
    assert set(cluster.states().values()) == {"memory"}


def test_graphs_that_come_together(cluster: Counting) -> None:
    parts = [
        m.Graph(keys=[f"x-{j}-{i}" for i in range(SLICE)], functions=[FUNCTION], args=[b""] * SLICE)
        for j in range(20)
    ]
    cluster.say("c", *parts)
    assert cluster.most <= MOST + SLICE and len(cluster.s.tasks) == N
    cluster.ignore(m.Compute, why="workers get their first tasks; it is about the slices")


def test_events_of_one_turn_share_a_slice(cluster: Counting) -> None:
    graphs = [
        m.Graph(keys=[f"x-{j}-{i}" for i in range(SLICE)], functions=[FUNCTION], args=[b""] * SLICE)
        for j in range(5)
    ]
    assert all(cluster.handle_slice(FromClient("c", [graph])).more for graph in graphs)
    assert len(cluster.s.tasks) == SLICE
    rounds = 0
    while cluster.handle_slice(Continue()).more:
        rounds += 1
    assert len(cluster.s.tasks) == 5 * SLICE and rounds >= 4
    few = m.Graph(keys=["a", "b"], functions=[FUNCTION], args=[b""] * 2)
    assert not cluster.handle_slice(FromClient("c", [few])).more
    assert cluster.s.budget > SLICE / 2
    cluster.ignore(m.Compute, why="workers get their first tasks; it is about the slices")


def test_what_a_client_says_waits_for_what_it_said_before(cluster: Counting) -> None:
    """A key that was released means another task afterwards, however long the release takes."""
    keys = fill(cluster)
    again = m.Graph(keys=[keys[0]], functions=[FUNCTION], args=[b"other"])
    effects = cluster.handle_slice(FromClient("c", [m.Release(keys[::-1])]))
    assert effects.more
    assert cluster.handle_slice(FromClient("c", [again])).more
    assert cluster.s.tasks[keys[0]].args == b"args"
    while cluster.handle_slice(Continue()).more:
        pass
    (sent,) = cluster.sent("a") + cluster.sent("b")
    assert sent.key == keys[0] and sent.args == b"other"
    assert list(cluster.s.tasks) == [keys[0]]
    cluster.ignore(m.Free, why="all results are dropped, in many messages")


def test_what_a_lost_client_said_is_heard(cluster: Counting) -> None:
    keys = fill(cluster)
    cluster.handle_slice(FromClient("c", [m.Release(keys)]))
    graph = m.Graph(keys=["y"], functions=[FUNCTION], args=[b""])
    cluster.handle_slice(FromClient("c", [graph, m.FireAndForget(["y"])]))
    cluster.handle(ClientLost("c"))
    assert cluster.states() == {"y": "processing"}
    cluster.ignore(
        m.Compute, m.Free, why="results of the client are dropped, and its last task is sent"
    )


def test_others_go_on_while_a_worker_is_being_lost(cluster: Counting) -> None:
    fill(cluster)
    assert cluster.handle_slice(WorkerLost("a")).more
    beat = m.WorkerHeartbeat({}, {})
    cluster.handle_slice(FromWorker("b", [beat]))
    assert cluster.s.workers["b"].last_seen == cluster.now
    while cluster.handle_slice(Continue()).more:
        pass
    cluster.run_all()
    assert set(cluster.states().values()) == {"memory"}
    cluster.ignore(m.KeysPending, why="its results are pending until they are made again")


def test_a_worker_that_retires_full(cluster: Counting) -> None:
    fill(cluster, 3 * N)
    held = len(cluster.s.workers["a"].has_what)
    assert held > 1000
    cluster.handle(RetireWorkers(["a"]))
    for _ in range(1000):
        asked = [key for msg in cluster.told("b", m.Acquire) for key in msg.keys]
        assert len(asked) <= SLICE
        if not asked:
            assert cluster.effects.next_deadline is not None
            cluster.advance(max(0.0, cluster.effects.next_deadline - cluster.now))
        else:
            n = len(asked)
            cluster.hear("b", m.Acquired(asked, [28] * n, ["int"] * n))
        if cluster.effects.retired:
            break
    assert list(cluster.effects.retired) == ["a"]
    assert len(cluster.s.workers["b"].has_what) == 3 * N
    cluster.ignore(m.CloseWorker, why="it is told to close when it is empty, as the effects tell")
