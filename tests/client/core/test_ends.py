"""What is left of a client's core when it has ended."""

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
