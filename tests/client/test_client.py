"""Clients in ordinary code: submit, map, gather, scatter."""

from __future__ import annotations

import queue
import traceback
from operator import add

import dask
import numpy as np
import pytest
from helpers import wait_until

from shoal.client.client import Client
from shoal.client.futures import fetching
from shoal.client.futures.future import Future
from shoal.errors import CancelledError, FutureCancelledError
from shoal.wire import messages as m
from shoal.wire.messages import Graph

from .little import Little


def inc(x):
    return x + 1


def div(x, y):
    return x / y


def test_submit(client: Client, little: Little) -> None:
    future = client.submit(inc, 10)
    assert future.result(timeout=5) == 11
    assert future.status == "finished" and future.done() and not future.cancelled()
    assert future.type is int
    assert repr(future) == f"<Future: status: finished, type: int, key: {future.key}>"
    assert future.key.startswith("inc-")


def test_futures_are_arguments(client: Client) -> None:
    a, b = client.submit(inc, 1), client.submit(inc, 2)
    assert client.submit(add, a, b).result(5) == 5
    assert client.submit(sum, [a, b, 10]).result(5) == 15
    nested = client.submit(lambda tree: tree, {"a": [a, (b, {"c": a})], "d": 1})
    assert nested.result(5) == {"a": [2, (3, {"c": 2})], "d": 1}
    assert client.submit(lambda x, y=0: x - y, 10, y=a).result(5) == 8


def test_equal_calls_share_a_key_and_run_once(client: Client, little: Little) -> None:
    a, b = client.submit(inc, 1), client.submit(inc, 1)
    assert a.key == b.key and a.result(5) == b.result(5)
    assert little.runs == {a.key: 1}
    (c,) = client.map(inc, [1])
    assert c.key == a.key
    assert client.submit(inc, 2).key != a.key
    assert client.submit(inc, 1.0).key != a.key
    assert client.submit(inc, x=1).key != a.key
    assert client.submit(inc, 1, pure=False).key != client.submit(inc, 1, pure=False).key
    d, e = client.submit(add, a, 1), client.submit(add, a, 1)
    assert d.key == e.key != client.submit(add, b, 2).key


def test_map(client: Client, little: Little) -> None:
    futures = client.map(inc, range(5000))
    assert client.gather(futures) == list(range(1, 5001))
    assert client.gather(client.map(add, [1, 2], [10, 20])) == [11, 22]
    assert client.gather(client.map(add, futures[:2], (3, 4))) == [4, 6]
    assert client.map(inc, []) == []


def test_map_with_keywords(client: Client, little: Little) -> None:
    power = client.map(pow, [2, 3], exp=2)
    assert client.gather(power) == [4, 9]
    assert client.submit(pow, 2, exp=2).key == power[0].key
    two = client.submit(inc, 1)
    assert client.gather(client.map(pow, [2, 3], exp=two)) == [4, 9]


def test_keys(client: Client) -> None:
    assert client.submit(inc, 1, key="one").key == "one"
    assert client.submit(inc, 1, key=("x", 0)).key == ("x", 0)
    assert client.map(inc, [1], key="prefix")[0].key.startswith("prefix-")
    named = client.map(inc, [1, 2], key=["a", ("b", 1)])
    assert [f.key for f in named] == ["a", ("b", 1)]
    assert client.gather(named) == [2, 3]
    with pytest.raises(ValueError, match="1 keys for 2 calls"):
        client.map(inc, [1, 2], key=["a"])
    with pytest.raises(TypeError, match="contains a list"):
        client.submit(inc, 1, key=(["a"],))


def test_batches_of_a_map(client: Client, little: Little) -> None:
    client.gather(client.map(inc, range(10), batch_size=3))
    graphs = [msg for msg in little.heard if type(msg).__name__ == "Graph"]
    assert sum(len(graph.keys) for graph in graphs) == 10
    with pytest.raises(ValueError, match="batch_size"):
        client.map(inc, range(10), batch_size=0)


def test_options_reach_the_scheduler(client: Client, little: Little) -> None:
    client.submit(
        inc,
        1,
        workers=[("127.0.0.1", 80), "alice"],
        retries=3,
        priority=2,
        resources={"GPU": 1},
        allow_other_workers=True,
        fifo_timeout="1s",
    ).result(5)
    graph = next(msg for msg in little.heard if type(msg).__name__ == "Graph")
    (options,) = graph.options
    assert options.workers == ["tcp://127.0.0.1:80", "alice"]
    assert (options.retries, options.resources) == (3, {"GPU": 1.0})
    assert options.allow_other_workers
    assert (graph.priority, graph.fifo_timeout) == (2.0, 1.0)


def test_annotations_around_a_call(client: Client, little: Little) -> None:
    with dask.annotate(workers="alice", priority=3, retries=2, executor="gpu", owner={"n": 1}):
        client.gather([client.submit(inc, 1), *client.map(inc, [2], workers="bob", priority=5)])
    graphs = [msg for msg in little.heard if type(msg).__name__ == "Graph"]
    one, two = (graph.options[0] for graph in graphs)
    assert (one.workers, one.retries, one.executor) == (["alice"], 2, "gpu")
    assert one.annotations == {"owner": {"n": 1}}
    assert two.workers == ["bob"]
    assert [graph.priority for graph in graphs] == [3.0, 5.0]
    with dask.annotate(owner=object()), pytest.raises(TypeError, match="annotation owner="):
        client.submit(inc, 3)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"allow_other_workers": True}, "together with workers"),
        ({"workers": [1.5]}, "workers= takes"),
        ({"retries": -1}, "retries="),
    ],
)
def test_bad_options(client: Client, kwargs, match) -> None:
    with pytest.raises((TypeError, ValueError), match=match):
        client.submit(inc, 1, **kwargs)


def test_bad_calls(client: Client) -> None:
    with pytest.raises(TypeError, match="callable"):
        client.submit(3, 4)
    with pytest.raises(TypeError, match="argument 1, a generator, cannot be sent"):
        client.submit(add, 1, (i for i in range(3)))
    with pytest.raises(TypeError, match="maps over iterables"):
        client.map(inc, 3)
    with pytest.raises(TypeError, match="at least one iterable"):
        client.map(inc)


def test_errors_keep_type_message_and_frames(client: Client) -> None:
    future = client.submit(div, 1, 0)
    with pytest.raises(ZeroDivisionError, match="division by zero") as caught:
        future.result(5)
    assert "div" in [frame.name for frame in traceback.extract_tb(caught.tb)]
    assert isinstance(future.exception(), ZeroDivisionError)
    assert "return x / y" in "".join(traceback.format_tb(future.traceback()))
    assert future.status == "error"
    dependent = client.submit(inc, future)
    with pytest.raises(ZeroDivisionError):
        client.gather([dependent])
    assert client.submit(inc, 1).exception(5) is None
    assert client.submit(inc, 1).traceback(5) is None


def test_gather(client: Client) -> None:
    x, y = client.map(inc, [1, 2])
    assert client.gather(x) == 2
    assert client.gather([x, [x], (y,), {y}, {"k": x}, 7]) == [2, [2], (3,), {3}, {"k": 2}, 7]
    assert client.gather([x, y, x]) == [2, 3, 2]
    assert client.gather([x, client.submit(str, 1), y]) == [2, "1", 3]
    bad = client.submit(div, 1, 0)
    assert client.gather([x, bad, {"a": bad, "b": y}], errors="skip") == [2, {"b": 3}]
    with pytest.raises(ZeroDivisionError):
        client.gather([x, bad])
    with pytest.raises(ValueError, match="'raise' or 'skip'"):
        client.gather([x], errors="what")


def test_a_map_of_equal_calls_has_one_task_for_them(client: Client) -> None:
    futures = client.map(inc, [1, 2, 1, 2])
    assert len({future.key for future in futures}) == 2
    assert client.gather(futures) == [2, 3, 2, 3]
    assert client.submit(inc, 1).key == futures[0].key
    mixed = client.map(inc, [1, 2.0, np.int64(3)])
    assert client.gather(mixed) == [2, 3.0, 4]
    assert mixed[0].key == futures[0].key


def test_large_results_come_from_the_workers(client: Client, little: Little) -> None:
    little.inline = 0
    futures = client.map(np.arange, [3, 4])
    assert [len(a) for a in client.gather(futures)] == [3, 4]
    assert little.asked == ["get_data"]
    assert len(futures[0].result()) == 3
    assert client.gather(futures, direct=False)[0].sum() == 3
    assert little.asked == ["get_data", "get_data", "gather"]


def test_unreachable_workers_are_gone_around(client: Client, little: Little, monkeypatch) -> None:
    monkeypatch.setattr(fetching, "_DIRECT_TIMEOUT", 0.05)
    little.inline = 0
    little.holder = "inproc://nowhere/1/1"
    assert client.gather(client.map(inc, [1, 2])) == [2, 3]  # it is no worker that is there
    assert little.asked == ["gather"] and not client._unreachable
    client.loop.call_soon_threadsafe(little.say, m.WorkersChanged([little.holder], []))
    wait_until(lambda: little.holder in client._session.machine.state.workers)
    assert client.gather(client.map(inc, [3, 4])) == [4, 5]
    assert client._unreachable == {little.holder}
    assert client.gather(client.map(inc, [5, 6])) == [6, 7]
    client.loop.call_soon_threadsafe(little.say, m.WorkersChanged([], [little.holder]))
    wait_until(lambda: not client._unreachable)


def test_lost_results_are_computed_again(client: Client, little: Little) -> None:
    little.inline = 0
    future = client.submit(inc, 1)
    assert future.result(5) == 2
    del little.values[future._record.key]
    assert future.result(5) == 2
    assert little.runs[future.key] == 2


def test_timeouts(client: Client, little: Little) -> None:
    little.paused = True
    future = client.submit(inc, 1)
    for wait in (future.result, future.exception, future.traceback):
        with pytest.raises(TimeoutError, match="is pending, waited"):
            wait(timeout="10ms")
    assert future._record.watch == ()


def test_release_tells_the_scheduler(client: Client, little: Little) -> None:
    future, twin, other = client.submit(inc, 1), client.submit(inc, 1), client.submit(inc, 2)
    key = future.key
    client.gather([future, other])
    assert key in little.wanted
    del future
    client.submit(inc, 3).result(5)
    assert key in little.wanted
    del twin
    client.submit(inc, 4).result(5)
    assert key not in little.wanted and other.key in little.wanted
    assert client.submit(inc, 1).result(5) == 2


def test_inputs_may_be_dropped_at_once(client: Client, little: Little) -> None:
    little.paused = True
    total = client.submit(sum, [client.submit(inc, i) for i in range(3)])
    chain = client.submit(inc, client.submit(inc, client.submit(inc, 0)))
    little.paused = False
    client.loop.call_soon_threadsafe(little.work)
    assert total.result(5) == 6 and chain.result(5) == 3


def test_cancel(client: Client, little: Little) -> None:
    little.paused = True
    future = client.submit(inc, 1)
    dependent = client.submit(inc, future)
    future.cancel(reason="not needed")
    assert future.cancelled() and dependent.cancelled()
    with pytest.raises(CancelledError, match="not needed"):
        future.result()
    with pytest.raises(FutureCancelledError):
        client.submit(inc, future)
    again = client.submit(inc, 1)
    assert again.status == "pending" and future.cancelled()
    client.cancel([again], force=True)
    wait_until(lambda: any(getattr(msg, "force", False) for msg in little.heard))


def test_retry(client: Client, little: Little, tmp_path) -> None:
    def flaky(path: str) -> int:
        with open(path) as file:
            return int(file.read())

    path = tmp_path / "number"
    future = client.submit(flaky, str(path))
    assert isinstance(future.exception(5), FileNotFoundError)
    path.write_text("7")
    future.retry()
    assert future.result(5) == 7


def test_scatter(client: Client, little: Little) -> None:
    one = client.scatter(5)
    assert one.status == "finished" and one.type is int and one.key.startswith("int-")
    assert client.submit(inc, one).result(5) == 6
    assert client.gather(client.scatter([1, 2])) == [1, 2]
    assert client.gather(client.scatter((1, 2))) == (1, 2)
    assert client.gather(client.scatter({3})) == {3}
    named = client.scatter({"x": 1, ("y", 0): 2})
    assert named["x"].key == "x" and named["y", 0].key == ("y", 0)
    assert client.gather(named) == {"x": 1, ("y", 0): 2}
    assert client.scatter([]) == []
    assert client.scatter(5).key == one.key
    assert client.scatter(5, hash=False).key != one.key
    assert set(little.asked) == {"update_data", "get_data"}
    client.scatter(6, direct=False)
    assert little.asked[-1] == "scatter"
    with pytest.raises(TypeError, match="on the cluster already"):
        client.scatter([one])


def test_scatter_without_workers(client: Client, little: Little) -> None:
    little.workers = []
    with pytest.raises(TimeoutError, match="no workers to put data on"):
        client.scatter(1, timeout="20ms")


def test_iterators(client: Client) -> None:
    futures = client.map(inc, iter(range(5)))
    assert not isinstance(futures, list)
    assert list(client.gather(futures)) == [1, 2, 3, 4, 5]
    assert [f.result(5) for f in client.scatter(iter([1, 2]))] == [1, 2]

    def broken():
        yield 1
        raise OSError("no more")

    results = client.gather(client.map(inc, broken()))
    assert next(results) == 2
    with pytest.raises(OSError, match="no more"):
        next(results)


def test_queues(client: Client) -> None:
    numbers: queue.Queue[int] = queue.Queue()
    results = client.gather(client.map(inc, numbers))
    for i in range(3):
        numbers.put(i)
    assert [results.get(timeout=5) for _ in range(3)] == [1, 2, 3]


def test_questions(client: Client, little: Little) -> None:
    assert client.nthreads() == client.ncores() == {little.address: 2}
    assert client.nbytes() == {"inc": 30, "dec": 5}
    assert client.nbytes(summary=False) == {"inc-1": 10, "inc-2": 20, "dec-1": 5}
    future = client.submit(inc, 1, key=("x", 1))
    assert client.who_has([future]) == {("x", 1): [little.address]}
    assert client.explain(future) == "('x', 1) is here"
    assert client.scheduler_info()["type"] == "Little"
    assert client.scheduler.address == little.address


def test_users_functions(client: Client, little: Little) -> None:
    assert client.run(inc, 1) == {little.address: 2}
    assert client.run(inc, 1, wait=False) is None
    assert client.run_on_scheduler(inc, 2) == 3
    with pytest.raises(ZeroDivisionError):
        client.run(div, 1, 0)
    assert isinstance(client.run(div, 1, 0, on_error="return")[little.address], ZeroDivisionError)
    assert client.run(div, 1, 0, on_error="ignore") == {}


def test_large_arguments_warn_and_arrive(client: Client) -> None:
    big = np.ones(2_000_000)
    with pytest.warns(UserWarning, match="scatter"):
        future = client.submit(np.sum, big)
    assert future.result(5) == 2_000_000


def test_wait_for_workers(client: Client, little: Little) -> None:
    client.wait_for_workers(1, timeout=5)
    with pytest.raises(TimeoutError, match="Only 1/2 workers"):
        client.wait_for_workers(2, timeout="20ms")
    with pytest.raises(ValueError, match="at least 1"):
        client.wait_for_workers(0)


def test_tasks_of_a_message_that_cannot_be_sent_fail_and_say_so(client: Client) -> None:
    future = Future("never-told", client)
    message = Graph(keys=[future.key], functions=[], args=[b"\x90"])
    client.loop.call_soon_threadsafe(client._connection._unsendable, message, TypeError("no bytes"))
    with pytest.raises(TypeError, match="cannot be sent to the scheduler: no bytes"):
        future.result(timeout=10)
