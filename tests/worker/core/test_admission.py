"""While memory is short runs begin, and values are fetched, when they fit; room is made."""

from __future__ import annotations

from typing import Any

from shoal.wire import messages as m
from shoal.worker.core import (
    DataAdded,
    Effects,
    Evicted,
    MemoryMeasured,
    Outcome,
    Outcomes,
    Revoked,
    TaskRun,
)

from .harness import Core, compute


def short(managed: int = 500, process: int = 600, **settings: Any) -> Core:
    """Return a core of which the memory is short."""
    core = Core(memory_limit=1000, **settings)
    core.handle(MemoryMeasured(100, 0))
    core.now += 1.0
    core.machine.state.budget.largest = 150.0  # runs of such a size were seen
    effects = core.handle(MemoryMeasured(process, managed))
    if effects.evict:
        core.handle(Evicted(effects.evict, 0, reason="No space left on device"))
    assert core.machine.state.guard is not None
    return core


def learn(core: Core, nbytes: int) -> None:
    """Have a run of the function of all tests return so many bytes."""
    core.machine.state.budget.learn(b"function", nbytes)


def ends(core: Core, task: TaskRun, nbytes: int) -> Effects:
    return core.handle(Outcomes([Outcome(task.key, task.run, "ok", nbytes=nbytes, type="x")]))


def measured(core: Core, process: int, managed: int, running: int = 0) -> Effects:
    core.now += 0.5
    return core.handle(MemoryMeasured(process, managed, running))


def test_runs_begin_as_far_as_memory_goes_by_priority() -> None:
    core = short(nthreads=4)
    learn(core, 90)
    effects = core.say(*(compute(key, i, priority=9 - i) for i, key in enumerate("abc", 1)))
    # 100 idle + 500 + 2 * 90 are below 800.
    assert [task.key for task in effects.execute] == ["c", "b"]
    assert core.state("a") == "held"
    core.now += 1.0
    measured(core, 600, 500, 2)
    effects = ends(core, effects.execute[0], 0)
    assert [task.key for task in effects.execute] == ["a"]


def test_room_is_made_for_the_next_one() -> None:
    core = short()
    learn(core, 300)
    effects = core.say(compute("a"), compute("b", 2))
    assert effects.execute == [] and effects.evict == 100
    effects = core.handle(Evicted(100, 100, ["old"], then=MemoryMeasured(500, 400)))
    assert [task.key for task in effects.execute] == ["a"]
    assert core.state("b") == "held"


def test_one_may_begin_where_nothing_else_goes_on() -> None:
    core = Core(memory_limit=1000)
    core.handle(MemoryMeasured(650, 0))
    learn(core, 900)
    measured(core, 650, 0)
    assert [task.key for task in core.say(compute("a"), compute("b", 2)).execute] == ["a"]
    assert core.state("b") == "held"


def test_what_takes_nothing_to_speak_of_is_not_held() -> None:
    core = short(managed=690, process=795)
    learn(core, 1)
    runs = [compute(f"k{i}", i) for i in range(50)]
    assert len(core.say(*runs).execute) == 50


def test_inputs_on_disk_are_part_of_what_a_run_needs() -> None:
    core = short()
    core.handle(DataAdded(["x"], [250], ["array"]))
    core.handle(Evicted(1, 0, ["x"]))
    learn(core, 10)
    assert core.say(compute("a", 1, {"x": []})).execute == []
    assert core.say(compute("b", 2, priority=1)).execute == []  # not before the better one


def test_inputs_of_runs_stay_and_what_is_needed_last_goes_first() -> None:
    core = short()
    learn(core, 50)
    core.handle(DataAdded(["x", "y", "z"], [50, 50, 50], ["array"] * 3))
    measured(core, 600, 500)
    used = compute("a", 1, {"x": []})
    sooner, later = compute("b", 2, {"y": []}, priority=1), compute("c", 3, {"z": []}, priority=2)
    assert [task.key for task in core.say(used, sooner, later).execute] == ["a"]
    effects = measured(core, 890, 750, 1)
    assert effects.evict > 0
    assert effects.in_use == {"x"}
    assert effects.spare == ["z", "y", "x"]


def test_what_did_not_begin_is_taken_back_when_memory_becomes_short() -> None:
    core = Core(memory_limit=1000)
    learn(core, 200)
    a, b = core.say(compute("a"), compute("b", 2)).execute
    effects = core.handle(MemoryMeasured(700, 500))
    assert effects.revoke == [a, b]
    core.kept(a)
    core.revoked(b)
    assert (core.state("a"), core.state("b")) == ("ready", "held")
    assert list(core.machine.state.budget.running) == [a]


def test_stolen_and_freed_while_held() -> None:
    core = short()
    learn(core, 900)
    core.machine.state.budget.managed = 500
    core.say(compute("a"), compute("b", 2))
    assert core.say(m.Steal(["a"])).send == [m.StealReply(["a"], [1], [])]
    core.say(m.Free(["b"]))
    assert core.state("a") is core.state("b") is None


def test_a_value_is_fetched_when_it_fits() -> None:
    core = short(managed=600, process=700)
    effects = core.say(compute("a", 1, {"x": ["p"]}, nbytes=250))
    assert effects.fetch == [] and effects.evict > 0
    core.handle(Evicted(effects.evict, effects.evict, [], then=MemoryMeasured(500, 400)))
    core.now += 0.1
    effects = core.handle(MemoryMeasured(500, 400))
    assert core.machine.state.fetching_bytes == 250


def test_a_run_is_refused_where_the_disk_is_full_and_nothing_goes_on() -> None:
    core = short(managed=700, process=800)
    learn(core, 300)
    effects = core.say(compute("a"), compute("b", 2, priority=1))
    refused = {}
    for _ in range(20):
        if effects.evict:
            core.handle(Evicted(effects.evict, 0, [], "No space left on device"))
        effects = measured(core, 800, 700)
        refused |= effects.refuse
        assert not effects.execute and not effects.pause
        if refused:
            break
    [(task, why)] = refused.items()
    assert task.key == "a"
    assert "No space left on device" in why and "needs about 300 bytes" in why
    core.machine.state.budget.usage[b"function"].result = 1
    assert [run.key for run in core.ends(task, "error").execute] == ["b"]
    assert [run.key for run in core.say(compute("small", 3)).execute] == ["small"]
    core.ignore(m.Failed, why="the task failed, as the test said")


def test_a_run_is_refused_whose_input_cannot_come_because_the_disk_is_full() -> None:
    """It waited for ever: nothing was fetched that did not fit, and nothing was held."""
    core = short(managed=700, process=800)
    effects = core.say(compute("a", 1, {"x": ["p"]}, nbytes=500))
    refused = {}
    for _ in range(20):
        if effects.evict:
            core.handle(Evicted(effects.evict, 0, [], "No space left on device"))
        effects = measured(core, 800, 700)
        assert not effects.fetch
        refused |= effects.refuse
        if refused:
            break
    [(task, why)] = refused.items()
    assert task.key == "a" and "No space left on device" in why
    assert not core.machine.state.missing_keys
    core.ends(task, "error")
    core.ignore(m.Failed, why="the task failed, as the test said")


def test_memory_that_a_task_asks_for_is_kept_for_it() -> None:
    core = Core(memory_limit=1000, nthreads=4)
    core.handle(MemoryMeasured(100, 0))
    asks = [compute(f"k{i}", i, resources={"memory": 400}) for i in range(1, 4)]
    effects = core.say(*asks)
    assert [task.key for task in effects.execute] == ["k1"]  # 100 + 400 + 400 are too many
    assert core.state("k2") == "held"
    assert core.state("k3") == "constrained"
    assert [task.key for task in ends(core, effects.execute[0], 5).execute] == ["k2"]


def test_nothing_of_this_happens_without_a_limit() -> None:
    core = Core()
    learn(core, 10**9)
    core.handle(MemoryMeasured(10**12, 10**12))
    assert core.machine.state.guard is None
    assert len(core.say(compute("a"), compute("b", 2)).execute) == 2


def test_garbage_is_collected_before_and_while_it_is_paused_but_seldom() -> None:
    core = Core(memory_limit=1000, memory_target=None, memory_spill=None)
    found = [measured(core, 900, 0).reclaim for _ in range(12)]
    assert found.count("collect") == 3
    core.ignore(m.WorkerStatus, why="it pauses meanwhile")
    core.effects.ignore("pause", why="the garbage is looked at")


def test_a_worker_does_not_change_its_state_often() -> None:
    core = Core(memory_limit=1000)
    changes = 0
    for i in range(100):
        core.now += 0.1
        effects = core.handle(MemoryMeasured(850 if i % 2 else 700, 0))
        changes += effects.pause + effects.resume
    assert changes == 0
    for i in range(100):
        core.now += 0.1
        effects = core.handle(MemoryMeasured(850 if i % 10 > 4 else 700, 0))
        changes += effects.pause + effects.resume
    assert 2 <= changes <= 11
    core.ignore(m.WorkerStatus, why="each change is told; here they are counted by effects")


def test_what_an_idle_process_kept_is_given_back_seldom() -> None:
    core = Core(memory_limit=1000)
    found = [measured(core, 300, 0).reclaim for _ in range(60)]
    assert found.count("trim") == 1  # nothing more grew
    found = [measured(core, 450, 0).reclaim for _ in range(60)]
    assert found.count("trim") == 1


def test_what_a_paused_worker_did_not_begin_keeps_nothing_in_memory() -> None:
    """Its inputs may be all that is above the limit: nothing would ever change."""
    core = short(nthreads=4)
    learn(core, 90)
    effects = core.say(compute("a", 1))
    (task,) = effects.execute
    for _ in range(3):
        effects = measured(core, 900, 500)
        if effects.pause:
            break
    assert effects.pause and effects.revoke == [task]
    assert core.state("a") == "recalled"
    core.handle(Revoked([task], []))
    assert core.state("a") == "held"
    assert core.machine.state.budget.running == {}
    core.ignore(m.WorkerStatus, why="that it paused is another test's")


def test_a_worker_that_paused_before_its_disk_was_full_goes_on() -> None:
    """Its data stays where it is, so what takes no memory to speak of would wait for good."""
    core = short(nthreads=2)
    core.machine.state.budget.full = ""
    for _ in range(5):
        effects = measured(core, 900, 700)
        if effects.pause:
            break
        if effects.evict:
            core.handle(Evicted(effects.evict, 0))
    assert core.machine.state.paused
    core.machine.state.budget.evicting = 100
    core.now += 1.5
    full = Evicted(100, 0, reason="No space left on device", then=MemoryMeasured(900, 700))
    assert core.handle(full).resume
    learn(core, 0)
    assert [task.key for task in core.say(compute("small")).execute] == ["small"]
    core.ignore(m.WorkerStatus, why="that it paused, and goes on, is told by effects here")
