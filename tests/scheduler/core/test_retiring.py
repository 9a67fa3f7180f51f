"""Workers that leave: what they hold moves first, what they run ends first, in a time."""

from __future__ import annotations

import pytest
from scheduler_harness import Cluster

from shoal.scheduler.core import RetireWorkers
from shoal.wire import messages as m


@pytest.fixture
def cluster() -> Cluster:
    found = Cluster(retire_timeout=60.0)
    found.client("c")
    return found


def test_a_task_that_does_not_end_in_time_is_run_elsewhere(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.graph("c", {"x": []})
    cluster.sent("a")
    cluster.worker("b")
    effects = cluster.handle(RetireWorkers(["a"], within=20.0))
    assert not effects.retired and effects.next_deadline == 20.0
    assert not cluster.advance(19.0).retired
    assert cluster.advance(1.0).retired == ["a"]
    assert cluster.told("a", m.CloseWorker)
    cluster.lose_worker("a")
    assert [task.key for task in cluster.sent("b")] == ["x"]


def test_data_that_does_not_move_in_time_keeps_a_worker(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.graph("c", {"x": []})
    cluster.done("a", *cluster.sent("a"), value=None)
    cluster.worker("b")
    cluster.handle(RetireWorkers(["a"]))
    effects = cluster.advance(60.0)
    assert not effects.retired
    [(address, why)] = effects.not_retired
    assert address == "a" and "'x'" in why
    assert cluster.s.workers["a"].running  # it works on
    assert not cluster.told("a", m.CloseWorker)
    cluster.ignore(m.Acquire, why="the other worker is asked for x, and never has it")


def test_the_end_of_a_lifetime_waits_for_somebody_who_takes_the_data(cluster: Cluster) -> None:
    cluster.worker("a", lifetime=100.0)
    cluster.say("c", m.Scattered(["x"], [28], ["int"], [["a"]]))
    assert not cluster.advance(100.0).retired
    cluster.worker("b")
    assert [acquire.keys for acquire in cluster.told("b", m.Acquire)] == [["x"]]
    assert cluster.hear("b", m.Acquired(["x"], [28], ["int"])).retired == ["a"]
    assert cluster.told("a", m.CloseWorker)


def test_a_lifetime_ends_in_any_case(cluster: Cluster) -> None:
    cluster.worker("a", lifetime=100.0)
    cluster.say("c", m.Scattered(["x"], [28], ["int"], [["a"]]))
    cluster.advance(100.0)
    effects = cluster.advance(60.0)
    assert effects.retired == ["a"]
    [(address, why)] = effects.not_retired
    assert address == "a" and "'x'" in why
    assert cluster.told("a", m.CloseWorker)


def test_a_second_request_can_only_shorten_the_time(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.worker("b")
    cluster.graph("c", {"x": [], "y": []})
    cluster.handle(RetireWorkers(["a"], within=20.0))
    assert cluster.handle(RetireWorkers(["a"], within=50.0)).next_deadline == 20.0
    assert cluster.handle(RetireWorkers(["a"], within=5.0)).next_deadline == 5.0
    cluster.ignore(m.ComputeMany, why="what keeps the workers from being empty")


@pytest.mark.parametrize("name", [0, "0"])
def test_a_name_is_the_same_as_its_text(cluster: Cluster, name: int | str) -> None:
    cluster.worker("a", name=name)
    assert cluster.s.aliases == {"0": "a"}
    assert cluster.s.workers["a"].name == name
    cluster.worker("b", name="0" if name == 0 else 0)
    assert cluster.effects.rejected
    cluster.lose_worker("a")
    assert cluster.s.aliases == {}


def test_who_asks_for_what_is_done_already_is_told_at_once(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.worker("b")
    assert cluster.handle(RetireWorkers(["a"])).retired == ["a"]
    assert cluster.handle(RetireWorkers(["a"])).retired == ["a"]  # it is still closing
    assert len(cluster.told("a", m.CloseWorker)) == 1


def test_a_worker_that_was_emptied_only_can_be_closed(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.worker("b")
    assert cluster.handle(RetireWorkers(["a"], close=False)).retired == ["a"]
    assert not cluster.told("a", m.CloseWorker)
    cluster.advance(100.0)
    effects = cluster.handle(RetireWorkers(["a"]))
    assert effects.retired == ["a"] and not effects.not_retired
    assert cluster.told("a", m.CloseWorker)


def test_a_second_request_to_close_holds_while_the_first_empties(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.graph("c", {"x": []})
    (task,) = cluster.sent("a")
    cluster.worker("b")
    assert not cluster.handle(RetireWorkers(["a"], close=False)).retired
    assert not cluster.handle(RetireWorkers(["a"])).retired
    cluster.done("a", task)
    assert cluster.hear("b", m.Acquired(["x"], [28], ["int"])).retired == ["a"]
    assert cluster.told("a", m.CloseWorker)
    cluster.ignore(m.Acquire, why="the result moves")
