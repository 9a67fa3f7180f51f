"""Tasks fail, workers die, data is lost; what is wanted arrives, or the reason why not."""

from __future__ import annotations

import pytest
from scheduler_harness import ERROR, Cluster

from shoal.scheduler.core import FromClient, HoldersFailed, RestartAll, RetireWorkers, Tick
from shoal.scheduler.core.explain import explain, story
from shoal.wire import messages as m
from shoal.wire.messages import TaskOptions
from shoal.wire.pickling import loads


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster()
    cluster.client()
    return cluster


def test_an_error_reaches_the_client_and_all_that_depends(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.graph("c", {"x": [], "y": ["x"], "z": ["y"]})
    cluster.failed("a", *cluster.sent("a"), text="KeyError('k')")
    erred = cluster.told("c", m.KeyErred)
    assert {e.key: e.blame for e in erred} == {"x": "x", "y": "x", "z": "x"}
    assert all(e.exception == ERROR for e in erred)
    assert "KeyError('k')" in explain(cluster.s, "x")
    assert "'x', which it needs, failed" in explain(cluster.s, "z")


def test_retries_are_used_up_first(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.graph("c", {"x": []}, options=TaskOptions(retries=2))
    for _ in range(2):
        cluster.failed("a", *cluster.sent("a"))
        assert not cluster.told("c", m.KeyErred)
    cluster.failed("a", *cluster.sent("a"))
    assert [e.key for e in cluster.told("c", m.KeyErred)] == ["x"]


def test_a_failed_task_can_be_retried(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.graph("c", {"x": [], "y": ["x"]})
    cluster.failed("a", *cluster.sent("a"))
    cluster.told("c", m.KeyErred)
    cluster.say("c", m.Retry(["y"]))
    assert cluster.run_all() == ["x", "y"]
    cluster.ignore(
        m.KeysPending,
        why="what is tried again is pending",
    )


def test_rescheduled_tasks_rather_run_elsewhere(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.worker("b")
    cluster.graph("c", {"x": []})
    [(first, [task])] = [(name, found) for name in "ab" if (found := cluster.sent(name))]
    cluster.hear(first, m.Rescheduled(task.key, task.run))
    other = "b" if first == "a" else "a"
    assert [t.key for t in cluster.sent(other)] == ["x"]


def test_outcomes_of_older_runs_are_dropped(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.graph("c", {"x": []})
    [old] = cluster.sent("a")
    cluster.hear("a", m.Rescheduled(old.key, old.run))
    [new] = cluster.sent("a")
    assert new.run > old.run
    cluster.failed("a", old)
    assert cluster.state("x") == "processing"
    cluster.done("a", new)
    assert cluster.state("x") == "memory"


def test_what_a_dead_worker_ran_runs_again(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.graph("c", {"x": [], "y": ["x"]})
    cluster.done("a", *cluster.sent("a"))
    cluster.worker("b")
    cluster.lose_worker("a")
    assert cluster.run_all() == ["x", "y"]
    assert {ws.address for ts in cluster.s.tasks.values() for ws in ts.who_has} == {"b"}
    cluster.ignore(
        m.KeysPending,
        why="x is pending until it is made again",
    )


def test_a_task_that_takes_workers_with_it_is_given_up(cluster: Cluster) -> None:
    cluster.graph("c", {"x": [], "y": ["x"]})
    for i in range(4):
        cluster.worker(f"w{i}")
        assert [t.key for t in cluster.sent(f"w{i}")] == ["x"]
        cluster.lose_worker(f"w{i}", reason=f"death {i}")
    erred = cluster.told("c", m.KeyErred)
    assert [e.key for e in erred] == ["x", "y"]
    error = loads(erred[0].exception)
    assert type(error).__name__ == "KilledWorker"
    assert [reason for _, reason in error.deaths] == [f"death {i}" for i in range(4)]


def test_nobody_is_blamed_for_a_worker_that_left_in_peace(cluster: Cluster) -> None:
    cluster.graph("c", {"x": []})
    for i in range(6):
        cluster.worker(f"w{i}")
        cluster.sent(f"w{i}")
        cluster.lose_worker(f"w{i}", expected=True)
    assert not cluster.told("c", m.KeyErred)
    cluster.worker("last")
    assert cluster.run_all() == ["x"]


def test_holders_that_do_not_hold(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.graph("c", {"x": []})
    cluster.done("a", *cluster.sent("a"), value=None)
    cluster.handle(HoldersFailed("x", ["a"]))
    assert [p.keys for p in cluster.told("c", m.KeysPending)] == [["x"]]
    assert cluster.run_all() == ["x"]
    cluster.ignore(m.Free, why="the worker that did not serve it is told to drop it")


def test_scattered_data_waits_a_moment_for_a_worker_that_may_come_back(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.say("c", m.Scattered(["d"], [10], ["int"], [["a"]]))
    cluster.sent("a")
    cluster.lose_worker("a")
    assert not cluster.told("c", m.KeysLost)
    cluster.worker("a", reconnect=True, held=["d"], held_nbytes=[10], held_types=["int"])
    assert cluster.state("d") == "memory"
    cluster.lose_worker("a")
    cluster.advance(3.1)
    assert [told.keys for told in cluster.told("c", m.KeysLost)] == [["d"]]
    cluster.ignore(
        m.KeysPending,
        why="the data is pending while its worker may come back",
    )


def test_scattered_data_that_is_lost_is_lost(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.say("c", m.Scattered(["d"], [10], ["int"], [["a"]]))
    cluster.graph("c", {"y": ["d"]})
    cluster.lose_worker("a", reason="fire", dead=True)
    lost = [key for told in cluster.told("c", m.KeysLost) for key in told.keys]
    erred = [e.key for e in cluster.told("c", m.KeyErred)]
    assert "d" in lost + erred and "y" in lost + erred
    cluster.ignore(
        m.KeysPending,
        why="both keys are pending before they fail",
    )


def test_retiring_moves_unique_data_before_it_ends(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.graph("c", {"x": []})
    cluster.done("a", *cluster.sent("a"), value=None)
    cluster.worker("b")
    effects = cluster.handle(RetireWorkers(["a"]))
    assert not effects.retired
    [acquire] = cluster.told("b", m.Acquire)
    assert acquire.keys == ["x"] and acquire.holders == [["a"]]
    effects = cluster.hear("b", m.Acquired(["x"], [28], ["int"]))
    assert effects.retired == ["a"]
    assert cluster.told("a", m.CloseWorker)
    cluster.lose_worker("a")
    assert cluster.state("x") == "memory"


def test_a_silent_worker_is_given_up(cluster: Cluster) -> None:
    cluster.worker("a")
    effects = cluster.advance(100)
    assert not effects.close_workers and effects.next_deadline is not None
    effects = cluster.advance(300)
    assert [address for address, _ in effects.close_workers] == ["a"]
    assert "silent" in effects.close_workers[0][1]


def test_time_in_which_the_scheduler_was_stopped_is_not_held_against_its_peers(
    cluster: Cluster,
) -> None:
    cluster.worker("a")
    cluster.worker("b")
    assert not cluster.advance(100_000, stopped=True).close_workers
    # One heartbeat may be read before the tick; the other worker's still waits.
    cluster.advance(70)
    cluster.now += 100_000
    assert not cluster.hear("a", m.WorkerHeartbeat({}, {})).close_workers
    assert not cluster.handle(Tick()).close_workers
    assert not cluster.advance(200).close_workers
    assert [address for address, _ in cluster.advance(100).close_workers] == ["b"]


def test_no_worker_within_the_timeout() -> None:
    cluster = Cluster(no_workers_timeout=10.0)
    cluster.client()
    cluster.graph("c", {"x": []})
    cluster.advance(9)
    assert not cluster.told("c", m.KeyErred)
    cluster.advance(2)
    [erred] = cluster.told("c", m.KeyErred)
    assert type(loads(erred.exception)).__name__ == "NoValidWorkerError"


def test_idleness_is_told_once_nothing_is_asked_for() -> None:
    cluster = Cluster(idle_timeout=5.0)
    cluster.client()
    cluster.worker("a")
    cluster.graph("c", {"x": []})
    assert not cluster.advance(10).idle
    cluster.run_all()
    assert not cluster.advance(3).idle
    assert cluster.advance(6).idle


def test_a_cluster_that_no_client_uses_is_told_of_once_its_work_is_done() -> None:
    cluster = Cluster(no_client_timeout=5.0)
    cluster.worker("a")
    cluster.client()
    cluster.advance(3)
    assert not cluster.advance(30).idle  # a client is there, and asks for nothing
    cluster.graph("c", {"x": []})
    cluster.handle(FromClient("c", [m.FireAndForget(["x"])]))
    cluster.handle(FromClient("c", [m.ClientGoodbye()]))
    assert not cluster.advance(10).idle  # a task runs
    cluster.run_all()
    assert not cluster.advance(3).idle
    assert cluster.advance(6).idle
    assert cluster.machine.why_idle() == "No client was there for 5 s (no-client-timeout)"
    assert cluster.told("a", m.Free) and cluster.told("a", m.ForgetFunctions)


def test_a_restart_forgets_all(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.graph("c", {"x": [], "y": ["x"]})
    cluster.handle(RestartAll())
    assert cluster.told("c", m.Restarted)
    assert not cluster.s.tasks
    cluster.ignore(
        m.Compute,
        m.Free,
        m.KeysCancelled,
        why="what was sent before, and taken back; clients hear Restarted",
    )


def test_the_story_of_a_key_and_of_a_stimulus(cluster: Cluster) -> None:
    cluster.worker("a")
    cluster.graph("c", {"x": []})
    cluster.run_all()
    told = story(cluster.s, ["x"])
    assert [(start, finish) for _, start, finish, _, _ in told] == [
        ("released", "waiting"),
        ("waiting", "processing"),
        ("processing", "memory"),
    ]
    assert story(cluster.s, [told[-1][3]]) == [told[-1]]


def test_recovery_adopts_what_workers_bring() -> None:
    cluster = Cluster()
    cluster.client(reconnect=True, known_workers=["a"])
    cluster.graph("c", {"x": [], "y": ["x"], "z": ["y"]})
    assert set(cluster.states().values()) == {"waiting"}
    cluster.worker("b")
    assert not cluster.sent("b")  # it waits for worker a
    cluster.worker(
        "a",
        reconnect=True,
        held=["x"],
        held_nbytes=[28],
        held_types=["int"],
        running=["y"],
        running_runs=[7],
    )
    assert cluster.states() == {"x": "memory", "y": "processing", "z": "waiting"}
    assert not cluster.sent("a") and not cluster.sent("b")
    cluster.hear("a", m.Finished(["y"], [7], [28], ["int"], [0.0], [1.0], [None]))
    assert cluster.run_all() == ["z"]


def test_recovery_does_not_wait_for_ever() -> None:
    cluster = Cluster()
    cluster.client(reconnect=True, known_workers=["dead"])
    cluster.worker("b")
    cluster.graph("c", {"x": []})
    assert not cluster.sent("b")
    cluster.advance(3.1)
    assert cluster.run_all() == ["x"]
