"""Ctrl-C while a graph is made and sent: nothing runs that nobody holds."""

from __future__ import annotations

import os
import signal
from typing import Any

import dask
import pytest
from helpers import wait_until

from shoal import Client
from shoal._base.signals import uninterrupted
from shoal.client.collections import sending


def inc(x: int) -> int:
    return x + 1


def graph() -> Any:
    with dask.annotate(resources={"none of it": 1}):  # nothing is done before it is forgotten
        return dask.delayed(sum)([dask.delayed(inc)(i) for i in range(20)])


def nothing_is_left(client: Client) -> bool:
    return not client.futures and not client.run_on_scheduler(
        lambda dask_scheduler: len(dask_scheduler.tasks)
    )


@pytest.mark.parametrize("where", ["at the end", "in the midst", "while futures are made"])
def test_ctrl_c_leaves_nothing(client: Client, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def interrupt(*args: Any) -> Any:
        raise KeyboardInterrupt

    if where == "at the end":
        monkeypatch.setattr(sending.CollectorPaused, "__exit__", interrupt)
    elif where == "in the midst":
        monkeypatch.setattr(type(client._session.outbox), "let_hand", interrupt)
        monkeypatch.setattr(sending, "_FIRST", 5)
        monkeypatch.setattr(sending, "_PART", 5)
    else:
        made = sending._Sender.future
        monkeypatch.setattr(sending._Sender, "future", lambda self, key: interrupt(made(self, key)))
    with pytest.raises(KeyboardInterrupt) as kept:  # its frames are, too
        client.compute([graph(), graph()])
    monkeypatch.undo()
    wait_until(lambda: nothing_is_left(client))
    assert kept.value.__traceback__ is not None
    assert client.submit(inc, 1).result(timeout=5) == 2


def test_lines_that_must_be_done_together() -> None:
    done = []
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("rest")
        with pytest.raises(ValueError), uninterrupted():
            raise ValueError
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == ["rest"]
