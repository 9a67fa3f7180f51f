"""What becomes of runs: execution, failure, freeing, stealing, resources, reconnection."""

from __future__ import annotations

import pytest

from shoal.wire import messages as m
from shoal.wire.blob import Blob
from shoal.worker.core import (
    Close,
    Connected,
    DataAdded,
    Disconnected,
    Outcome,
    Outcomes,
    Revoked,
    Seceded,
)

from .harness import Core, compute


def test_a_task_without_dependencies_is_executed_and_reported() -> None:
    core = Core()
    [task] = core.say(compute("x", 7)).execute
    assert task.compute.args == b"args"
    effects = core.ends(task, value=b"pickle")
    assert effects.send == [m.Finished(["x"], [7], [5], ["int"], [1.0], [2.0], [b"pickle"])]
    assert core.state("x") == "memory"


def test_outcomes_that_came_together_are_one_message() -> None:
    core = Core()
    core.say(*[compute(f"x{i}", i) for i in range(5)])
    effects = core.handle(Outcomes([Outcome(f"x{i}", i, "ok") for i in range(5)]))
    [message] = effects.send
    assert message.keys == [f"x{i}" for i in range(5)]


def test_errors_and_reschedules_are_messages_of_their_own() -> None:
    core = Core()
    x, y = core.say(compute("x", 1), compute("y", 2)).execute
    [failed] = core.ends(x, "error").send
    assert (failed.key, failed.run, failed.exception) == ("x", 1, Blob(b"exception"))
    assert core.ends(y, "reschedule").send == [m.Rescheduled("y", 2)]
    assert core.state("x") is core.state("y") is None


def test_functions_are_defined_before_they_are_used_and_forgotten() -> None:
    core = Core()
    assert core.say(m.DefineFunctions([b"f"], [Blob(b"1")])).define == {b"f": Blob(b"1")}
    effects = core.say(m.ForgetFunctions([b"f"]), m.DefineFunctions([b"f"], [Blob(b"2")]))
    assert effects.define == {b"f": Blob(b"2")}
    assert effects.forget == []
    assert core.say(m.ForgetFunctions([b"f"])).forget == [b"f"]


def test_freed_data_is_dropped() -> None:
    core = Core()
    [task] = core.say(compute("x")).execute
    core.ends(task)
    assert core.say(m.Free(["x", "unknown"])).drop == ["x"]
    assert core.state("x") is None


@pytest.mark.parametrize("started", [True, False])
def test_nobody_hears_of_a_freed_run(started: bool) -> None:
    core = Core(resources={"gpu": 1})
    [task] = core.say(compute("x", 1, resources={"gpu": 1})).execute
    effects = core.say(m.Free(["x"]))
    assert effects.discard == [task]
    assert effects.drop == ["x"]  # it may have been stored just now
    assert core.say(compute("y", 2, resources={"gpu": 1})).execute == []
    after = [core.kept(task), core.ends(task)] if started else [core.revoked(task)]
    assert not any(effects.send for effects in after)
    assert [t.key for t in after[-1].execute] == ["y"]
    assert core.machine.state.orphans == {}


def test_a_run_freed_in_the_batch_that_brought_it_never_starts() -> None:
    """The executor takes back before it takes on: it would run, and its result be kept for ever."""
    core = Core(resources={"GPU": 1.0})
    gpu = {"GPU": 1.0}
    effects = core.say(
        compute("x", 1, resources=gpu), compute("y", 2), m.Free(["x"]), compute("z", 3, {}, gpu)
    )
    assert [task.key for task in effects.execute] == ["y", "z"]
    assert effects.discard == []
    assert core.state("x") is None
    assert core.machine.state.orphans == {}


def test_a_newer_run_takes_the_place_of_an_older_one() -> None:
    core = Core()
    [old] = core.say(compute("x", 1)).execute
    effects = core.say(compute("x", 2))
    assert effects.discard == [old]
    [new] = effects.execute
    assert core.ends(old).send == []
    assert core.state("x") == "ready"
    assert core.ends(new).send[0].runs == [2]


def test_a_run_of_a_key_that_is_here_replaces_the_data() -> None:
    core = Core()
    core.handle(DataAdded(["x"], [1], ["int"]))
    effects = core.say(compute("x"))
    assert effects.drop == ["x"]
    assert [task.key for task in effects.execute] == ["x"]


def test_stealing_gives_back_what_did_not_start() -> None:
    core = Core(resources={"gpu": 1})
    a, b, _ = core.say(
        compute("a", 1),
        compute("b", 2),
        compute("gpu", 3, resources={"gpu": 1}),
        compute("constrained", 4, resources={"gpu": 1}),
        compute("waiting", 5, {"far": ["peer"]}),
    ).execute
    effects = core.say(m.Steal(["a", "b", "constrained", "waiting", "unknown"]))
    assert effects.revoke == [a, b]
    assert effects.send == [m.StealReply(["constrained", "waiting"], [4, 5], ["unknown"])]
    effects = core.handle(Revoked([a], [b]))
    assert effects.send == [m.StealReply(["a"], [1], ["b"])]
    assert core.state("a") is None
    assert core.state("b") == "ready"


def test_a_run_freed_while_it_is_stolen_is_not_answered() -> None:
    core = Core()
    [task] = core.say(compute("x")).execute
    core.say(m.Steal(["x"]))
    assert core.say(m.Free(["x"])).discard == [task]
    assert core.revoked(task, task).send == []


def test_seceding_is_told_and_keeps_resources() -> None:
    core = Core(resources={"gpu": 1})
    [task] = core.say(compute("x", 1, resources={"gpu": 1})).execute
    assert core.handle(Seceded("x", 1, 0.5)).send == [m.LongRunning("x", 1, 0.5)]
    assert core.handle(Seceded("x", 1, 0.5)).send == []
    assert core.say(m.Steal(["x"])).send == [m.StealReply([], [], ["x"])]
    assert core.say(compute("y", 2, resources={"gpu": 1})).execute == []
    assert [t.key for t in core.ends(task).execute] == ["y"]


def test_constrained_runs_start_by_priority_and_small_ones_pass_by() -> None:
    core = Core(resources={"gpu": 2, "disk": 1})
    [first] = core.say(compute("first", 1, resources={"gpu": 1.5})).execute
    core.say(
        compute("late", 2, resources={"gpu": 2}, priority=2),
        compute("early", 3, resources={"gpu": 2}, priority=1),
    )
    assert [t.key for t in core.say(compute("s", 4, resources={"gpu": 0.5})).execute] == ["s"]
    [task] = core.say(compute("disk", 5, resources={"disk": 1})).execute
    assert core.ends(task).execute == []
    assert core.ends(first).execute == []
    small = core.machine.state.tasks["s"]
    assert [t.key for t in core.ends(small).execute] == ["early"]


def test_a_disconnected_worker_keeps_data_and_what_executes() -> None:
    core = Core(resources={"gpu": 1})
    core.handle(DataAdded(["data"], [3], ["str"]))
    running, queued, _ = core.say(
        compute("running", 1),
        compute("queued", 2),
        compute("gpu", 3, resources={"gpu": 1}),
        compute("constrained", 4, resources={"gpu": 1}),
        compute("waiting", 5, {"far": ["peer"]}),
    ).execute
    gpu = core.machine.state.tasks["gpu"]
    effects = core.handle(Disconnected("reset"))
    assert effects.revoke == [running, queued, gpu]
    core.handle(Revoked([queued], [running, gpu]))
    assert core.got("peer", "far").keep == []
    assert core.ends(gpu).send == []
    assert core.say(compute("z")).execute == []  # not from this connection
    registration = core.handle(Connected()).register
    assert registration is not None
    assert registration.held == ["data", "gpu"]
    assert registration.held_nbytes == [3, 5]
    assert registration.held_types == ["str", "int"]
    assert (registration.running, registration.running_runs) == (["running"], [1])
    assert core.ends(running).send[0].keys == ["running"]


def test_a_failure_while_disconnected_is_left_to_a_new_run() -> None:
    core = Core()
    [task] = core.say(compute("x")).execute
    core.handle(Disconnected())
    core.kept(task)
    assert core.ends(task, "error").send == []
    registration = core.handle(Connected()).register
    assert registration is not None
    assert (registration.held, registration.running) == ([], [])


def test_functions_of_the_last_connection_are_forgotten_unless_they_run() -> None:
    core = Core()
    blobs = [Blob(b"1"), Blob(b"2")]
    [task] = core.say(m.DefineFunctions([b"function", b"g"], blobs), compute("x")).execute
    core.handle(Disconnected())
    core.kept(task)
    assert core.handle(Connected()).forget == [b"g"]


def test_the_welcome_says_what_nobody_wants() -> None:
    core = Core()
    core.handle(DataAdded(["data"], [3], ["str"]))
    [task] = core.say(compute("x")).execute
    effects = core.say(m.WorkerWelcome("scheduler", 1.0, forget=["data"], stop=["x"]))
    assert effects.discard == [task]
    assert set(effects.drop) == {"x", "data"}


def test_closing() -> None:
    core = Core()
    effects = core.say(m.CloseWorker("retired", restart=True))
    assert effects.close == ("retired", True)
    assert effects.send == [m.WorkerGoodbye("retired")]
    effects = Core().handle(Close("signal"))
    assert effects.close == ("signal", False)
    assert effects.send == [m.WorkerGoodbye("signal")]
    assert Core().say(m.WorkerRejected("the name is taken")).close == ("the name is taken", False)
