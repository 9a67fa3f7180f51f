"""Nothing of a forgotten task stays behind: no cycle, no entry, no counter."""

from __future__ import annotations

import gc

from scheduler_harness import Cluster

from shoal.wire import messages as m


def _round(cluster: Cluster, number: int, size: int) -> None:
    """Submit a map and a sum of it, let all run, release all."""
    keys = [f"x-{number}-{i}" for i in range(size)]
    total = f"sum-{number}"
    cluster.graph("c", {**{key: [] for key in keys}, total: keys}, wanted=[*keys, total])
    cluster.run_all()
    assert cluster.state(total) == "memory"
    cluster.release("c", *keys, total)
    cluster.to_clients.clear()
    for messages in cluster.to_workers.values():
        messages.clear()


def test_memory_stays_flat_with_the_collector_off() -> None:
    cluster = Cluster(validate=False, log_length=0)
    for name in ("a", "b"):
        cluster.worker(name, nthreads=4)
    cluster.client()
    for number in range(3):  # caches, estimates, groups
        _round(cluster, number, 1000)
    gc.collect()
    gc.disable()
    try:
        before = len(gc.get_objects())
        for number in range(3, 53):
            _round(cluster, number, 1000)
        grown = len(gc.get_objects()) - before
        # A leaked task is at least three objects; there were 50,000.
        assert grown < 1000
        assert gc.collect() < 100
    finally:
        gc.enable()
    assert not cluster.s.tasks and not cluster.s.queue.size


def test_groups_and_functions_of_forgotten_tasks_go_too() -> None:
    cluster = Cluster()
    cluster.worker("a")
    cluster.client()
    for number in range(20):
        _round(cluster, number, 5)
    assert len(cluster.s.groups) <= 2
    cluster.lose_client("c")
    cluster.advance(11)
    assert not cluster.s.functions and not cluster.s.tasks
    cluster.ignore(
        m.ForgetFunctions, why="the worker forgets each function when the last task of it is gone"
    )
