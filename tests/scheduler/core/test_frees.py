"""When workers are told to drop what nobody needs: at once, or while they are busy, on the way."""

from __future__ import annotations

import pytest
from scheduler_harness import Cluster

from shoal.wire import messages as m

DELAY = 0.05


@pytest.fixture
def cluster() -> Cluster:
    """A worker that has `x` and still runs `busy`."""
    cluster = Cluster(free_delay=DELAY, default_task_durations={"g": 1e-5})
    cluster.client()
    cluster.worker("w")
    finish(cluster, "x")
    cluster.graph("c", {"busy": []})
    return cluster


def finish(cluster: Cluster, key: str, nbytes: int = 28) -> None:
    cluster.graph("c", {key: []})
    task = next(task for task in cluster.sent("w") if task.key == key)
    cluster.done("w", task, nbytes=nbytes)


def freed(cluster: Cluster) -> list[str]:
    return [key for message in cluster.told("w", m.Free) for key in message.keys]


def test_an_idle_worker_is_told_at_once(cluster: Cluster) -> None:
    cluster.done("w", *cluster.sent("w"))
    cluster.release("c", "x")
    assert freed(cluster) == ["x"]


def test_a_busy_one_is_told_with_the_next_message_and_before_it(cluster: Cluster) -> None:
    cluster.sent("w")
    cluster.release("c", "x")
    assert not freed(cluster)
    assert cluster.state("x") is None
    cluster.graph("c", {"x": []})  # again: it must not be dropped after it was made anew
    kinds = [type(message) for message in cluster.to_workers["w"]]
    assert kinds[-2:] == [m.Free, m.Compute]
    assert freed(cluster) == ["x"]
    cluster.ignore(m.Compute, why="the new task, whose place among the messages was looked at")


def test_or_when_it_is_busy_no_more(cluster: Cluster) -> None:
    (busy,) = cluster.sent("w")
    cluster.release("c", "x")
    cluster.done("w", busy)
    assert freed(cluster) == ["x"]


def test_or_soon(cluster: Cluster) -> None:
    deadline = cluster.release("c", "x").next_deadline
    assert deadline is not None and deadline <= cluster.now + DELAY
    assert not freed(cluster)
    cluster.advance(DELAY / 2)
    assert not freed(cluster)
    cluster.advance(DELAY / 2)
    assert freed(cluster) == ["x"]
    cluster.release("c", "busy")
    cluster.ignore(
        m.Compute, m.Free, why="what keeps the worker busy, and is taken back at the end"
    )


def test_or_when_there_are_many(cluster: Cluster) -> None:
    keys = [f"y{i}" for i in range(300)]
    cluster.graph("c", {key: [] for key in keys})
    while tasks := [task for task in cluster.sent("w") if task.key != "busy"]:
        cluster.done("w", *tasks)
    cluster.release("c", *keys)
    assert sorted(freed(cluster)) == sorted(keys)


def test_large_results_are_dropped_at_once(cluster: Cluster) -> None:
    finish(cluster, "large", nbytes=1 << 20)
    cluster.release("c", "x")
    assert not freed(cluster)
    cluster.release("c", "large")
    assert freed(cluster) == ["x", "large"]


def test_actors_end_at_once(cluster: Cluster) -> None:
    cluster.graph("c", {"actor": []}, options=m.TaskOptions(actor=True))
    cluster.done("w", *(task for task in cluster.sent("w") if task.key == "actor"))
    cluster.release("c", "actor")
    assert freed(cluster) == ["actor"]


def test_a_task_that_is_not_wanted_any_more_is_stopped_at_once(cluster: Cluster) -> None:
    cluster.release("c", "busy")
    assert freed(cluster) == ["busy"]
    cluster.ignore(m.Compute, why="what the fixture had it run")


def test_a_worker_that_dies_is_told_nothing(cluster: Cluster) -> None:
    cluster.release("c", "x")
    cluster.lose_worker("w")
    cluster.worker("w")  # another, at the same address
    cluster.advance(DELAY)
    assert not freed(cluster)
    cluster.ignore(m.Compute, why="the next worker gets what the dead one ran")
