"""Retries by a policy: of what, how often, and after which pause."""

from __future__ import annotations

import pytest
from scheduler_harness import ERROR, Cluster

from shoal.scheduler.core.policies.retrying import pause_before
from shoal.wire import messages as m
from shoal.wire.messages import RetryPolicy, TaskOptions

OS_ERROR = ["builtins.FileNotFoundError", "builtins.OSError", "builtins.Exception"]


def cluster_with(policy: RetryPolicy, retries: int = 2) -> Cluster:
    cluster = Cluster()
    cluster.client()
    cluster.worker("a")
    cluster.graph("c", {"x": []}, options=TaskOptions(retries=retries, retry=policy))
    return cluster


def fail(cluster: Cluster, kinds: list[str] = OS_ERROR, agreed: bool = True) -> None:
    [task] = cluster.sent("a")
    failed = m.Failed(task.key, task.run, ERROR, ERROR, "", "", 0.0, 0.0, kinds, agreed)
    cluster.hear("a", failed)


def test_nothing_is_sent_before_the_pause_is_over() -> None:
    cluster = cluster_with(RetryPolicy(delay=1.0, backoff=3.0))
    fail(cluster)
    assert cluster.effects.next_deadline == 1.0
    assert cluster.sent("a") == []
    cluster.advance(0.9)
    assert cluster.sent("a") == []
    cluster.advance(0.1)
    fail(cluster)
    cluster.advance(2.9)
    assert cluster.sent("a") == []
    cluster.advance(0.2)
    fail(cluster)
    assert len(cluster.told("c", m.KeyErred)) == 1


def test_the_worker_works_meanwhile() -> None:
    cluster = cluster_with(RetryPolicy(delay=10.0))
    fail(cluster)
    cluster.graph("c", {"y": []})
    assert [task.key for task in cluster.sent("a")] == ["y"]


@pytest.mark.parametrize(
    ("on", "agreed", "again"),
    [
        ([], True, True),
        (["builtins.OSError"], True, True),
        (["builtins.KeyError", "builtins.Exception"], True, True),
        (["builtins.KeyError"], True, False),
        ([], False, False),
        (["builtins.OSError"], False, False),
    ],
)
def test_only_what_is_worth_it_is_tried_again(on: list[str], agreed: bool, again: bool) -> None:
    cluster = cluster_with(RetryPolicy(on=on))
    fail(cluster, agreed=agreed)
    assert len(cluster.sent("a")) == again
    assert len(cluster.told("c", m.KeyErred)) == (not again)


def test_a_task_that_waits_can_be_cancelled_and_forgotten() -> None:
    cluster = cluster_with(RetryPolicy(delay=10.0))
    fail(cluster)
    cluster.say("c", m.Cancel(["x"]))
    cluster.release("c", "x")
    assert not cluster.s.sleeping and not cluster.s.tasks
    cluster.advance(20.0)
    assert cluster.sent("a") == []


def test_pauses_are_spread_by_key_and_the_same_each_time() -> None:
    policy = RetryPolicy(delay=4.0, backoff=2.0, jitter=True)
    pauses = [pause_before(policy, f"x-{i}", 2) for i in range(100)]
    assert pauses == [pause_before(policy, f"x-{i}", 2) for i in range(100)]
    assert all(4.0 <= pause <= 8.0 for pause in pauses)
    assert max(pauses) - min(pauses) > 3.0 and len(set(pauses)) == 100


def test_a_pause_has_an_end() -> None:
    assert pause_before(RetryPolicy(delay=1.0, backoff=10.0), "x", 10_000) == 86_400.0
