"""Simulated users of primitives: whoever dies, nothing of what was asked, held or kept is left."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.scheduler.core.coordination import dataset, handling, lock, queue, topic
from shoal.scheduler.core.transitions import losing
from shoal.simulation.cluster import Cluster
from shoal.simulation.coverage import Coverage
from shoal.simulation.primitives import uses_primitives
from shoal.simulation.profiles import KINDS, profile_for
from shoal.simulation.run import Life
from shoal.simulation.trace import Trace


def live(seed: int, kind: str) -> Cluster:
    cluster = Cluster(seed, profile_for(seed, kind, tasks=5), Trace(), Coverage())
    Life(cluster).live()
    return cluster


def some_seeds(count: int) -> list[int]:
    return [seed for seed in range(20_000, 20_000 + 10 * count) if uses_primitives(seed)][:count]


@pytest.mark.parametrize("kind", sorted(set(KINDS)))
def test_nothing_is_left_behind(kind: str) -> None:
    answers = guests = evictions = actors = 0
    for seed in some_seeds(10):
        cluster = live(seed, kind)
        answers += cluster.network.seen["Answer"]
        guests += sum(client.home is not None for client in cluster.clients)
        evictions += cluster.evictions
        actors += sum(spec.kind == "actor" for spec in cluster.model.specs.values())
        desk = cluster.scheduler.machine.state.coordination
        if desk is not None:
            assert not desk.waiting and not desk.held and not desk.parcels and not desk.kept, seed
    assert answers > 50
    assert guests and evictions > 10 and actors > 10


def test_tasks_die_with_what_they_hold() -> None:
    """Clients of tasks vanish with their workers, locks, leases and subscriptions in hand."""
    held = 0
    orphaned = handling._forget

    def count(desk: Any, client: str) -> None:
        nonlocal held
        held += len(desk.held.get(client, ()))
        orphaned(desk, client)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handling, "_forget", count)
        gone = 0
        for seed in some_seeds(24):
            cluster = live(seed, "workers-die")
            gone += sum(c.home is not None and not c.home.alive for c in cluster.clients)
    assert gone >= 4
    assert held


def forget_a_waiter(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(lock.Locks, "_next", lambda self, names: [])


def lose_keys(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(queue.Queue, "withdraw", lambda self, desk, asked: None)


def keep_who_is_gone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(handling, "holder_lost", lambda s, client, graceful: None)


def drop_what_is_published(patch: pytest.MonkeyPatch) -> None:
    pass_on, count = topic.on_publish, 0

    def drop_some(desk: Any, msg: Any) -> None:
        nonlocal count
        count += 1
        if count % 5:
            pass_on(desk, msg)

    patch.setattr(topic, "on_publish", drop_some)


def hide_subscribers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(topic.Topic, "tell_publishers", lambda self, desk: None)


def keep_a_dataset(patch: pytest.MonkeyPatch) -> None:
    unpublish = dataset.OPERATIONS["unpublish"]
    patch.setattr(unpublish, "do", lambda desk, asked: desk.answer(asked, True))


def make_an_actor_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(losing, "fail_actor_lost", lambda *args: None)


@pytest.mark.parametrize(
    ("bug", "kind"),
    [
        (forget_a_waiter, "everything"),
        (lose_keys, "everything"),
        (keep_who_is_gone, "workers-die"),
        (drop_what_is_published, "calm"),
        (hide_subscribers, "calm"),
        (keep_a_dataset, "calm"),
        (make_an_actor_twice, "workers-die"),
    ],
)
def test_bugs_are_seen(monkeypatch: pytest.MonkeyPatch, bug: Any, kind: str) -> None:
    bug(monkeypatch)
    with pytest.raises(AssertionError):
        for seed in some_seeds(80):
            live(seed, kind)
