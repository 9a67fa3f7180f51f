"""How data comes and goes: fetches, other holders, copies, memory."""

from __future__ import annotations

import pytest

from shoal.wire import messages as m
from shoal.worker.core import DataAdded, DataLost, Evicted, Fetch, MemoryMeasured, Tick

from .harness import Core, compute


def test_dependencies_are_fetched_together_from_one_peer() -> None:
    core = Core()
    effects = core.say(compute("z", 1, {"a": ["p"], "b": ["p"]}), compute("y", 2, {"a": ["p"]}))
    assert effects.execute == []
    assert effects.fetch == [Fetch("p", ["a", "b"], 20)]
    effects = core.got("p", "a", "b")
    assert effects.keep == ["a", "b"]
    assert {task.key for task in effects.execute} == {"z", "y"}
    assert effects.send == [m.Acquired(["a", "b"], [10, 10], ["int", "int"])]
    assert core.machine.state.peers == {}


def test_what_came_with_the_task_is_not_fetched() -> None:
    core = Core()
    task = compute("z", 1, {"a": ["p"], "b": ["p"]})
    task.dep_values = (1, None)
    assert core.say(task).fetch == [Fetch("p", ["b"], 10)]
    [run] = core.got("p", "b").execute
    assert core.ends(run, "missing", missing=("b",)).fetch == [Fetch("p", ["b"], 10)]
    whole = compute("y", 2, {"a": ["p"]})
    whole.dep_values = (1,)
    effects = core.say(whole)
    assert [run.key for run in effects.execute] == ["y"]
    assert effects.fetch == effects.send == []
    core.ignore(m.Dropped, why="the fetched copy is not kept, as the task has the value")


def test_an_answer_may_come_in_parts() -> None:
    core = Core()
    core.say(compute("z", 1, {"a": ["p"], "b": ["p"]}))
    assert core.got("p", "b").execute == []
    assert [task.key for task in core.got("p", "a").execute] == ["z"]


def test_another_holder_is_asked() -> None:
    core = Core()
    [fetch] = core.say(compute("z", 1, {"a": ["p", "q"]})).fetch
    other = {"p": "q", "q": "p"}[fetch.peer]
    assert core.fails(fetch.peer, "a").fetch == [Fetch(other, ["a"], 10)]
    effects = core.got(other, absent=("a",))
    assert effects.send == [m.MissingDeps("z", 1, ["a"], [[other]], [[fetch.peer]])]
    assert core.state("z") is None
    assert core.machine.state.missing_keys == {}


def test_the_last_holder_is_tried_again() -> None:
    core = Core()
    core.say(compute("z", 1, {"a": ["p"]}))
    effects = core.fails("p", "a")
    assert effects.fetch == effects.send == []
    assert effects.deadline == pytest.approx(0.1)
    core.now = 0.2
    effects = core.handle(Tick())
    assert effects.fetch == [Fetch("p", ["a"], 10)]
    assert effects.deadline is None
    assert core.fails("p", "a").send == [m.MissingDeps("z", 1, ["a"], [[]], [["p"]])]


def test_a_dependency_without_holders_is_missing() -> None:
    core = Core()
    effects = core.say(compute("z", 1, {"a": [], "b": []}))
    assert effects.send == [m.MissingDeps("z", 1, ["a", "b"], [[], []], [[], []])]


def test_freed_runs_want_nothing_any_more() -> None:
    core = Core()
    core.say(compute("z", 1, {"a": ["p"]}))
    core.say(m.Free(["z"]))
    effects = core.got("p", "a")
    assert effects.keep == effects.send == []
    assert core.state("a") is None


def test_a_late_answer_about_a_freed_key_is_not_taken_for_the_new_request() -> None:
    core = Core()
    core.say(compute("z", 1, {"a": ["p"]}))
    assert core.say(m.Free(["z"]), compute("z", 2, {"a": ["p"]})).fetch == [Fetch("p", ["a"], 10)]
    core.got("p", "a")
    assert core.got("p", "a").fetch == []
    assert core.state("z") == "ready"
    assert core.machine.state.fetching_bytes == 0


def test_dependencies_freed_while_others_come_are_fetched_again() -> None:
    core = Core()
    core.handle(DataAdded(["b"], [1], ["int"]))
    core.say(compute("z", 1, {"a": ["p"], "b": ["q"]}))
    core.say(m.Free(["b"]))
    effects = core.got("p", "a")
    assert effects.execute == []
    assert effects.fetch == [Fetch("q", ["b"], 10)]
    assert [task.key for task in core.got("q", "b").execute] == ["z"]


def test_dependencies_that_the_executor_did_not_find_are_fetched_again() -> None:
    core = Core(resources={"gpu": 1})
    core.handle(DataAdded(["a"], [1], ["int"]))
    [task] = core.say(compute("z", 1, {"a": ["p"]}, resources={"gpu": 1})).execute
    core.say(m.Free(["a"]))
    effects = core.ends(task, "missing", missing=["a"])
    assert effects.fetch == [Fetch("p", ["a"], 10)]
    assert core.got("p", "a").execute == [task]


def test_results_of_this_worker_satisfy_those_who_wait() -> None:
    core = Core()
    [a] = core.say(compute("a", 1)).execute
    core.say(compute("z", 2, {"a": ["p"]}))
    assert [task.key for task in core.ends(a).execute] == ["z"]


def test_requests_are_limited_in_number_and_size() -> None:
    core = Core(fetches_per_peer=2, fetch_message_bytes=25, fetch_bytes=60)
    effects = core.say(*[compute(f"z{i}", i, {f"d{i}": ["p"]}, priority=-i) for i in range(8)])
    assert [fetch.keys for fetch in effects.fetch] == [["d7", "d6"], ["d5", "d4"]]
    effects = core.say(*[compute(f"y{i}", 8 + i, {f"e{i}": ["q"]}) for i in range(8)])
    assert [fetch.keys for fetch in effects.fetch] == [["e0", "e1"]]
    effects = core.got("p", "d7", "d6")
    assert [fetch.keys for fetch in effects.fetch] == [["d3", "d2"]]


def test_a_value_larger_than_all_limits_is_fetched() -> None:
    core = Core(fetch_message_bytes=25, fetch_bytes=60)
    effects = core.say(compute("z", 1, {"huge": ["p"], "more": ["p"]}, nbytes=1000))
    assert [fetch.keys for fetch in effects.fetch] == [["huge"]]
    assert [fetch.keys for fetch in core.got("p", "huge").fetch] == [["more"]]


def test_the_less_busy_holder_is_asked() -> None:
    core = Core()
    core.say(compute("z", 1, {"big": ["p"]}, nbytes=1000))
    assert core.say(compute("y", 2, {"b": ["p", "q"]})).fetch[0].peer == "q"


def test_copies_asked_for() -> None:
    core = Core()
    core.handle(DataAdded(["here"], [3], ["str"]))
    keys = ["here", "a", "b", "nowhere"]
    effects = core.say(m.Acquire(keys, [3, 10, 10, 10], [["p"], ["p"], ["q"], []]))
    assert effects.send == [
        m.Acquired(["here"], [3], ["str"]),
        m.NotAcquired(["nowhere"], "no holder could serve it"),
    ]
    assert core.got("p", "a").send == [m.Acquired(["a"], [10], ["int"])]
    assert core.got("q", absent=("b",)).send == [m.NotAcquired(["b"], "no holder could serve it")]


def test_scattered_data_is_kept_and_told() -> None:
    core = Core()
    core.say(compute("z", 1, {"a": ["p"]}))
    effects = core.handle(DataAdded(["a"], [7], ["str"]))
    assert effects.keep == ["a"]
    assert effects.send == [m.Acquired(["a"], [7], ["str"], scattered=True)]
    assert [task.key for task in effects.execute] == ["z"]


def test_lost_data_is_told() -> None:
    core = Core()
    core.handle(DataAdded(["a"], [7], ["str"]))
    effects = core.handle(DataLost(["a", "b"], "unreadable"))
    assert effects.send == [m.Dropped(["a"], "unreadable")]
    assert core.state("a") is None


def test_a_full_process_writes_data_to_disk_until_it_is_below_the_target() -> None:
    core = Core(memory_limit=1000)

    def measure(process: int, managed: int) -> int:
        core.now += 1.0
        effects = core.handle(MemoryMeasured(process, managed))
        if effects.reclaim:  # that comes first
            effects = core.handle(MemoryMeasured(process, managed))
        evict = effects.evict
        if evict:
            assert core.handle(MemoryMeasured(process, managed)).evict == 0  # it is on its way
            core.handle(Evicted(evict, evict))
        return evict

    assert measure(500, 500) == 0
    assert measure(650, 640) == 40  # managed above the target
    assert measure(650, 300) == 0  # unmanaged, below spill
    assert measure(750, 300) == 150
    assert measure(590, 100) == 0
    assert measure(650, 100) == 0
    assert measure(900, 20) == 20  # no more than there is


def test_after_an_attempt_in_vain_it_waits_a_while() -> None:
    core = Core(memory_limit=1000)
    assert core.handle(MemoryMeasured(750, 300)).evict == 150
    core.handle(Evicted(150, 10, ["a"], "No space left on device"))
    assert core.handle(MemoryMeasured(740, 290)).evict == 0
    core.now += 2.0
    assert core.handle(MemoryMeasured(740, 290)).evict == 140


def test_a_full_process_pauses_and_resumes_with_a_margin() -> None:
    core = Core(memory_limit=1000, memory_target=None, memory_spill=None)
    core.say(m.Acquire(["a", "b"], [10, 10], [["p"], ["p"]]))
    core.say(compute("z", 1, {"b": ["p"]}))
    assert core.handle(MemoryMeasured(810, 0)).reclaim == "collect"  # before anything is paused
    core.now += 0.1
    assert not core.handle(MemoryMeasured(810, 0)).pause
    core.now += 0.2
    effects = core.handle(MemoryMeasured(810, 0))
    assert effects.pause
    assert m.WorkerStatus("paused") in effects.send
    assert core.machine.registration().status == "paused"
    refused = core.say(m.Acquire(["c"], [1], [["p"]])).send
    assert [type(message) for message in refused] == [m.NotAcquired]
    assert core.say(compute("y", 2, {"d": ["q"]})).fetch == []
    assert not core.handle(MemoryMeasured(740, 0)).resume  # it does not change that at once
    core.now += 1.0
    assert not core.handle(MemoryMeasured(780, 0)).resume
    effects = core.handle(MemoryMeasured(740, 0))
    assert effects.resume
    assert effects.send == [m.WorkerStatus("running")]
    assert effects.fetch == [Fetch("q", ["d"], 10)]
