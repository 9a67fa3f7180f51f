"""What a client's core forgets, and what it remembers that the scheduler forgot."""

from __future__ import annotations

from shoal.client.core import events as e
from shoal.client.core.machine import Machine
from shoal.wire import messages as m

from .model import Duet, task


def test_a_closed_client_knows_of_no_function_that_a_scheduler_would_know() -> None:
    duet = Duet()
    duet.connect()
    duet.submit(task("a"))
    duet.handle(e.Closed())
    assert not duet.machine.state.functions
    assert not duet.machine.state.idle_functions
    duet.effects.ignore("ended", why="the test closed it")


def held_back_task() -> Duet:
    """Return a client whose task b failed before a reconnection: it was not told of again."""
    duet = Duet()
    duet.connect()
    duet.submit(task("a"), task("b", "a"))
    duet.finish("a")
    duet.fail("b")
    duet.disconnect()
    duet.connect()
    duet.finish("a")
    return duet


def test_an_input_that_only_a_failed_task_needs_is_told_again_with_it() -> None:
    """The scheduler forgets a released input when it does not know of the task that needs it."""
    duet = held_back_task()
    duet.release("a")
    assert duet.scheduler is not None and not duet.scheduler.tasks
    duet.handle(e.RetryRequested(["b"]))
    assert duet.scheduler.tasks.keys() == {"a", "b"}


def test_an_input_is_told_again_when_the_last_told_task_that_needed_it_is_gone() -> None:
    duet = held_back_task()
    duet.submit(task("c", "a"))
    duet.release("a")
    assert duet.scheduler is not None and duet.scheduler.tasks.keys() == {"a", "c"}
    duet.release("c")
    assert not duet.scheduler.tasks
    duet.handle(e.RetryRequested(["b"]))
    assert duet.scheduler.tasks.keys() == {"a", "b"}


def test_a_scheduler_that_dies_again_at_once_is_told_of_all_workers() -> None:
    """It waits for those it is told of; the one before it had heard of some only."""
    machine = Machine("c")

    def hello_at(now: float) -> m.ClientHello:
        hello = machine.handle(e.Connected(), now).messages[0]
        assert isinstance(hello, m.ClientHello)
        return hello

    hello_at(0.0)
    machine.handle(e.FromScheduler([m.ClientWelcome("s0", ["w1", "w2", "w3"])]), 0.0)
    machine.handle(e.Disconnected(), 100.0)
    assert hello_at(100.1).known_workers == ["w1", "w2", "w3"]
    machine.handle(e.FromScheduler([m.ClientWelcome("s1", ["w1"])]), 100.1)
    machine.handle(e.FromScheduler([m.WorkersChanged([], ["w3"])]), 100.2)
    machine.handle(e.Disconnected(), 100.3)
    assert hello_at(100.4).known_workers == ["w1", "w2"]
    machine.handle(e.FromScheduler([m.ClientWelcome("s2", ["w1"])]), 100.4)
    machine.handle(e.Disconnected(), 200.0)
    assert hello_at(200.1).known_workers == ["w1"]


def test_a_large_graph_is_told_again_in_parts() -> None:
    """What a later part needs is wanted until all is told, or it would be dropped before."""
    machine = Machine("c")
    machine.handle(e.Connected(), 0)
    chain = [task("t0"), *[task(f"t{i}", f"t{i - 1}") for i in range(1, 5000)]]
    for record in chain[:-1]:
        record.wanted = False
    machine.handle(e.Submitted(chain), 0)
    machine.handle(e.Disconnected(), 0)
    effects = machine.handle(e.Connected(), 0)
    assert [len(batch) for batch in effects.batches()] == [1, 2, 1, 2]
    assert [m for batch in effects.batches() for m in batch] == effects.messages
    graphs = [message for message in effects.messages if isinstance(message, m.Graph)]
    assert [len(graph.keys) for graph in graphs] == [2000, 2000, 1000]
    assert [graph.wanted for graph in graphs] == [[1999], [1999], [999]]
    assert effects.messages[-1] == m.Release(["t1999", "t3999"])


def test_inputs_of_later_parts_are_known_then() -> None:
    duet = Duet()
    duet.connect()
    records = [task("a"), task("b"), *[task(f"{i}", "a", "b") for i in range(10)]]
    records[0].wanted = records[1].wanted = False
    duet.submit(*records)
    duet.disconnect()
    duet.connect()  # checks that the scheduler knows all that is wanted, and what it needs
    assert duet.scheduler is not None and duet.scheduler.tasks.keys() == {r.key for r in records}
    assert not duet.scheduler.wants & {"a", "b"}
