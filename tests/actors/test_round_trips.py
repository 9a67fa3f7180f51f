"""Calls of actors over sockets: who waits for a lone call writes and reads by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import wait_until

from shoal import Actor, ActorLostError, Client
from shoal.comm.thread_reader import ThreadReader, can_read_in_threads

from .classes import Counter, Door, Log

pytestmark = pytest.mark.skipif(not can_read_in_threads, reason="needs epoll")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(processes=False, n_workers=2, threads_per_worker=2, protocol="ipc://") as client:
        yield client


def make(client: Client, kind: Any, *args: Any, **options: Any) -> Any:
    return client.submit(kind, *args, actor=True, pure=False, **options).result()


def borrow(client: Client, counter: Actor) -> ThreadReader:
    """Call until the connection is lent to this thread."""
    for _ in range(100):
        counter.add(0).result()
        connections = client._actor_connections
        assert connections is not None
        stream = connections._connections[counter._address]._stream
        if stream is not None and stream._thread_reader is not None and stream._thread_reader.lent:
            return stream._thread_reader
    raise AssertionError("the connection is not lent")


def test_lone_calls_and_bursts(client: Client) -> None:
    counter = make(client, Counter)
    for _ in range(20):
        borrow(client, counter)
        before = counter.n
        calls = [counter.increment() for _ in range(50)]
        assert [call.result() for call in calls] == list(range(before + 1, before + 51))
        with pytest.raises(ZeroDivisionError, match=f"at {before + 50}"):
            counter.fail().result()
        assert counter.increment().result(10) == before + 51


def test_calls_of_a_caller_stay_in_order(client: Client) -> None:
    """The first call goes directly, those that follow it through the loop."""
    log, counter = make(client, Log), make(client, Counter)
    borrow(client, counter)
    for i in range(300):
        last = log.note(i)
        if i % 3 == 0:
            last.result()
    last.result()
    assert log.seen == list(range(300))


def test_threads_that_call_the_same_actor(client: Client) -> None:
    counter = make(client, Counter)
    borrow(client, counter)
    start = counter.n
    threads = [
        threading.Thread(target=lambda: [counter.increment().result(20) for _ in range(100)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert counter.n == start + 400


def test_time_limits(client: Client) -> None:
    door = make(client, Door)
    counter = make(client, Counter, workers=[door._address])
    borrow(client, counter)
    call = door.wait()
    with pytest.raises(TimeoutError):
        call.result(timeout="20ms")
    assert counter.add(1).result(10)
    door.unlock().result(10)
    call.result(10)


def test_the_worker_dies_while_a_thread_reads(client: Client) -> None:
    door = make(client, Door)
    borrow(client, make(client, Counter, workers=[door._address]))
    call = door.wait()
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            call.result()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    worker = next(w for w in client.cluster.workers.values() if w.address == door._address)
    asyncio.run_coroutine_threadsafe(worker.close(), client.loop.asyncio_loop).result(20)
    thread.join(20)
    assert not thread.is_alive() and isinstance(errors[0], ActorLostError)


def test_ctrl_c_while_it_waits(client: Client) -> None:
    door = make(client, Door)
    counter = make(client, Counter, workers=[door._address])
    reader = borrow(client, counter)
    call = door.wait()

    def interrupt() -> None:
        # The loop may have taken the connection back: then the thread waits for the loop.
        wait_until(lambda: reader._busy or not reader.lent)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        call.result()
    thread.join()
    door.unlock().result(10)
    call.result(10)
    assert counter.add(1).result(10)
