"""The scripted core of a worker: what a test did not look at fails it."""

from __future__ import annotations

import pytest

from shoal.wire import messages as m

from .harness import Core, compute


def test_what_nobody_looked_at_is_named() -> None:
    core = Core()
    x, y = core.say(compute("x"), compute("y", 2)).execute
    core.ends(x)
    core.check_all_seen()  # it ended well, as the test said
    core.ends(y, "error")
    with pytest.raises(AssertionError, match="nobody looked at Failed"):
        core.check_all_seen()
    with pytest.raises(AssertionError, match="no Finished is left"):
        core.ignore(m.Finished, why="the last line of this test")
    core.ignore(m.Failed, why="the last line of this test")
    core.check_all_seen()


def test_a_look_is_enough() -> None:
    core = Core()
    [x] = core.say(compute("x")).execute
    assert core.ends(x, "error").send
    core.check_all_seen()
