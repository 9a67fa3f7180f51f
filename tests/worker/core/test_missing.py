"""Data that the books name and the store does not have."""

from __future__ import annotations

from shoal.wire import messages as m
from shoal.worker.core import DataLost

from .harness import Core, compute


def test_a_run_without_its_inputs_is_not_started_again_and_again() -> None:
    """The store lost the result before the core heard that it was there."""
    core = Core()
    (x,) = core.say(compute("x")).execute
    core.handle(DataLost(["x"], "its spill file cannot be read"))
    core.ends(x)
    (y,) = core.say(compute("y", 2, {"x": ["elsewhere"]})).execute
    effects = core.ends(y, "missing", missing=["x"])
    assert not effects.execute
    assert [fetch.peer for fetch in effects.fetch] == ["elsewhere"]
    (dropped,) = [message for message in effects.send if type(message) is m.Dropped]
    assert dropped.keys == ["x"]
