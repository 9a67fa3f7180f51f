"""What a client's core forgets, and what it remembers that the scheduler forgot."""

from __future__ import annotations

from shoal.client.core import events as e

from .model import Duet, task


def test_a_closed_client_knows_of_no_function_that_a_scheduler_would_know() -> None:
    duet = Duet()
    duet.connect()
    duet.submit(task("a"))
    duet.handle(e.Closed())
    assert not duet.machine.state.functions
    assert not duet.machine.state.idle_functions


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
