"""Examples of the docstring of `Future` in `futures-api.txt`, and what its methods say."""

from __future__ import annotations

import re
import threading
import traceback
from operator import add

import pytest

from shoal import CancelledError, Client, Event, Future, TimeoutError


def div(x, y):
    return x / y


def test_future_docstring(client: Client) -> None:
    my_future = client.submit(add, 1, 2)
    assert my_future.result() == 3
    assert re.fullmatch("<Future: status: finished, type: int, key: add-.*>", repr(my_future))


def test_future_by_key(client: Client) -> None:
    my_future = client.submit(add, 2, 3)
    assert Future(my_future.key, client=client).result() == 5


def test_traceback_docstring(client: Client) -> None:
    future = client.submit(div, 1, 0)
    tb = future.traceback()
    assert "return x / y" in traceback.format_tb(tb)[-1]


def test_exception(client: Client) -> None:
    assert client.submit(div, 1, 1).exception() is None
    assert isinstance(client.submit(div, 1, 0).exception(timeout=10), ZeroDivisionError)


def test_timeouts(client: Client) -> None:
    gate = Event("reference-future")
    future = client.submit(lambda: gate.wait())
    for wait in (future.result, future.exception, future.traceback):
        with pytest.raises(TimeoutError):
            wait(timeout=0.01)
    assert not future.done()
    gate.set()
    assert future.result(timeout=10) is True and future.done()


def test_callbacks_run_elsewhere_whatever_the_outcome(client: Client) -> None:
    calls: dict[str, threading.Thread] = {}
    called = threading.Semaphore(0)

    def note(future):
        calls[future.status] = threading.current_thread()
        called.release()

    gate = Event("reference-callback")
    cancelled = client.submit(lambda: gate.wait())
    futures = [client.submit(div, 1, 2), client.submit(div, 1, 0), cancelled]
    for future in futures:
        future.add_done_callback(note)
    cancelled.cancel()
    for _ in futures:
        assert called.acquire(timeout=10)
    gate.set()
    assert set(calls) == {"finished", "error", "cancelled"}
    assert threading.current_thread() not in calls.values()


def test_cancelled(client: Client) -> None:
    future = client.submit(div, 3, 4)
    assert not future.cancelled()
    future.cancel()
    assert future.cancelled()
    with pytest.raises(CancelledError):
        future.result()
