"""While the scheduler waits for those that come back, nothing is placed."""

from __future__ import annotations

import pytest
from scheduler_harness import Cluster

from shoal.wire import messages as m


@pytest.mark.parametrize("order", ["yx", "xy"])
def test_a_result_is_kept_for_clients_on_their_way_though_another_named_it(order: str) -> None:
    """Known as what a task was computed from, wanted by a client that is not back yet."""
    cluster = Cluster()
    cluster.client("a", reconnect=True, known_workers=["w"])
    cluster.graph("a", {"x": [], "y": ["x"]}, wanted=["y"])
    held = {"held": list(order), "held_nbytes": [28, 28], "held_types": ["int", "int"]}
    cluster.worker("w", reconnect=True, **held)
    cluster.client("b", reconnect=True, known_workers=["w"])
    cluster.graph("b", {"x": []})
    assert cluster.state("x") == "memory"
    assert not cluster.sent("w")
    cluster.release("b", "x")
    cluster.advance(100.0)
    assert cluster.state("x") == "released"
    cluster.ignore(m.Free, why="x is dropped when its last client released it")


def test_a_task_is_computed_though_its_result_was_given_up_as_data() -> None:
    """Its client, who can say how, comes back after the worker that had the result was lost."""
    cluster = Cluster()
    cluster.client("a", reconnect=True, known_workers=["w"])
    cluster.graph("a", {"y": ["x"]})
    held = {"held": ["x"], "held_nbytes": [28], "held_types": ["int"]}
    cluster.worker("w", reconnect=True, **held)
    cluster.lose_worker("w", dead=True)
    assert cluster.state("x") == "erred"
    cluster.client("b", reconnect=True)
    cluster.graph("b", {"x": []})
    assert not cluster.told("b", m.KeyErred)
    cluster.worker("w2")
    assert cluster.run_all() == ["x"]
    assert cluster.told("b", m.KeysInMemory)
    cluster.ignore(
        m.KeyErred, why="the first client hears that x and y failed; it is about the second"
    )


def test_a_task_that_became_ready_twice_is_queued_once() -> None:
    """Wanted, brought to rest by a worker that held what needed it, and wanted again."""
    cluster = Cluster()
    cluster.client(reconnect=True, known_workers=["w1", "w2"])
    cluster.graph("c", {"x": [], "y": ["x"]}, wanted=["y"])
    held = {"held": ["y"], "held_nbytes": [28], "held_types": ["int"]}
    cluster.worker("w1", reconnect=True, status="paused", **held)
    assert cluster.state("x") == "released"
    cluster.say("c", m.Want(["x"]))
    cluster.worker("w2", reconnect=True, status="paused")
    assert cluster.state("x") == "queued"
    assert cluster.s.queue.size == 1
    assert sum(1 for entry in cluster.s.log if entry[2] == "queued") == 1


def test_a_run_goes_on_that_secedes_before_its_client_is_back() -> None:
    """The simulator found it (seed 1586): the word that it seceded had its run forgotten."""
    cluster = Cluster()
    cluster.worker("w", reconnect=True, running=["x"], running_runs=[7])
    cluster.hear("w", m.LongRunning("x", 7, 0.1))
    cluster.client(reconnect=True, known_workers=["w"])
    cluster.graph("c", {"x": []})
    cluster.advance(10.0)
    assert not cluster.sent("w")
    assert cluster.state("x") == "processing"
