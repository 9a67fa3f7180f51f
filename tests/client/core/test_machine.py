"""The client's core, event by event."""

from __future__ import annotations

import pytest

from shoal._base.keys import set_aside_key
from shoal.client.core import events as e
from shoal.client.core import functions
from shoal.client.core.asks import Asking
from shoal.client.core.invariants import check
from shoal.client.core.machine import Machine
from shoal.client.core.state import Call, Extras, Failure, Record
from shoal.wire import messages as m
from shoal.wire.blob import Blob, Buffer
from shoal.wire.messages import TaskOptions

from .model import INC, Duet, data, function, task


@pytest.fixture
def duet() -> Duet:
    duet = Duet()
    duet.connect()
    return duet


def kinds(messages: list[object]) -> list[str]:
    return [type(message).__name__ for message in messages]


def test_a_task_from_submission_to_release(duet: Duet) -> None:
    record = task("inc-1")
    effects = duet.submit(record)
    define, graph = effects.messages
    assert define == m.DefineFunctions([INC.function.id], [INC.function.blob])
    assert graph == m.Graph(
        keys=["inc-1"], functions=[INC.function.id], args=[b"args of inc-1"], groups=["inc"], told=1
    )
    assert record.status == "pending"

    effects = duet.finish("inc-1")
    assert effects.changed == [record]
    assert (record.status, record.type, record.value) == ("finished", "int", b"1")

    effects = duet.release("inc-1")
    assert effects.messages == [m.Release(["inc-1"])]
    assert not duet.records


def test_a_function_is_told_once(duet: Duet) -> None:
    assert kinds(duet.submit(task("a")).messages) == ["DefineFunctions", "Graph"]
    assert kinds(duet.submit(task("b")).messages) == ["Graph"]
    duet.release("a", "b")
    assert kinds(duet.submit(task("c")).messages) == ["Graph"]


def test_idle_functions_are_forgotten(duet: Duet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "MAX_IDLE", 1)
    busy, old, new = (Call(function(name), name) for name in ("busy", "old", "new"))
    duet.submit(task("a", call=busy), task("b", call=old), task("c", call=new))
    duet.release("b")
    effects = duet.release("c")
    assert m.ForgetFunctions([old.function.id]) in effects.messages
    effects = duet.submit(task("d", call=new), task("e", call=old))
    assert effects.messages[0] == m.DefineFunctions([old.function.id], [old.function.blob])


def test_large_idle_functions_are_forgotten_at_once(
    duet: Duet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(functions, "MAX_IDLE_BYTES", 100)
    large = Call(function("large", 60), "large")
    large.function.blob.buffers.append(Buffer(bytes(60)))
    duet.submit(task("a", call=large))
    assert kinds(duet.release("a").messages) == ["Release", "ForgetFunctions"]


def test_submits_of_several_functions_share_a_message(duet: Duet) -> None:
    options = TaskOptions(retries=3)
    other = Call(function("dec"), "dec", options=options)
    effects = duet.submit(task("a"), task("b", call=other), task("c", "a", "b"))
    define, graph = effects.messages
    assert define.ids == [INC.function.id, other.function.id]
    assert graph.functions == define.ids
    assert graph.function_of == [0, 1, 0]
    assert (graph.groups, graph.group_of) == (["inc", "dec"], [0, 1, 0])
    assert (graph.options, graph.option_of) == ([options], [-1, 0, -1])
    assert graph.deps == [[], [], [0, 1]]


def test_options_of_all_tasks_are_sent_once(duet: Duet) -> None:
    options = TaskOptions(workers=["alice"])
    call = Call(INC.function, "inc", options=options)
    graph = duet.submit(task("a", call=call), task("b", call=call)).messages[-1]
    assert (graph.options, graph.option_of) == ([options], [])


def test_other_priorities_take_another_message(duet: Duet) -> None:
    urgent = Call(INC.function, "inc", priority=5.0)
    effects = duet.submit(task("a"), task("b", call=urgent), task("c", "b", call=urgent))
    first, second = effects.messages[1:]
    assert (first.keys, first.priority) == (["a"], 0.0)
    assert (second.keys, second.priority, second.deps) == (["b", "c"], 5.0, [[], [0]])


def test_buffers_travel_with_their_task(duet: Duet) -> None:
    record = task("b")
    record.extras = Extras(buffers=[Buffer(b"large")])
    graph = duet.submit(task("a"), record).messages[-1]
    assert graph.buffers == {1: record.extras.buffers}


def test_inputs_are_kept_as_long_as_their_users(duet: Duet) -> None:
    duet.submit(task("a"), task("b", "a"), task("c", "b"))
    duet.release("a", "b")
    assert list(duet.records) == ["a", "b", "c"]
    duet.release("c")
    assert not duet.records
    assert INC.function.tasks == 0


def test_a_key_submitted_again_while_it_is_an_input(duet: Duet) -> None:
    duet.submit(task("a"), task("b", "a"))
    duet.release("a")
    again = task("a", call=Call(function("other"), "other"))
    effects = duet.submit(again)
    assert effects.messages[-1].keys == ["a"]
    # Nobody holds the old result: the key means what was submitted last. What `b` was made of is
    # kept under a name of its own, the same on both sides.
    assert again.call.function.id == function("other").id
    assert duet.records["b"].deps == (set_aside_key("a", 1),)
    duet.finish("a")
    assert again.status == "finished"
    duet.release("b")
    assert list(duet.records) == ["a"]


def test_a_task_whose_input_was_set_aside_is_another_when_it_is_submitted_again(
    duet: Duet,
) -> None:
    """Its definition names the same key, and the key means another task now."""
    duet.submit(task("a"), task("b", "a"), task("c", "b"))
    duet.release("a", "b")
    duet.submit(task("a", call=Call(function("other"), "other")))
    duet.submit(task("b", "a"))
    assert duet.records["c"].deps == (set_aside_key("b", 1),)
    assert duet.records[set_aside_key("b", 1)].deps == (set_aside_key("a", 1),)
    assert duet.records["b"].deps == ("a",)


def test_a_task_submitted_again_while_it_is_an_input(duet: Duet) -> None:
    duet.submit(task("a"), task("b", "a"))
    duet.release("a")
    again = task("a")
    graph = duet.submit(again).messages[-1]
    assert graph.lives == [1], "it is the same task, and the same life"
    assert duet.records["b"].deps == ("a",)


def test_words_about_an_older_life_are_not_taken_for_the_new_one(duet: Duet) -> None:
    old = duet.submit(task("a")).messages[-1].told
    duet.release("a")
    again = task("a", call=Call(function("other"), "other"))
    assert duet.submit(again).messages[-1].told > old
    for word in (
        m.KeysInMemory(["a"], ["int"], [b"old"], [], old),
        m.KeyErred("a", Blob(b"e"), Blob(b"t"), "a", old),
        m.KeysLost(["a"], "gone", old),
        m.KeysCancelled(["a"], "gone", old),
    ):
        assert duet.hear(word).changed == []
    assert again.status == "pending"
    duet.hear(m.KeysInMemory(["a"], ["int"], [b"new"], [], again.told))
    assert (again.status, again.value) == ("finished", b"new")


def test_equal_data_put_again_is_not_lost_by_what_was_said_before(duet: Duet) -> None:
    """The scheduler keeps the new copies for this client, which must release them some day."""
    first = data("d", "w1", life=10)
    heard = duet.submit(first).messages[-1].told
    scattered = duet.handle(e.PutAgain(data("d", "w2", life=20))).messages[-1]
    assert duet.hear(m.KeysLost(["d"], "gone", heard)).changed == []
    assert duet.hear(m.KeysInMemory(["d"], ["int"], [None], ["w2"], scattered.told)).changed
    assert (first.status, first.holder, first.life) == ("finished", "w2", 20)
    duet.hear(m.KeysShared(["d"], [30], scattered.told))
    assert first.life == 30
    assert duet.release("d").messages == [m.Release(["d"])]


def test_a_life_is_said_again_as_it_was(duet: Duet) -> None:
    duet.submit(task("a"))
    duet.release("a")
    duet.submit(task("b"), data("d", "w1", life=77))
    life = duet.records["b"].told
    duet.disconnect()
    messages = duet.connect().messages
    [graph] = [message for message in messages if type(message) is m.Graph]
    [scattered] = [message for message in messages if type(message) is m.Scattered]
    assert (graph.lives, scattered.lives) == ([life], [77])
    assert graph.told >= life


def test_words_about_what_is_told_again_are_heard(duet: Duet) -> None:
    duet.submit(task("a"), task("b"))
    told = duet.records["a"].told
    duet.release("b")
    effects = duet.machine.handle(e.Interrupted([duet.records["a"]], []), 0.0)
    again = effects.messages[-1]
    assert again.told > told
    duet.hear(m.KeysInMemory(["a"], ["int"], [b"1"], [], told))
    assert duet.records["a"].status == "finished"


def test_who_submits_what_is_kept_by_others_hears_what_is_known(duet: Duet) -> None:
    """A variable that is being set keeps the key; nobody says again that it is finished."""
    duet.submit(task("a"))
    duet.finish("a")
    ask = m.Ask(1, "variable", "v", "set", [b"v"], ["a"])
    duet.handle(e.RequestMade(Asking(ask, lambda asking: None)))
    assert duet.told(m.Ask) == [ask]
    duet.release("a")
    again = task("a")
    assert duet.submit(again).changed == [again]
    assert (again.status, again.value) == ("finished", b"1")


def test_a_life_that_is_set_aside_twice(duet: Duet) -> None:
    """Others still wanted the first one, so what was defined next was the same to the scheduler."""
    duet.submit(task("a"), task("b", "a"))
    duet.release("a")
    again = task("a", call=Call(function("other"), "other"))
    duet.machine.handle(e.Submitted([again, task("c", "a")]), 0.0)
    duet.machine.handle(e.FromScheduler([m.KeysShared(["a"], [1], again.told)]), 0.0)
    duet.machine.handle(e.Released(["a"]), 0.0)
    duet.machine.handle(e.Submitted([task("a", call=Call(function("third"), "third"))]), 0.0)
    check(duet.machine)
    assert len(duet.records) == 5


def test_lives_that_no_scheduler_was_told_of_have_names_of_their_own(duet: Duet) -> None:
    """Of this client, and different from what another one without a connection sets aside."""
    duet.disconnect()
    for i, dependent in enumerate("bcd"):
        duet.submit(task("a", call=Call(function(str(i)), "g")), task(dependent, "a"))
        duet.release("a")
    duet.submit(task("a"))
    inputs = [duet.records[key].deps[0] for key in "bcd"]
    lives = [duet.records[name].life for name in inputs]
    assert inputs == [set_aside_key("a", life) for life in lives]
    assert 0 not in lives and len(set(lives)) == 3
    duet.connect()
    assert duet.records["a"].told > max(lives)


def test_a_life_that_was_told_of_after_its_last_future_was_gone(duet: Duet) -> None:
    duet.disconnect()
    duet.submit(task("a"), task("b", "a"))
    duet.release("a")
    duet.connect()
    old = duet.records["a"].told
    again = duet.submit(task("a", call=Call(function("other"), "other"))).messages[-1]
    assert again.told > old


def test_another_life_that_others_share(duet: Duet) -> None:
    duet.submit(task("a"))
    duet.hear(m.KeysShared(["a"], [99], duet.records["a"].told))
    duet.disconnect()
    assert duet.connect().messages[-1].lives == [99]


def test_a_key_of_others(duet: Duet) -> None:
    effects = duet.submit(Record("theirs"))
    assert effects.messages == [m.Want(["theirs"], 1)]
    graph = duet.submit(task("b", "theirs")).messages[-1]
    assert graph.deps == [["theirs"]]
    duet.release("theirs")
    assert "theirs" in duet.records
    duet.release("b")
    assert not duet.records


def test_a_cycle_through_a_key_of_others_is_refused(duet: Duet) -> None:
    duet.submit(Record("x"), task("y", "x"))
    duet.release("x")
    effects = duet.submit(task("x", "y"), task("z"))
    (refused,) = effects.changed
    assert refused.status == "cancelled"
    assert "depend on itself" in str(refused.why)
    assert effects.messages[-1].keys == ["z"]


def test_scattered_data(duet: Duet) -> None:
    effects = duet.submit(data("d1", "w1"), data("d2", "w1", "w2"))
    assert effects.messages == [
        m.Scattered(["d1", "d2"], [8, 8], ["int", "int"], [["w1"], ["w1", "w2"]], 1, [1, 1])
    ]
    assert kinds(duet.release("d1").messages) == ["Release"]


def test_results_elsewhere_name_their_holder(duet: Duet) -> None:
    records = [task(key) for key in "abc"]
    duet.submit(*records)
    duet.hear(m.KeysInMemory(["a", "b", "c"], ["x", "x", "x"], [None, b"1", None], ["w1", "w2"]))
    assert [(r.holder, r.value) for r in records] == [("w1", None), ("", b"1"), ("w2", None)]


def test_results_that_nobody_wants_any_more_are_ignored(duet: Duet) -> None:
    duet.submit(task("a"), task("b", "a"))
    duet.release("a")
    assert duet.finish("a", "unknown").changed == []
    assert duet.fail("a").changed == []


def test_a_lost_result_is_pending_again(duet: Duet) -> None:
    record = task("a")
    duet.submit(record)
    duet.finish("a")
    assert duet.hear(m.KeysPending(["a"])).changed == [record]
    assert (record.status, record.value) == ("pending", None)
    assert duet.hear(m.KeysPending(["a"])).changed == []


def test_a_failure_and_a_retry(duet: Duet) -> None:
    record = task("a")
    duet.submit(record)
    assert duet.handle(e.RetryRequested(["a"])).messages == []  # it did not fail
    duet.fail("a")
    assert record.status == "error"
    assert isinstance(record.why, Failure)
    assert record.why.blame == "a"
    duet.handle(e.RetryRequested(["a", "unknown"]))
    assert duet.told(m.Retry) == [m.Retry(["a"])]
    assert record.status == "pending"
    assert record.why is None


def test_cancelling_takes_what_depends_on_it(duet: Duet) -> None:
    records = [task("a"), task("b", "a"), task("c", "b"), task("other")]
    duet.submit(*records)
    duet.handle(e.CancelRequested(["a", "unknown"], reason="no more"))
    assert duet.told(m.Cancel) == [m.Cancel(["a", "b", "c"], False, "no more")]
    assert [r.status for r in records] == ["cancelled", "cancelled", "cancelled", "pending"]
    assert records[2].why == "no more"
    assert list(duet.records) == ["other"]


def test_a_cancelled_key_can_be_submitted_again(duet: Duet) -> None:
    duet.submit(task("a"))
    duet.handle(e.CancelRequested(["a"]))
    assert [message.keys for message in duet.told(m.Cancel)] == [["a"]]
    again = task("a")
    assert kinds(duet.submit(again).messages) == ["Graph"]
    duet.finish("a")
    assert again.status == "finished"


@pytest.mark.parametrize(
    ("message", "status"),
    [(m.KeysLost(["a"], "gone"), "lost"), (m.KeysCancelled(["a"], "gone"), "cancelled")],
)
def test_the_scheduler_ends_a_key(duet: Duet, message: object, status: str) -> None:
    a, b = task("a"), task("b", "a")
    duet.submit(a, b)
    # The scheduler does not want to hear of it again.
    assert duet.scheduler is not None
    duet.scheduler.wants.discard("a")
    assert duet.hear(message).changed == [a]
    assert (a.status, a.why, b.status) == (status, "gone", "pending")
    assert "a" in duet.records  # b's recipe
    duet.release("b")
    assert not duet.records


def test_fire_and_forget_keeps_the_recipe_until_it_is_done(duet: Duet) -> None:
    duet.submit(task("a"), task("b"))
    assert duet.handle(e.FireRequested(["a"])).messages == [m.FireAndForget(["a"])]
    assert duet.release("a").messages == []
    duet.disconnect()
    effects = duet.connect()
    assert duet.scheduler is not None
    assert duet.scheduler.fired == {"a"}
    assert duet.scheduler.wants == {"a", "b"}
    effects = duet.finish("a")
    assert effects.messages == [m.Release(["a"])]
    duet.handle(e.FireRequested(["b"]))
    duet.fail("b")
    assert kinds(duet.release("b").messages) == ["Release"]
    assert not duet.records


def test_workers_come_and_go(duet: Duet) -> None:
    effects = duet.hear(m.ClientWelcome("s1", ["w1", "w2"]), m.WorkersChanged(["w3"], ["w1"]))
    assert effects.workers_changed
    assert list(duet.machine.state.workers) == ["w2", "w3"]
    assert duet.machine.state.scheduler == "s1"


def test_a_restarted_cluster_forgets_everything(duet: Duet) -> None:
    records = [task("a"), task("b", "a"), data("d", "w")]
    duet.submit(*records)
    duet.hear(m.Restarted())
    assert {r.status for r in records} == {"cancelled"}
    assert "restarted" in str(records[0].why)
    again = task("a")
    duet.submit(again)
    assert again.status == "pending"


@pytest.mark.parametrize(
    "event",
    [
        e.GaveUp("no scheduler at tcp://x"),
        e.FromScheduler([m.SchedulerClosing("no scheduler at tcp://x")]),
        e.Closed("no scheduler at tcp://x"),
    ],
)
def test_the_end(event: e.Event) -> None:
    machine = Machine("c")
    machine.handle(e.Connected(), 0)
    record, done = task("a"), task("b")
    machine.handle(e.Submitted([record, done]), 0)
    machine.handle(e.FromScheduler([m.KeysInMemory(["b"], ["int"], [b"1"], [])]), 0)
    effects = machine.handle(event, 0)
    assert effects.ended == "no scheduler at tcp://x"
    assert effects.changed == [record, done]
    assert (record.status, record.why) == ("cancelled", "no scheduler at tcp://x")
    assert effects.messages == ([m.ClientGoodbye()] if type(event) is e.Closed else [])
    # Whatever is asked now ends at once.
    late = task("late")
    assert machine.handle(e.Submitted([late]), 0).changed == [late]
    assert late.status == "cancelled"
    assert machine.handle(e.Connected(), 0).messages == []
    assert machine.handle(event, 0).ended is None


def test_a_new_scheduler_hears_everything_again(duet: Duet) -> None:
    duet.hear(m.ClientWelcome("s1", ["w1"]))
    duet.submit(task("a"), task("b", "a"), data("d", "w1"), Record("theirs"), task("c", "d"))
    duet.finish("b")
    duet.release("a", "d")
    duet.disconnect()
    late = task("late", "b")
    assert duet.submit(late).messages == []
    effects = duet.connect()
    hello = effects.messages[0]
    assert (hello.reconnect, hello.known_workers) == (True, ["w1"])
    assert duet.scheduler is not None
    assert duet.scheduler.wants == {"b", "theirs", "c", "late"}
    assert duet.scheduler.tasks.keys() == {"a", "b", "c", "late"}
    # What happened stays known, until the scheduler says otherwise.
    assert duet.records["b"].status == "finished"


def test_failed_tasks_do_not_run_again_by_themselves(duet: Duet) -> None:
    bad, after, good = task("bad", "input"), task("after", "bad"), task("good")
    duet.submit(task("input"), bad, after, good)
    duet.fail("bad")
    duet.fail("after")
    duet.release("input")
    duet.disconnect()
    duet.connect()
    assert duet.scheduler is not None
    assert duet.scheduler.tasks.keys() == {"good"}
    assert bad.status == after.status == "error"
    # A user of theirs makes them known, a retry makes them run.
    duet.submit(task("user", "bad"))
    assert duet.scheduler.tasks.keys() == {"good", "user", "bad", "input"}
    effects = duet.handle(e.RetryRequested(["after"]))
    assert after.status == "pending"
    assert effects.messages[-1].keys == ["after"]
    assert duet.release("after").messages == [m.Release(["after"])]


def test_a_retry_takes_held_back_inputs_along(duet: Duet) -> None:
    bad, after = task("bad"), task("after", "bad")
    duet.submit(bad, after)
    duet.fail("bad")
    duet.fail("after")
    duet.disconnect()
    duet.connect()
    effects = duet.handle(e.RetryRequested(["after"]))
    assert effects.messages[-1].keys == ["bad", "after"]
    assert effects.changed == [after, bad]
    assert bad.status == after.status == "pending"


@pytest.mark.parametrize("how", ["retry", "user"])
def test_data_that_is_held_back_is_not_wanted_for_good_when_it_is_told(
    duet: Duet, how: str
) -> None:
    """To tell of data is to want it, and no future of it is left that would release it."""
    duet.submit(data("d", "w1"), task("a", "d"))
    duet.release("d")
    duet.fail("a")
    duet.disconnect()
    assert [type(message) for message in duet.connect().messages] == [m.ClientHello]
    if how == "retry":
        messages = duet.handle(e.RetryRequested(["a"])).messages
    else:
        messages = duet.submit(task("b", "a")).messages
    assert messages[-1] == m.Release(["d"])
    assert duet.scheduler is not None and "d" not in duet.scheduler.wants


def test_what_is_held_back_is_released_silently(duet: Duet) -> None:
    duet.submit(task("bad"))
    duet.fail("bad")
    duet.disconnect()
    duet.connect()
    assert duet.release("bad").messages == []
    assert not duet.records


def test_nothing_is_said_while_there_is_no_connection() -> None:
    duet = Duet()
    duet.submit(task("a"), task("b"), task("c", "b"))
    duet.release("a")
    duet.handle(e.CancelRequested(["b"]))
    duet.handle(e.FireRequested(["c"]))
    assert not duet.records
    duet.connect()
    assert duet.scheduler is not None
    assert not duet.scheduler.tasks
    assert duet.scheduler.hello == m.ClientHello("client-1", "test", {"python": "3"}, False, [])


def test_a_deep_chain_needs_no_recursion(duet: Duet) -> None:
    n = 5000
    duet.submit(task("t0"))
    duet.machine.handle(e.Submitted([task(f"t{i}", f"t{i - 1}") for i in range(1, n)]), 0)
    duet.machine.handle(e.Disconnected(), 0)
    effects = duet.machine.handle(e.Connected(), 0)
    graphs = [message for message in effects.messages if isinstance(message, m.Graph)]
    assert [key for graph in graphs for key in graph.keys] == [f"t{i}" for i in range(n)]
    duet.machine.handle(e.Released([f"t{i}" for i in range(n)]), 0)
    assert not duet.records


def test_a_thread_was_interrupted_while_it_told(duet: Duet) -> None:
    """Whether the scheduler heard of it is not known: all is said again, the function too."""
    record, other = task("inc-1"), task("inc-2")
    duet.submit(record, other)
    before = duet.release("inc-2").messages
    assert duet.scheduler is not None
    duet.scheduler.functions.clear()
    effects = duet.handle(e.Interrupted([record], ["inc-2"]))
    assert kinds(effects.messages) == ["DefineFunctions", "Graph", "Release"]
    assert effects.messages[2] == before[-1] == m.Release(["inc-2"])
    duet.finish("inc-1")
    assert record.status == "finished"
    # Nothing had been done yet.
    duet.scheduler.functions.clear()
    fresh = task("inc-3")
    effects = duet.handle(e.Interrupted([fresh], []))
    assert kinds(effects.messages) == ["DefineFunctions", "Graph"]
    # Somebody submitted again meanwhile what was released.
    duet.submit(task("inc-2"))
    assert "inc-2" in duet.records
