"""A task costs the scheduler a kilobyte of memory at most."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from scheduler_harness import FUNCTION, Cluster

from shoal.wire import messages as m

N = 5_000  # as full as a table of this size gets, as one of 20,000 is
PART = 1000


def _graphs(deps: int) -> list[m.Graph]:
    """Make graphs as a client sends them: keys of usual length, of `deps` inputs each."""
    graphs = []
    for start in range(0, N, PART):
        keys = [f"increment-{i:032x}" for i in range(start, start + PART)]
        inputs = [list(range(max(0, i - deps), i)) for i in range(PART)]
        graphs.append(
            m.Graph(
                keys=keys,
                functions=[FUNCTION],
                args=[b"a pickled argument of some 40 bytes, " + key[-6:].encode() for key in keys],
                deps=inputs if deps else [],
                groups=["increment"],
                order=list(range(start, start + PART)) if deps else [],
            )
        )
    return graphs


@pytest.mark.parametrize(("deps", "limit"), [(0, 640), (1, 940), (2, 1024)])
def test_bytes_of_a_task(deps: int, limit: int) -> None:
    cluster = Cluster(validate=False, log_length=0)
    cluster.worker("a")
    cluster.worker("b")
    cluster.client()
    gc.collect()
    tracemalloc.start()
    try:
        # The messages are freed as they are handled; keys and arguments of tasks stay.
        for graph in _graphs(deps):
            cluster.say("c", graph)
            cluster.to_workers.clear()
        del graph
        gc.collect()
        size = tracemalloc.get_traced_memory()[0] / N
    finally:
        tracemalloc.stop()
    assert len(cluster.s.tasks) == N
    assert 200 < size < limit
