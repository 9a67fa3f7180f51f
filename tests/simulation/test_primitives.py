"""Simulated users of primitives: whoever dies, nothing of what was asked, held or kept is left."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.scheduler.core.coordination import (
    dataset,
    event,
    handling,
    lock,
    queue,
    semaphore,
    topic,
    variable,
)
from shoal.scheduler.core.coordination.state import coordination_of
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
    answers = guests = evictions = actors = calls = direct = 0
    for seed in some_seeds(10):
        cluster = live(seed, kind)
        answers += cluster.network.seen["Answer"]
        guests += sum(client.home is not None for client in cluster.clients)
        evictions += cluster.evictions
        actors += sum(spec.kind == "actor" for spec in cluster.model.specs.values())
        calls += len(cluster.judge.calls)
        direct += cluster.direct
        coordination = coordination_of(cluster.scheduler.machine.state)
        if coordination is not None:
            assert (
                not coordination.waiting
                and not coordination.held
                and not coordination.unacked
                and not coordination.kept
            ), seed
    assert answers > 50
    assert guests and evictions > 3 and actors > 10
    assert calls or kind == "tasks-kill", "no actor was called"
    assert direct, "no task published to one on another worker"


def test_tasks_die_with_what_they_hold() -> None:
    """Clients of tasks vanish with their workers, locks, leases and subscriptions in hand."""
    held = 0
    orphaned = handling._forget

    def count(coordination: Any, client: str) -> None:
        nonlocal held
        held += len(coordination.held.get(client, ()))
        orphaned(coordination, client)

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
    patch.setattr(queue.Queue, "withdraw", lambda self, coordination, asked: None)


def keep_who_is_gone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(handling, "holder_lost", lambda s, client, graceful: None)


def drop_what_is_published(patch: pytest.MonkeyPatch) -> None:
    pass_on, count = topic.on_publish, 0

    def drop_some(coordination: Any, msg: Any) -> None:
        nonlocal count
        count += 1
        if count % 5:
            pass_on(coordination, msg)

    patch.setattr(topic, "on_publish", drop_some)


def hide_subscribers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(topic.Topic, "tell_publishers", lambda self, coordination: None)


def keep_a_dataset(patch: pytest.MonkeyPatch) -> None:
    unpublish = dataset.OPERATIONS["unpublish"]
    patch.setattr(unpublish, "do", lambda coordination, asked: coordination.answer(asked, True))


def lose_what_is_on_its_way(patch: pytest.MonkeyPatch) -> None:
    """Items that a getter who died was given do not come back to the queue."""

    def lose(self: Any, coordination: Any, items: Any) -> None:
        for item in items:
            coordination.unkeep(item.keys)

    patch.setattr(queue.Queue, "put_back", lose)


def keep_an_old_value(patch: pytest.MonkeyPatch) -> None:
    operation = variable.OPERATIONS["set"]
    do = operation.do

    def set_only(coordination: Any, asked: Any) -> None:
        old = coordination.places.get(("variable", asked.name))
        coordination.keep(old.keys if old is not None else [])  # as if they were never let go
        do(coordination, asked)

    patch.setattr(operation, "do", set_only)


def wake_nobody(patch: pytest.MonkeyPatch) -> None:
    def only_set(coordination: Any, asked: Any) -> None:
        event._event(coordination, asked).flag = True
        coordination.answer(asked)

    patch.setattr(event.OPERATIONS["set"], "do", only_set)


def let_leases_wait(patch: pytest.MonkeyPatch) -> None:
    """A lease that is free is not given to who waits for one."""

    def release(self: Any, coordination: Any, token: Any) -> None:
        del self.leases[token]
        if not self.leases and not self.waiters:
            del coordination.places["semaphore", self.name]

    patch.setattr(semaphore.Semaphore, "release", release)


def let_nothing_expire(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(handling, "_expire", lambda s, coordination: None)


def hide_workers(patch: pytest.MonkeyPatch) -> None:
    """Publishers are not told of the workers that subscribe."""
    describe = topic.Topic.describe

    def some(self: Any) -> Any:
        found = describe(self)
        found.workers = []
        return found

    patch.setattr(topic.Topic, "describe", some)


def make_an_actor_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(losing, "fail_actor_lost", lambda *args: None)


@pytest.mark.parametrize(
    ("bug", "kind"),
    [
        (forget_a_waiter, "everything"),
        (lose_keys, "everything"),
        (keep_who_is_gone, "workers-die"),
        (lose_what_is_on_its_way, "workers-die"),
        (keep_an_old_value, "calm"),
        (wake_nobody, "calm"),
        (let_leases_wait, "calm"),
        (let_nothing_expire, "partitions"),
        (hide_workers, "calm"),
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
