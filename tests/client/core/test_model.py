"""The model scheduler fails a test that leaves what the client's core said."""

from __future__ import annotations

import pytest

from shoal.client.core import events as e
from shoal.wire import messages as m

from .model import Duet, task


def cancelled() -> Duet:
    duet = Duet()
    duet.connect()
    duet.submit(task("a"))
    duet.handle(e.CancelRequested(["a"]))
    return duet


def test_what_nobody_looked_at_is_named() -> None:
    duet = cancelled()
    with pytest.raises(AssertionError, match="nobody looked at Cancel"):
        duet.check_all_seen()
    with pytest.raises(AssertionError, match="nobody looked at Cancel"):
        duet.disconnect()
    assert [message.keys for message in duet.told(m.Cancel)] == [["a"]]
    duet.check_all_seen()


def test_only_what_is_there_can_be_ignored() -> None:
    duet = cancelled()
    duet.ignore(m.Cancel, why="the test before looks at it")
    with pytest.raises(AssertionError, match="no Cancel is left"):
        duet.ignore(m.Cancel, why="it is taken already")
