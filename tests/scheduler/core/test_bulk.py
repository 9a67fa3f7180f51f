"""Tasks of a `map`: taken on, sent and finished many at a time, as if one by one."""

from __future__ import annotations

import pytest
from scheduler_harness import FUNCTION, Cluster

from shoal.scheduler.core.transitions.table import TRANSITIONS
from shoal.wire import messages as m
from shoal.wire.blob import Blob


def _map(cluster: Cluster, n: int, name: str = "x", **more: object) -> list[str]:
    keys = [f"{name}-{i}" for i in range(n)]
    cluster.graph("c", {key: [] for key in keys}, **more)
    return keys


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster(default_task_durations={"g": 0.0})
    cluster.worker("w1")
    cluster.worker("w2")
    cluster.client("c")
    return cluster


def test_a_map_is_sent_in_columns_half_to_each_worker(cluster):
    keys = _map(cluster, 100)
    sent = {}
    for worker in ("w1", "w2"):
        [message] = cluster.told(worker, m.ComputeMany)
        [define] = cluster.told(worker, m.DefineFunctions)
        assert define.ids == [message.function] == [FUNCTION]
        assert message.wanted
        sent[worker] = message
    assert sent["w1"].keys + sent["w2"].keys == keys
    assert len(sent["w1"].keys) == 50
    assert sent["w1"].priorities + sent["w2"].priorities == sorted(
        ts.priority for ts in cluster.s.tasks.values()
    )
    assert {key: run for s in sent.values() for run, key in enumerate(s.keys, s.first_run)} == {
        ts.key: ts.run for ts in cluster.s.tasks.values()
    }


def test_results_are_counted_and_told_in_one_message(cluster):
    keys = _map(cluster, 20)
    mine = cluster.sent("w1")
    cluster.done("w1", *mine, seconds=0.5, nbytes=10, value=7)
    [told] = cluster.told("c", m.KeysInMemory)
    assert told == m.KeysInMemory([t.key for t in mine], ["int"] * 10, [7] * 10, [])
    group = cluster.s.groups["g"]
    assert (group.counts["memory"], group.counts["processing"]) == (10, 10)
    assert (group.nbytes, group.types) == (100, {"int"})
    assert group.duration == pytest.approx(5.0)
    assert group.prefix.duration == pytest.approx(0.5, rel=0.01)
    assert cluster.s.workers["w1"].nbytes == 100
    cluster.done("w2", *cluster.sent("w2"), value=None)
    [told] = cluster.told("c", m.KeysInMemory)
    assert told.values == [None] * 10
    assert told.holders == ["w2"] * 10
    cluster.release("c", *keys)
    assert not cluster.s.tasks
    assert not cluster.s.functions[FUNCTION].references - 1
    cluster.ignore(m.Free, why="all results are dropped at the end")


def test_every_change_is_logged_and_shown_to_who_watches(cluster):
    seen: list[tuple[str, str, str]] = []
    cluster.s.watch = lambda ts, start, finish: seen.append((ts.key, start, finish))
    _map(cluster, 10)
    cluster.run_all()
    path = [change[1:] for change in seen if change[0] == "x-3"]
    assert path == [
        ("released", "waiting"),
        ("waiting", "queued"),
        ("queued", "processing"),
        ("processing", "memory"),
    ]
    assert set(path) <= TRANSITIONS.keys()
    assert [entry[1:3] for entry in cluster.s.log if entry[0] == "x-3"] == path


def test_what_is_not_plain_goes_one_by_one(cluster):
    _map(cluster, 4, options=m.TaskOptions(retries=1))
    assert not cluster.told("w1", m.ComputeMany)
    assert len(cluster.sent("w1")) == 2
    cluster.ignore(m.Compute, why="the half that the other worker was sent")


def test_a_result_of_an_older_run_is_not_counted(cluster):
    _map(cluster, 4)
    first, second = cluster.sent("w1")
    stale = m.Compute(second.key, second.run - 100, FUNCTION, b"", (0.0, 0, 0), 0.0, True)
    cluster.done("w1", first, stale)
    assert cluster.state(first.key) == "memory"
    assert cluster.state(second.key) == "processing"
    cluster.done("w1", second, second)  # twice in one message
    assert cluster.s.groups["g"].counts["memory"] == 2
    cluster.ignore(m.ComputeMany, why="what the other worker was sent")


def test_results_that_others_wait_for_are_told_them(cluster):
    keys = _map(cluster, 6)
    cluster.graph("c", {"y": [keys[0], keys[1]]})
    assert "y" in cluster.run_all()
    assert cluster.state("y") == "memory"


def test_the_more_urgent_map_goes_first(cluster):
    one = Cluster(default_task_durations={"g": 0.0}, pipeline_tasks=4)
    one.client("c")
    one.worker("w")
    _map(one, 20)
    _map(one, 5, "urgent", priority=1.0)
    order = one.run_all()
    assert order[4:9] == [f"urgent-{i}" for i in range(5)]
    assert order[9:] == [f"x-{i}" for i in range(4, 20)]


def test_tasks_of_unknown_duration_are_not_hoarded(cluster):
    slow = Cluster()
    slow.client("c")
    slow.worker("w1")
    slow.worker("w2")
    _map(slow, 100)
    assert [len(slow.sent(w)) for w in ("w1", "w2")] == [2, 2]


def test_tasks_known_already_keep_their_state(cluster):
    _map(cluster, 6)
    cluster.done("w1", *cluster.sent("w1"), value=1)
    cluster.client("d")
    cluster.graph("d", {f"x-{i}": [] for i in range(8)})
    assert sorted(k for t in cluster.told("d", m.KeysInMemory) for k in t.keys) == [
        "x-0",
        "x-1",
        "x-2",
    ]
    cluster.run_all()
    assert cluster.s.groups["g"].counts["memory"] == 8


def test_a_key_twice_in_one_graph_is_one_task(cluster):
    graph = m.Graph(keys=["a", "b", "a"], functions=[FUNCTION], args=[b"", b"", b""], groups=["g"])
    cluster.say("c", graph)
    assert sorted(cluster.run_all()) == ["a", "b"]


def test_a_key_that_is_known_in_the_midst_of_new_ones(cluster):
    _map(cluster, 2)
    keys = ["y-0", "y-1", "x-1", "y-2"]
    cluster.client("d")
    cluster.graph("d", {key: [] for key in keys})
    assert sorted(cluster.run_all()) == ["x-0", "x-1", "y-0", "y-1", "y-2"]
    assert sorted(ts.key for ts in cluster.s.clients["d"].wants.values()) == sorted(keys)
    cluster.release("d", *keys)
    cluster.release("c", "x-0", "x-1")
    assert not cluster.s.tasks and not cluster.s.groups
    cluster.ignore(m.Free, why="all results are dropped at the end")


@pytest.mark.parametrize("order", [(2, 0, 1, 3), (3, 2, 1, 0), (0, 1, 1, 2, 2, 3)])
def test_results_in_another_order_and_twice(cluster, order):
    _map(cluster, 8)
    mine = cluster.sent("w1")
    cluster.done("w1", *[mine[i] for i in order], value=1)
    (told,) = cluster.told("c", m.KeysInMemory)
    assert told.keys == [mine[i].key for i in dict.fromkeys(order)]
    assert cluster.s.groups["g"].counts["memory"] == 4
    assert not {ts.key for ts in cluster.s.workers["w1"].processing} & set(told.keys)
    cluster.ignore(m.ComputeMany, why="what the other worker was sent")


def test_released_together_what_is_not_alike(cluster):
    """Of two groups, finished and not, wanted by others, needed by others, unknown, twice."""
    x = _map(cluster, 6)
    other = m.Graph(keys=["y-0", "y-1"], functions=[b"g" * 16], args=[b""] * 2, groups=["h"])
    cluster.say("c", m.DefineFunctions([b"g" * 16], [Blob(b"")]), other)
    cluster.run_all()
    cluster.graph("c", {"unfinished": [], "dependent": [x[1]]})
    cluster.client("d")
    cluster.graph("d", {x[0]: []})
    mixed = [x[2], "y-0", "unknown", x[0], x[1], "unfinished", "y-1", *x[3:]]
    cluster.release("c", *mixed, x[2])
    assert sorted(cluster.s.tasks) == sorted(["dependent", x[0], x[1]])
    freed = [
        key for w in ("w1", "w2") for message in cluster.told(w, m.Free) for key in message.keys
    ]
    freed += [key for ws in cluster.s.workers.values() for key in ws.frees]
    assert sorted(freed) == sorted(["y-0", "y-1", "unfinished", *x[2:]])
    assert "h" not in cluster.s.groups
    cluster.run_all()
    cluster.release("c", "dependent")
    cluster.release("d", x[0])
    assert not cluster.s.tasks and not cluster.s.groups
    assert not any(ws.held or ws.nbytes for ws in cluster.s.workers.values())
    cluster.ignore(
        m.Free,
        m.Steal,
        why="the last results are dropped; a worker without work asks for some of the other's",
    )


def test_a_large_result_is_dropped_at_once(cluster):
    keys = _map(cluster, 4)
    cluster.done("w1", *cluster.sent("w1"), nbytes=10**9, value=None)
    _map(cluster, 4, "more")  # it is busy
    cluster.told("w1", m.Free)
    cluster.release("c", keys[0], keys[1])
    assert [key for message in cluster.told("w1", m.Free) for key in message.keys] == keys[:2]
    cluster.ignore(m.ComputeMany, why="what keeps the workers busy")
