"""`wait`, `as_completed`, callbacks, `fire_and_forget`, `futures_of`."""

from __future__ import annotations

import queue
import threading
from collections import deque

import pytest
from dask import delayed
from helpers import wait_until

from shoal.client.client import Client
from shoal.client.futures.as_completed import as_completed
from shoal.client.futures.future import fire_and_forget, futures_of
from shoal.client.futures.waiting import wait
from shoal.errors import CancelledError

from ..little import Little


def inc(x):
    return x + 1


def div(x, y):
    return x / y


def resume(client: Client, little: Little) -> None:
    """Let the server run what it holds back."""

    def go() -> None:
        little.paused = False
        little.work()

    client.loop.call_soon_threadsafe(go)


def test_wait(client: Client, little: Little) -> None:
    futures = client.map(inc, range(3))
    done, not_done = wait(futures, timeout=5)
    assert done == set(futures) and not_done == set()
    assert wait([]) == (set(), set())
    little.paused = True
    late = client.submit(inc, 100)
    with pytest.raises(TimeoutError, match="1 of 4 futures are not done"):
        wait([*futures, late], timeout="10ms")
    done, not_done = wait([*futures, late], return_when="FIRST_COMPLETED")
    assert done == set(futures) and not_done == {late}
    resume(client, little)
    assert wait([late], timeout=5, return_when="FIRST_COMPLETED").done == {late}
    with pytest.raises(ValueError, match="return_when"):
        wait([late], return_when="FIRST")


def test_failed_futures_are_done_and_cancelled_ones_raise(client: Client) -> None:
    bad = client.submit(div, 1, 0)
    assert wait([bad], timeout=5).done == {bad}
    bad.cancel()
    with pytest.raises(CancelledError):
        wait([bad])


def test_as_completed(client: Client, little: Little) -> None:
    futures = client.map(inc, range(5))
    completing = as_completed(futures)
    assert completing.count() == 5
    assert {f.result() for f in completing} == {1, 2, 3, 4, 5}
    assert completing.is_empty() and completing.count() == 0
    assert list(as_completed()) == []
    twice = as_completed([futures[0], futures[0]])
    assert list(twice) == [futures[0], futures[0]]


def test_as_completed_takes_more(client: Client) -> None:
    completing = as_completed([client.submit(inc, 0)])
    results = []
    for future in completing:
        results.append(future.result())
        if len(results) < 5:
            completing.add(client.submit(inc, future))
    assert results == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("inline", [0, 1000])
def test_as_completed_with_results(client: Client, little: Little, inline: int) -> None:
    little.inline = inline
    futures = client.map(inc, range(5))
    assert dict(as_completed(futures, with_results=True)) == dict(zip(futures, range(1, 6)))
    wait(futures)
    batches = list(as_completed(futures, with_results=True).batches())
    assert sorted(result for batch in batches for _, result in batch) == [1, 2, 3, 4, 5]


def test_as_completed_with_errors(client: Client) -> None:
    bad = client.submit(div, 1, 0)
    assert list(as_completed([bad])) == [bad]
    with pytest.raises(ZeroDivisionError):
        list(as_completed([bad], with_results=True))
    ((future, error),) = as_completed([bad], with_results=True, raise_errors=False)
    assert future is bad and isinstance(error, ZeroDivisionError)


def test_as_completed_waits(client: Client, little: Little) -> None:
    little.paused = True
    completing = as_completed(client.map(inc, range(3)), timeout="20ms")
    assert not completing.has_ready() and completing.next_batch(block=False) == []
    with pytest.raises(TimeoutError, match="3 futures"):
        next(completing)
    completing = as_completed(client.map(inc, range(3)))
    resume(client, little)
    assert len(list(completing)) == 3


def test_as_completed_forgets(client: Client, little: Little) -> None:
    little.paused = True
    completing = as_completed(client.map(inc, range(3)))
    completing.clear()
    assert list(completing) == []


def test_as_completed_is_taken_apart_as_joblib_does(client: Client, little: Little) -> None:
    done = client.submit(inc, 1)
    wait(done)
    little.paused = True
    pending = client.submit(inc, 2)
    waiting = as_completed([done, pending])
    with waiting.lock:
        assert len(waiting.futures) == 1
        waiting.futures.clear()
        while not waiting.queue.empty():
            assert waiting.queue.get() is done
    assert waiting.is_empty()
    with pytest.raises(queue.Empty):
        waiting.queue.get()
    assert list(waiting) == []


def test_callbacks(client: Client, little: Little) -> None:
    little.paused = True
    called: list[object] = []
    threads = set()

    def note(future) -> None:
        called.append(future)
        threads.add(threading.current_thread().name)
        if len(called) == 1:
            raise RuntimeError("a callback that fails")
        if len(called) == 2:
            raise KeyboardInterrupt  # nor does anything else end the thread

    good, bad = client.submit(inc, 1), client.submit(div, 1, 0)
    good.add_done_callback(note)
    bad.add_done_callback(note)
    resume(client, little)
    wait_until(lambda: called == [good, bad])
    good.add_done_callback(note)
    wait_until(lambda: len(called) == 3)
    assert threads == {"shoal-callbacks"}
    with pytest.raises(TypeError, match="callable"):
        good.add_done_callback(3)


def test_fire_and_forget(client: Client, little: Little) -> None:
    little.paused = True
    future = client.submit(inc, 1)
    key = future.key
    fire_and_forget([future])
    del future
    client.sync(client._started)
    resume(client, little)
    wait_until(lambda: little.runs.get(key))
    wait_until(lambda: key not in little.wanted)


def test_futures_of(client: Client) -> None:
    a, b = client.map(inc, [1, 2])
    assert futures_of([a, {"k": (b, {a})}, 3]) == [a, b]
    assert client.futures_of(a) == [a]
    assert futures_of({1: a, 2: b}.values()) == futures_of(deque([a, b])) == [a, b]
    assert wait({a: 1}.keys()).done == {a}
    a.cancel()
    with pytest.raises(CancelledError):
        futures_of([a])


def test_what_is_no_future_is_refused(client: Client) -> None:
    future = client.submit(inc, 1)
    lazy = delayed(inc)(1)
    for wrong in ([1], [lazy], {"a": future}, [future, None], 5):
        with pytest.raises(TypeError, match="as_completed takes futures, not the"):
            as_completed(wrong)
    with pytest.raises(TypeError, match="as_completed takes futures, not the int 5"):
        as_completed([]).add(5)
    assert [len(list(as_completed(empty))) for empty in ([], (), [[]])] == [0, 0, 0]
    assert list(as_completed([[future]])) == [future]
    with pytest.raises(TypeError, match="fire_and_forget takes futures"):
        fire_and_forget(lazy)


def test_waiting_for_nothing_is_warned_of(client: Client) -> None:
    for wrong in ([1], 5, iter([1])):
        with pytest.warns(UserWarning, match="there are no futures in"):
            assert wait(wrong) == (set(), set())
    with pytest.warns(UserWarning, match="compute or persist it first"):
        wait(delayed(inc)(1))
    assert wait([]) == wait(()) == wait({}) == (set(), set())


def test_a_lazy_map_is_waited_for(client: Client) -> None:
    done, not_done = wait(map(client.submit, [inc] * 3, range(3)), timeout=5)
    assert {future.result() for future in done} == {1, 2, 3} and not not_done
