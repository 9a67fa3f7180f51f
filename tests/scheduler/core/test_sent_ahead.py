"""Short tasks are sent ahead of their inputs, to the worker that computes these."""

from __future__ import annotations

from scheduler_harness import Cluster

from shoal.scheduler.core.explain import explain
from shoal.wire import messages as m


def _cluster(*workers: str, seconds: float = 1e-5, **settings: float) -> Cluster:
    cluster = Cluster(default_task_durations={"g": seconds}, **settings)
    cluster.client()
    for worker in workers or ("w1",):
        cluster.worker(worker)
    return cluster


def _keys(tasks: list[m.Compute]) -> list[str]:
    return [task.key for task in tasks]


def _chain(cluster: Cluster, length: int = 3) -> list[m.Compute]:
    keys = [f"x{i}" for i in range(length)]
    cluster.graph("c", {key: keys[max(0, i - 1) : i] for i, key in enumerate(keys)})
    return cluster.sent("w1")


def test_a_chain_is_sent_at_once() -> None:
    cluster = _cluster()
    tasks = _chain(cluster)
    assert _keys(tasks) == ["x0", "x1", "x2"]
    assert tasks[1].dep_holders == ([],)
    assert cluster.states() == {"x0": "processing", "x1": "waiting", "x2": "waiting"}
    cluster.done("w1", tasks[0])
    assert cluster.states() == {"x0": "memory", "x1": "processing", "x2": "waiting"}
    assert not cluster.sent("w1")
    cluster.done("w1", *tasks[1:])
    assert set(cluster.states().values()) == {"memory"}


def test_only_as_much_as_a_worker_is_sent_of_ready_tasks() -> None:
    cluster = _cluster(seconds=1e-3, pipeline=0.010)
    tasks = _chain(cluster, 30)
    assert len(tasks) == 10
    cluster.done("w1", *tasks)
    assert len(cluster.sent("w1")) == 10


def test_long_tasks_and_those_of_unknown_length_are_not() -> None:
    assert _keys(_chain(_cluster(seconds=0.1))) == ["x0"]
    assert _keys(_chain(_cluster(seconds=-1.0))) == ["x0"]


def test_inputs_that_two_workers_compute_are_waited_for() -> None:
    cluster = _cluster("w1", "w2")
    for key, worker in ("a", "w1"), ("b", "w2"):
        cluster.graph("c", {key: []}, options=m.TaskOptions(workers=[worker]))
    cluster.graph("c", {"y": ["a", "b"]})
    assert _keys(cluster.sent("w1")) == ["a"]
    assert _keys(cluster.sent("w2")) == ["b"]


def test_a_value_from_elsewhere_travels_with_it() -> None:
    cluster = _cluster("w1", "w2")
    cluster.graph("c", {"a": []}, options=m.TaskOptions(workers=["w2"]))
    cluster.graph("c", {"b": []})
    [a], [b] = cluster.sent("w2"), cluster.sent("w1")
    cluster.graph("c", {"busy": []}, options=m.TaskOptions(workers=["w2"]))
    cluster.graph("c", {"y": ["a", "b"]})
    assert not cluster.sent("w1")
    cluster.done("w2", a, value=7)
    [y] = cluster.sent("w1")
    assert (y.key, y.dep_values) == ("y", (7, None))
    assert cluster.state("y") == "waiting"
    cluster.done("w1", b, y)
    assert cluster.state("y") == "memory"
    cluster.ignore(m.Compute, why="the task that keeps w2 busy")


def test_a_worker_with_much_to_do_does_not_take_all_that_follows() -> None:
    cluster = _cluster("w1", "w2", seconds=1e-3)
    cluster.graph("c", {"root": []})
    cluster.graph("c", {f"y{i}": ["root"] for i in range(8)})
    assert 0 < len(cluster.sent("w1")) - 1 < 8


def test_an_input_fails() -> None:
    cluster = _cluster()
    tasks = _chain(cluster)
    cluster.failed("w1", tasks[0])
    assert cluster.states() == dict.fromkeys(["x0", "x1", "x2"], "erred")
    [free] = cluster.told("w1", m.Free)
    assert free.keys == ["x1", "x2"]
    cluster.hear("w1", m.MissingDeps("x1", tasks[1].run, ["x0"], [[]], [[]]))  # it crossed that
    assert cluster.state("x1") == "erred"
    cluster.ignore(m.KeyErred, why="all three keys fail, which the states tell")


def test_a_worker_gives_it_up() -> None:
    cluster = _cluster()
    tasks = _chain(cluster)
    cluster.hear("w1", m.Rescheduled("x0", tasks[0].run))
    [again] = cluster.sent("w1")
    assert again.key == "x0"
    for task, missing in (tasks[1], "x0"), (tasks[2], "x1"):
        cluster.hear("w1", m.MissingDeps(task.key, task.run, [missing], [[]], [[]]))
    assert cluster.states() == {"x0": "processing", "x1": "waiting", "x2": "waiting"}
    cluster.done("w1", again)
    [x1, *_] = cluster.sent("w1")
    assert x1.key == "x1" and x1.run > tasks[1].run


def test_released_tasks_are_freed() -> None:
    cluster = _cluster()
    _chain(cluster)
    cluster.release("c", "x2")
    [free] = cluster.told("w1", m.Free)
    assert free.keys == ["x2"]


def test_a_worker_that_starts_nothing_is_asked_for_what_did_not_begin() -> None:
    cluster = _cluster()
    tasks = _chain(cluster)
    cluster.hear("w1", m.WorkerStatus("paused"))
    [steal] = cluster.told("w1", m.Steal)
    assert steal.keys == ["x1", "x2"]
    cluster.worker("w2")
    cluster.hear("w1", m.StealReply(["x1", "x2"], [task.run for task in tasks[1:]], []))
    assert not cluster.sent("w2")
    cluster.done("w1", tasks[0])
    assert _keys(cluster.sent("w2"))[0] == "x1"
    cluster.ignore(m.Steal, why="it is asked for x2 once more when x0 is done")


def test_what_a_paused_worker_has_begun_is_not_run_elsewhere() -> None:
    cluster = _cluster()
    tasks = _chain(cluster)
    cluster.hear("w1", m.WorkerStatus("paused"))
    cluster.told("w1", m.Steal)
    cluster.worker("w2")
    # Which it began, together with its input, before it heard of that.
    cluster.hear("w1", m.StealReply(["x2"], [tasks[2].run], ["x1"]))
    cluster.hear("w1", m.WorkerStatus("paused"))
    assert [steal.keys for steal in cluster.told("w1", m.Steal)] == [["x0"]]
    cluster.done("w1", *tasks[:2])
    assert cluster.states()["x1"] == "memory"
    assert _keys(cluster.sent("w2")) == ["x2"]


def test_a_worker_dies() -> None:
    cluster = _cluster("w1")
    _chain(cluster)
    cluster.worker("w2")
    cluster.lose_worker("w1")
    assert _keys(cluster.sent("w2")) == ["x0"]  # nothing is sent ahead of what may have killed it
    assert cluster.s.tasks["x1"].rare is None


def test_a_result_counts_though_another_input_was_lost_meanwhile() -> None:
    cluster = _cluster("w1", "w2")
    cluster.graph("c", {"a": []}, options=m.TaskOptions(workers=["w2"]))
    cluster.graph("c", {"b": []})
    [a], [b] = cluster.sent("w2"), cluster.sent("w1")
    cluster.graph("c", {"busy": []}, options=m.TaskOptions(workers=["w2"]))
    cluster.graph("c", {"y": ["a", "b"]})
    cluster.done("w2", a, value=7)
    [y] = cluster.sent("w1")
    cluster.lose_worker("w2")
    cluster.done("w1", b, y)
    assert cluster.state("y") == "memory"
    cluster.ignore(m.KeysPending, why="a is pending again, which the result of y outlives")


def test_it_is_explained() -> None:
    cluster = _cluster()
    _chain(cluster)
    assert explain(cluster.s, "x1") == (
        "'x1' is waiting: 1 of its 1 inputs are not there yet: 'x0'. "
        "It was sent to w1 already, which computes them."
    )
