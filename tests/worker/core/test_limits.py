"""Runs that pass their timeout, and runs that are cancelled by force: stopped, or given up."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.errors import TaskTimeout
from shoal.wire import messages as m
from shoal.wire.pickling import loads
from shoal.worker.core import (
    Disconnected,
    Interrupted,
    Outcome,
    Outcomes,
    Revoked,
    Started,
    TaskRun,
    Tick,
)

from .harness import Core, Failure, compute


def limited(timeout: float = 2.0, run: int = 1, key: str = "x", **more: Any) -> m.Compute:
    task = compute(key, run)
    task.options = m.TaskOptions(timeout=timeout, **more)
    return task


def begun(core: Core, timeout: float = 2.0, elapsed: float = 0.0) -> TaskRun:
    [task] = core.say(limited(timeout)).execute
    core.handle(Started("x", 1, elapsed))
    return task


def tick(core: Core, now: float) -> Any:
    core.now = now
    return core.handle(Tick())


@pytest.fixture
def core() -> Core:
    return Core(interrupt_grace=5.0)


def test_a_run_is_stopped_when_its_time_is_over_and_not_before(core: Core) -> None:
    task = begun(core, elapsed=0.5)
    assert tick(core, 1.4).interrupt == []
    effects = tick(core, 1.5)
    assert effects.interrupt == [task]
    assert effects.deadline == 6.5
    assert tick(core, 1.6).interrupt == []


def test_the_time_counts_from_the_start_of_the_run(core: Core) -> None:
    core.say(limited(2.0))
    assert tick(core, 100.0).interrupt == []


def test_where_it_was_is_said(core: Core) -> None:
    begun(core)
    tick(core, 2.0)
    [said] = core.handle(Interrupted(1, "in f", 2.0)).send
    assert said == m.Interrupted("x", 1, "timeout", "in f", 2.0, False)
    core.effects.ignore("interrupt", why="the report of it is looked at")


def test_code_that_stops_is_no_reason_for_more(core: Core) -> None:
    task = begun(core)
    tick(core, 2.0)
    core.ends(task, "error")
    effects = tick(core, 100.0)
    assert not effects.abandon and not effects.replace
    core.ignore(m.Failed, why="x failed, as the test said")
    core.effects.ignore("interrupt", why="nothing more follows")


def test_code_that_goes_on_is_given_up_with_its_process(core: Core) -> None:
    task = begun(core)
    tick(core, 2.0)
    core.handle(Interrupted(1, "in f", 2.0))
    effects = tick(core, 7.0)
    failed, said = effects.send
    error = loads(failed.exception)
    assert isinstance(error, TaskTimeout)
    assert (error.key, error.timeout, error.where) == ("x", 2.0, "in f")
    assert "shoal.errors.TaskTimeout" in failed.kinds and "builtins.TimeoutError" in failed.kinds
    assert said.replaced
    assert effects.abandon == effects.discard == [task]
    assert "did not stop within 5 s" in effects.replace
    core.ignore(m.Interrupted, why="where it was, which the test before looks at")
    core.effects.ignore("interrupt", why="what follows later is looked at")


def test_a_process_is_replaced_once(core: Core) -> None:
    begun(core)
    core.say(limited(2.0, run=2, key="y"))
    core.handle(Started("y", 2, 0.0))
    tick(core, 2.0)
    core.now = 7.0
    [first] = [core.handle(Tick())]
    assert len(first.abandon) == 2 and first.replace
    core.say(limited(2.0, run=3, key="z"))
    core.handle(Started("z", 3, 0.0))
    tick(core, 9.0)
    second = tick(core, 14.0)
    assert len(second.abandon) == 1 and not second.replace
    core.ignore(
        m.Failed, m.Interrupted, why="what was given up failed, which the test before looks at"
    )
    core.effects.ignore("interrupt", why="what follows later is looked at")


def test_the_outcome_of_what_was_given_up_is_nobodys(core: Core) -> None:
    task = begun(core)
    tick(core, 2.0)
    tick(core, 7.0)
    core.ignore(m.Failed, m.Interrupted, why="it was given up and failed, as in the tests before")
    assert core.ends(task, "discarded").send == []
    assert core.state("x") is None
    core.effects.ignore("interrupt", "abandon", "replace", why="the late outcome is looked at")


def test_another_run_of_the_key_has_its_own_time(core: Core) -> None:
    begun(core)
    core.now = 1.5
    core.say(m.Free(["x"]), limited(2.0, run=2))
    core.handle(Started("x", 2, 0.0))
    assert [task.run for task in tick(core, 2.0).interrupt] == [1]  # it takes a thread all the same
    assert [task.run for task in tick(core, 3.5).interrupt] == [2]


def test_a_run_that_lacked_inputs_begins_anew(core: Core) -> None:
    task = begun(core)
    core.ends(task, "missing", missing=("y",))
    assert tick(core, 3.0).interrupt == []
    core.handle(Started("x", 1, 0.0))
    assert tick(core, 4.9).interrupt == []
    assert tick(core, 5.0).interrupt == [task]


def test_what_is_cancelled_by_force_is_stopped_at_once(core: Core) -> None:
    [task] = core.say(compute("x", 1)).execute
    effects = core.say(m.Free(["x"]), m.Interrupt(["x"], [1], "nobody wants it"))
    assert effects.discard == effects.interrupt == [task]
    [said] = core.handle(Interrupted(1, "in f", 0.3)).send
    assert said.why == "nobody wants it"
    effects = tick(core, 5.0)
    assert effects.abandon == [task] and "nobody wants it" in effects.replace
    assert [type(message) for message in effects.send] == [m.Interrupted]


def test_what_had_not_begun_needs_no_stopping(core: Core) -> None:
    [task] = core.say(compute("x", 1)).execute
    core.say(m.Free(["x"]), m.Interrupt(["x"], [1], "nobody wants it"))
    core.handle(Revoked([task], []))
    assert not tick(core, 5.0).replace
    core.effects.ignore("interrupt", why="the executor stopped nothing")


def test_what_has_ended_needs_no_stopping(core: Core) -> None:
    [task] = core.say(compute("x", 1)).execute
    core.ends(task)
    assert core.say(m.Free(["x"]), m.Interrupt(["x"], [1], "why")).interrupt == []


def test_without_a_scheduler_it_is_stopped_too_and_nothing_is_said(core: Core) -> None:
    task = begun(core)
    core.handle(Disconnected())
    assert tick(core, 2.0).interrupt == [task]
    assert core.handle(Interrupted(1, "in f", 2.0)).send == []
    assert tick(core, 7.0).replace
    core.effects.ignore("abandon", why="what is said is looked at")


def test_a_failure_is_described_where_the_task_has_a_policy(core: Core) -> None:
    failure = Failure()
    failure.kinds, failure.agreed = ["users.Error"], False
    for options, kinds in (
        (None, []),
        (m.TaskOptions(retries=1), []),
        (m.TaskOptions(retries=1, retry=m.RetryPolicy()), ["users.Error"]),
    ):
        message = compute("x", 1)
        message.options = options
        [task] = core.say(message).execute
        [failed] = core.handle(Outcomes([Outcome("x", task.run, "error", failure=failure)])).send
        assert failed.kinds == kinds and failed.agreed is (not kinds)
