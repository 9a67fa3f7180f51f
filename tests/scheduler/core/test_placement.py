"""Where tasks go: restrictions, resources, data, room, siblings, idle workers."""

from __future__ import annotations

import pytest
from scheduler_harness import Cluster

from shoal.wire import messages as m
from shoal.wire.messages import TaskOptions


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster()
    cluster.client()
    return cluster


def where(cluster: Cluster, *workers: str) -> dict[str, list[str]]:
    return {worker: [task.key for task in cluster.sent(worker)] for worker in workers}


def test_tasks_spread_over_workers(cluster: Cluster) -> None:
    for name in "abcd":
        cluster.worker(name)
    cluster.graph("c", {f"x-{i}": [] for i in range(4)})
    assert sorted(len(keys) for keys in where(cluster, *"abcd").values()) == [1, 1, 1, 1]


@pytest.mark.parametrize("wish", ["b", "bob", "there"])
def test_restricted_to_an_address_a_name_or_a_host(cluster: Cluster, wish: str) -> None:
    cluster.worker("a", name="alice", host="here")
    cluster.worker("b", name="bob", host="there")
    cluster.graph("c", {f"x-{i}": [] for i in range(3)}, options=TaskOptions(workers=[wish]))
    cluster.run_all()
    assert {ws.address for ts in cluster.s.tasks.values() for ws in ts.who_has} == {"b"}


def test_without_a_fitting_worker_a_task_waits_and_says_why(cluster: Cluster) -> None:
    from shoal.scheduler.core.explain import explain

    cluster.worker("a")
    cluster.graph("c", {"x": []}, options=TaskOptions(workers=["nobody"]))
    assert cluster.state("x") == "no-worker"
    assert "it may only run on nobody" in explain(cluster.s, "x")
    cluster.worker("b", name="nobody")
    assert where(cluster, "a", "b") == {"a": [], "b": ["x"]}


def test_other_workers_are_a_second_choice_only(cluster: Cluster) -> None:
    cluster.worker("a")
    options = TaskOptions(workers=["gone"], allow_other_workers=True)
    cluster.graph("c", {"x": []}, options=options)
    assert where(cluster, "a") == {"a": ["x"]}


def test_resources(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.worker("g", resources={"GPU": 1})
    cluster.graph("c", {"x": []}, options=TaskOptions(resources={"GPU": 1}))
    cluster.graph("c", {"y": []}, options=TaskOptions(resources={"GPU": 2}))
    assert where(cluster, "a", "g") == {"a": [], "g": ["x"]}
    assert cluster.state("y") == "no-worker"


def test_tasks_go_to_their_data(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.worker("b")
    cluster.graph("c", {"x": []})
    [(holder, tasks)] = [(name, found) for name in "ab" if (found := cluster.sent(name))]
    cluster.done(holder, *tasks, nbytes=100_000_000)
    cluster.graph("c", {"y": ["x"]})
    [task] = cluster.sent(holder)
    assert task.key == "y" and task.dep_holders == ([holder],) and task.dep_nbytes == (100_000_000,)


def test_a_worker_is_sent_no_more_than_its_share_of_long_tasks(cluster: Cluster) -> None:
    """Work of unknown duration is assumed to take half a second: one to run, one to spare."""
    cluster.worker("a", nthreads=2)
    cluster.graph("c", {f"x-{i}": [] for i in range(50)})
    sent = cluster.sent("a")
    assert 2 <= len(sent) <= 4
    states = list(cluster.states().values())
    assert states.count("queued") == 50 - len(sent)


def test_short_tasks_are_sent_many_at_a_time(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.graph("c", {f"x-{i}": [] for i in range(2000)})
    at_a_time = []
    for _ in range(6):
        tasks = cluster.sent("a")
        at_a_time.append(len(tasks))
        cluster.done("a", *tasks, seconds=50e-6)
    assert at_a_time[0] <= 2 and max(at_a_time) > 50
    cluster.ignore(m.ComputeMany, why="the last round, which nobody answers")


def test_queued_tasks_leave_in_the_order_of_priority(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.graph("c", {"block": []})
    [block] = cluster.sent("a")[:1]
    cluster.graph("c", {f"low-{i}": [] for i in range(5)}, priority=-1)
    cluster.graph("c", {f"high-{i}": [] for i in range(5)}, priority=1)
    cluster.done("a", block)
    order = [key.split("-")[0] for key in cluster.run_all()]
    assert order.index("high") < order.index("low") or order[0] == "low"
    assert order.count("high") == 5
    last_high = len(order) - 1 - order[::-1].index("high")
    assert order[last_high + 1 :].count("low") >= 3


def test_a_paused_worker_gets_nothing_new(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.worker("b")
    cluster.hear("a", m.WorkerStatus("paused"))
    cluster.graph("c", {f"x-{i}": [] for i in range(4)})
    assert not cluster.sent("a") and cluster.sent("b")
    cluster.hear("b", m.WorkerStatus("paused"))
    cluster.graph("c", {"y": []})
    assert cluster.state("y") == "queued"
    cluster.hear("a", m.WorkerStatus("running"))
    assert cluster.sent("a")
    cluster.ignore(m.Steal, why="a paused worker is asked for what it did not begin")


def test_a_worker_that_joins_gets_work(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.graph("c", {f"x-{i}": [] for i in range(10)})
    cluster.worker("b")
    assert cluster.sent("b")
    cluster.ignore(m.ComputeMany, why="what the first worker was sent")


def test_what_a_worker_kept_is_not_asked_for_again(cluster: Cluster) -> None:
    cluster.worker("a", nthreads=1)
    cluster.graph("c", {f"x-{i}": [] for i in range(2)})
    _, second = cluster.sent("a")
    cluster.worker("b", nthreads=1)
    cluster.advance(0.1)
    asked = cluster.told("a", m.Steal)
    assert [steal.keys for steal in asked] == [[second.key]]
    cluster.hear("a", m.StealReply([], [], [second.key]))
    cluster.advance(0.1)
    assert not cluster.told("a", m.Steal)
    cluster.hear("a", m.Rescheduled(second.key, second.run))
    assert [task.key for task in cluster.sent("b")] == [second.key]


def test_an_idle_worker_takes_what_others_were_sent(cluster: Cluster) -> None:
    """Tasks bound to a worker by their data are asked back when another has nothing to do."""
    cluster.worker("a", nthreads=1)
    cluster.graph("c", {"x": []})
    cluster.done("a", *cluster.sent("a"), nbytes=1000)
    cluster.graph("c", {f"y-{i}": ["x"] for i in range(20)})
    cluster.worker("b", nthreads=1)
    order = cluster.run_all()
    assert len(order) == 20
    runs = {ts.who_has[0].address for ts in cluster.s.tasks.values() if ts.key.startswith("y")}
    assert runs == {"a", "b"}
    cluster.ignore(m.Steal, why="`run_all` answers it; that tasks moved is seen at the end")
