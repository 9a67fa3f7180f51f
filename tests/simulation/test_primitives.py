"""Simulated users of primitives: whoever dies, nothing of what was asked, held or kept is left."""

from __future__ import annotations

import pytest

from shoal.scheduler.core.coordination import lock, queue
from shoal.simulation.cluster import Cluster
from shoal.simulation.coverage import Coverage
from shoal.simulation.primitives import uses_primitives
from shoal.simulation.profiles import KINDS, profile_for
from shoal.simulation.run import Life
from shoal.simulation.trace import Trace


def live(seed: int, kind: str) -> Cluster:
    assert uses_primitives(seed)
    cluster = Cluster(seed, profile_for(seed, kind, tasks=5), Trace(), Coverage())
    Life(cluster).live()
    return cluster


@pytest.mark.parametrize("kind", sorted(set(KINDS)))
def test_nothing_is_left_behind(kind: str) -> None:
    answers = 0
    for seed in range(20_000, 20_048):
        if not uses_primitives(seed):
            continue
        cluster = live(seed, kind)
        answers += cluster.network.seen["Answer"]
        desk = cluster.scheduler.machine.state.coordination
        if desk is not None:
            assert not desk.waiting and not desk.held and not desk.parcels and not desk.kept, seed
    assert answers > 100


@pytest.mark.parametrize("what", ["forgets a waiter", "loses keys"])
def test_bugs_are_seen(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    if what == "forgets a waiter":
        monkeypatch.setattr(lock.Locks, "_next", lambda self, names: [])
    else:
        monkeypatch.setattr(queue.Queue, "withdraw", lambda self, desk, asked: None)
    with pytest.raises(AssertionError):
        for seed in range(20_000, 20_200):
            if uses_primitives(seed):
                live(seed, "everything")
