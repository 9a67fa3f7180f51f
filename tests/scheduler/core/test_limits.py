"""Timeouts by prefix, and what is stopped when it is cancelled by force."""

from __future__ import annotations

from scheduler_harness import Cluster

from shoal.errors import TaskTimeout
from shoal.wire import messages as m
from shoal.wire.messages import TaskOptions
from shoal.wire.pickling import loads


def timeouts(cluster: Cluster) -> dict[str, float]:
    found = {task.key: task.options for task in cluster.sent("a")}
    return {key: 0.0 if options is None else options.timeout for key, options in found.items()}


def cluster_with(**defaults: float) -> Cluster:
    cluster = Cluster(task_timeouts=defaults)
    cluster.client()
    cluster.worker("a", nthreads=10)
    return cluster


def test_tasks_of_a_prefix_have_its_timeout_unless_they_ask_for_another() -> None:
    cluster = cluster_with(g=30.0)  # the prefix of the harness's groups
    cluster.graph("c", {"one": [], "two": ["one"]}, wanted=["two"])
    cluster.graph("c", {"three": []}, options=TaskOptions(timeout=5.0))
    cluster.graph("c", {"four": []}, options=TaskOptions(retries=2))
    assert timeouts(cluster) == {"one": 30.0, "three": 5.0, "four": 30.0}
    cluster.ignore_all("the rest does not matter")


def test_other_prefixes_have_none() -> None:
    cluster = cluster_with(h=30.0)
    cluster.graph("c", {"one": []})
    assert timeouts(cluster) == {"one": 0.0}


def test_what_a_task_asks_for_besides_is_kept() -> None:
    cluster = cluster_with(g=30.0)
    cluster.graph("c", {"x": []}, options=TaskOptions(retries=2))
    [task] = cluster.sent("a")
    assert task.options == TaskOptions(retries=2, timeout=30.0)


def test_a_map_has_it_too() -> None:
    cluster = cluster_with(g=30.0)
    cluster.graph("c", {f"x{i}": [] for i in range(5)})
    assert timeouts(cluster) == {f"x{i}": 30.0 for i in range(5)}


def test_what_runs_and_is_cancelled_by_force_is_stopped() -> None:
    cluster = Cluster()
    cluster.client()
    cluster.worker("a")
    cluster.graph("c", {"x": [], "y": []})
    runs = {task.key: task.run for task in cluster.sent("a")}
    cluster.say("c", m.Cancel(["x"], force=True, reason="enough"))
    [interrupt] = cluster.told("a", m.Interrupt)
    assert interrupt == m.Interrupt(["x"], [runs["x"]], "enough")
    cluster.say("c", m.Cancel(["y"]))
    assert cluster.told("a", m.Interrupt) == []
    cluster.ignore(m.Free, why="what is cancelled is taken back, with force or without")


def test_it_is_remembered_as_an_event() -> None:
    cluster = Cluster()
    cluster.worker("a")
    cluster.hear("a", m.Interrupted("x", 1, "timeout", "in f", 2.5))
    cluster.hear("a", m.Interrupted("x", 1, "timeout", "in f", 7.5, replaced=True))
    (_, first), (_, second) = cluster.s.notes.events["interrupts"]
    assert first["action"] == "task-interrupted" and second["action"] == "worker-replaced"
    assert (first["key"], first["worker"], first["where"]) == ("x", "a", "in f")


def lost_with(options: TaskOptions) -> tuple[Cluster, dict[str, int]]:
    """A process with two tasks that was ended for the first of them."""
    cluster = Cluster(allowed_failures=0)
    cluster.client()
    cluster.worker("a", nthreads=2)
    cluster.graph("c", {"late": []}, options=options)
    cluster.graph("c", {"beside": []})
    runs = {task.key: task.run for task in cluster.sent("a")}
    cluster.lose_worker("a", running=tuple(runs.values()), overdue=(runs["late"],))
    cluster.worker("b", nthreads=2)
    return cluster, runs


def test_of_a_process_that_was_ended_for_a_task_only_that_task_fails() -> None:
    cluster, _ = lost_with(TaskOptions(timeout=2.0))
    [erred] = cluster.told("c", m.KeyErred)
    error = loads(erred.exception)
    assert isinstance(error, TaskTimeout) and (error.key, error.timeout) == ("late", 2.0)
    assert [task.key for task in cluster.sent("b")] == ["beside"]
    assert not any(task.options and task.options.alone for task in cluster.sent("b"))


def test_it_is_tried_again_as_any_task_that_fails() -> None:
    for policy, again in (
        (None, True),
        (m.RetryPolicy(on=["builtins.TimeoutError"]), True),
        (m.RetryPolicy(on=["builtins.KeyError"]), False),
    ):
        cluster, _ = lost_with(TaskOptions(timeout=2.0, retries=1, retry=policy))
        keys = {task.key for task in cluster.sent("b")}
        assert keys == ({"late", "beside"} if again else {"beside"})
        assert len(cluster.told("c", m.KeyErred)) == (not again)
