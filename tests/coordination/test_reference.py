"""The examples of the reference, as they are written there."""

from __future__ import annotations

import os

import numpy as np
import pytest
from helpers import wait_until

from shoal import (
    Client,
    Event,
    Lock,
    Pub,
    Queue,
    Semaphore,
    Sub,
    Variable,
    fire_and_forget,
    get_client,
)


def test_queue_of_futures(client: Client, capsys) -> None:
    filenames = ["a", "b", "c"]

    def load(filename):
        return filename

    def process(data):
        return data.upper()

    def load_and_submit(filename):
        data = load(filename)
        client = get_client()
        future = client.submit(process, data)
        queue.put(future)

    queue = Queue()

    for filename in filenames:
        future = client.submit(load_and_submit, filename)
        fire_and_forget(future)

    for _ in filenames:
        future = queue.get()
        print(future.result())
    assert sorted(capsys.readouterr().out.split()) == ["A", "B", "C"]


def test_queue_of_messages(client: Client) -> None:
    def func(x):
        try:
            return 1 / x
        except Exception as e:
            error_queue.put(str(e))

    error_queue = Queue()
    client.submit(func, 0).result()
    assert error_queue.get(timeout=5) == "division by zero"


def test_queue_of_large_data(client: Client) -> None:
    q = Queue()
    x = np.arange(100_000)  # my large numpy array

    # Don't do this!
    with pytest.raises(TypeError, match=r"ndarray.*scatter"):
        q.put(x)

    # Do this instead
    future = client.scatter(x)
    q.put(future)

    # Or use futures for metadata
    q.put({"status": "OK", "stage=": 1234})
    del future
    assert (q.get().result() == x).all()
    assert q.get() == {"status": "OK", "stage=": 1234}


def test_queue_docstring(client: Client) -> None:
    queue = Queue("x")
    future = client.submit(lambda x: x + 1, 1)
    queue.put(future)
    assert queue.get().result() == 2


def test_variable_stops(client: Client) -> None:
    var = Variable("stopping-criterion")
    var.set(False)
    assert var.get() is False
    parameters = np.array([1.0, 2.0])
    future = client.scatter(parameters)
    var.set(future)
    del future
    assert var.get().result().tolist() == [1.0, 2.0]


def test_variable_docstring(client: Client) -> None:
    x = Variable("x")
    x.set(123)
    assert x.get() == 123

    def f(x):
        return x.get() + 1

    future = client.submit(f, x)
    assert future.result() == 124
    x.set(future)
    assert x.get().result() == 124


def test_lock(client: Client) -> None:
    lock = Lock()
    with lock:
        assert lock.locked()
    assert not lock.locked()


def test_lock_by_name(client: Client) -> None:
    filenames = ["a", "b", "c"]

    def load(fn):
        with Lock("the-production-database"):
            # read data from filename using some sensitive source
            return fn

    futures = client.map(load, filenames)
    assert client.gather(futures) == filenames


def test_lock_passed_around(client: Client) -> None:
    filenames = ["a", "b", "c"]
    lock = Lock()

    def load(fn, lock=None):
        with lock:
            # read data from filename using some sensitive source
            return fn

    futures = client.map(load, filenames, lock=lock)
    assert client.gather(futures) == filenames


def test_lock_docstring(client: Client) -> None:
    lock = Lock("x")
    assert lock.acquire(timeout=1) is True
    # do things with protected resource
    lock.release()
    lock = Lock("x")
    assert lock.acquire(timeout="1s") is True
    lock.release()


def test_event_on_two_clients(client: Client, other: Client) -> None:
    import threading

    woken = []

    def one():
        event = Event("my-event-1", client=other)
        woken.append(event.wait())

    thread = threading.Thread(target=one)
    thread.start()
    # In another client
    event = Event("my-event-1")
    # do some work
    event.set()
    thread.join(10)
    assert woken == [True]


def test_event_in_tasks(client: Client) -> None:
    def wait_for_event(x):
        event = Event("my-event")

        event.wait()
        # at this point, all function calls
        # are in sync once the event is set
        return x

    futures = client.map(wait_for_event, range(10))

    Event("my-event").set()
    assert client.gather(futures) == list(range(10))


@pytest.mark.process
def test_event_docstring() -> None:
    with Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        event_1 = Event("a")
        assert event_1.wait(timeout=0.01) is False

        def in_another_process(parent):
            event_2 = Event("a")
            event_2.set()
            return os.getpid() != parent

        there = client.submit(in_another_process, os.getpid())
        # now event_1 will stop waiting
        assert event_1.wait(timeout="20s") is True
        assert there.result()


def test_semaphore(client: Client) -> None:
    sem = Semaphore(max_leases=2, name="database")

    def access_limited(val, sem):
        with sem:
            # Interact with the DB
            return val

    futures = client.map(access_limited, range(10), sem=sem)
    assert client.gather(futures) == list(range(10))
    sem.close()


def test_pubsub(client: Client) -> None:
    pub = Pub("my-topic")
    sub = Sub("my-topic")
    pub.put(123)
    assert sub.get() == 123
    pub.put([1, 2, 3])
    assert sub.get() == [1, 2, 3]
    for i in range(3):
        pub.put(i)
    for msg in sub:
        if msg == 2:
            break


def test_pubsub_subscribers(client: Client) -> None:
    def subscribe():
        with_event = Event("subscribed")
        sub = Sub("on-workers")
        with_event.set()
        return sub.get(timeout=10)

    pub = Pub("on-workers")
    future = client.submit(subscribe)
    Event("subscribed").wait()
    wait_until(lambda: pub.subscribers)
    (address,) = pub.subscribers
    assert address in client.scheduler_info()["workers"]
    assert pub.subscribers == {address: {}}
    pub.put("hello")
    assert future.result() == "hello"
    wait_until(lambda: not pub.subscribers)
