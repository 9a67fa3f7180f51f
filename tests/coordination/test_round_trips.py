"""Blocking round trips over a socket: the thread that waits writes and reads by itself."""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers import interrupting, wait_until

from shoal import Client, Event, Lock, Queue, Semaphore, Variable
from shoal.client.core.events import RequestMade, Submitted
from shoal.comm.thread_reader import ThreadReader, can_read_in_threads

pytestmark = pytest.mark.skipif(not can_read_in_threads, reason="needs epoll")


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(processes=False, n_workers=1, threads_per_worker=2, protocol="ipc://") as client:
        yield client


def borrow(client: Client, name: str) -> ThreadReader:
    """Do round trips until the connection is lent to this thread."""
    event = Event(name, client=client)
    for _ in range(100):
        event.is_set()
        stream = client._session.stream
        if stream is not None and stream._thread_reader is not None and stream._thread_reader.lent:
            return stream._thread_reader
    raise AssertionError("the connection is not lent")


def inc(x: int) -> int:
    return x + 1


def test_threads_read_their_answers(client: Client, name: str) -> None:
    reader = borrow(client, name)
    loops = counting(client)
    queue = Queue(name)
    for i in range(200):
        queue.put(i)
        assert queue.get() == i
    assert reader.lent
    assert loops() < 100, "the loop read most of the answers"


def counting(client: Client) -> Callable[[], int]:
    """Return how many batches the loop read since now."""
    connection = client._connection
    assert connection is not None and connection._stream is not None
    stream = connection._stream
    count = 0
    original = stream._on_messages
    assert original is not None

    def receive(messages: list[Any]) -> None:
        nonlocal count
        count += 1
        original(messages)

    stream._on_messages = receive
    return lambda: count


def test_what_is_for_others_goes_to_the_loop(client: Client, name: str) -> None:
    """Results of tasks, and answers to other threads, come between answers to this one."""
    variable, lock = Variable(name), Lock(name)
    for i in range(50):
        borrow(client, name)
        future = client.submit(inc, i, pure=False)
        variable.set(i)
        with lock:
            assert variable.get() == i
        assert future.result(10) == i + 1


def test_asks_come_after_what_was_said_before(client: Client, name: str, monkeypatch: Any) -> None:
    """A thread does not overtake what the loop has taken out of the outbox and not sent yet."""
    session = client._session
    inside, go = threading.Event(), threading.Event()
    original = session.applier.feed

    def hand(event: Any) -> None:
        if type(event) is Submitted:
            inside.set()
            go.wait(10)
        original(event)

    borrow(client, name)
    monkeypatch.setattr(session.applier, "feed", hand)
    future = client.submit(inc, 5, pure=False)
    assert inside.wait(10)
    thread = threading.Thread(target=lambda: Queue(name).put(future))
    thread.start()
    wait_until(lambda: session.outbox)
    assert type(session.outbox[0]) is RequestMade
    go.set()
    thread.join(10)
    assert Queue(name).get(timeout=10).result(10) == 6


def test_many_threads_of_one_client(client: Client, name: str) -> None:
    borrow(client, name)
    queue = Queue(name)
    got: list[int] = []

    def work(first: int) -> None:
        for i in range(first, first + 50):
            queue.put(i)
            got.append(queue.get())

    threads = [threading.Thread(target=work, args=(100 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(got) == sorted(100 * n + i for n in range(4) for i in range(50))


def test_a_thread_that_waits_long_does_not_keep_others(client: Client, name: str) -> None:
    borrow(client, name)
    lock, again = Lock(name), Lock(name)
    lock.acquire()
    waiter = threading.Thread(target=lambda: again.acquire())
    waiter.start()
    wait_until(lambda: len(waiting(client)) == 1)
    assert client.submit(inc, 1, pure=False).result(10) == 2
    assert Event(name).wait(0.05) is False
    lock.release()
    waiter.join(10)
    assert not waiter.is_alive()
    again.release()


def waiting(client: Client) -> dict[Any, Any]:
    coordination = client.cluster.scheduler.core.state.coordination
    return coordination.waiting.get(client.id, {})  # type: ignore[no-any-return]


def test_time_limits(client: Client, name: str) -> None:
    borrow(client, name)
    with pytest.raises(TimeoutError):
        Queue(name).get(timeout=0.05)
    borrow(client, name)
    start = time.monotonic()
    assert not Event(name).wait("50ms")
    assert time.monotonic() - start < 5
    Queue(name).put(1)
    assert Queue(name).get(timeout=0) == 1


def test_a_lost_connection_while_a_thread_reads(client: Client, name: str) -> None:
    """The ask is said again on the next connection, once; what is held stays so."""
    with Client(client.scheduler.address, set_as_default=False) as other:
        reader = borrow(other, name)
        lock, queue = Lock(name, client=other), Queue(name, client=other)
        lock.acquire()
        got: list[int] = []
        thread = threading.Thread(target=lambda: got.append(queue.get()))
        borrow(other, name)
        thread.start()
        coordination = client.cluster.scheduler.core.state.coordination
        wait_until(lambda: coordination.waiting.get(other.id))
        stream = other._session.stream
        assert stream is not None
        other.loop.asyncio_loop.call_soon_threadsafe(stream.abort)
        wait_until(lambda: other._session.stream not in (None, stream))
        assert not Lock(name, client=client).acquire(timeout=0.05)
        Queue(name, client=client).put(1)
        thread.join(10)
        assert got == [1]
        assert Queue(name, client=client).qsize() == 0
        assert borrow(other, name) is not reader
        lock.release()


def test_a_client_closed_while_its_thread_reads(client: Client, name: str) -> None:
    other = Client(client.scheduler.address, set_as_default=False)
    borrow(other, name)
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            Queue(name, client=other).get()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    coordination = client.cluster.scheduler.core.state.coordination
    wait_until(lambda: coordination.waiting.get(other.id))
    other.close()
    thread.join(10)
    assert not thread.is_alive() and isinstance(errors[0], RuntimeError)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGALRM")
def test_signals_at_any_moment(client: Client, name: str) -> None:
    """An exception out of a signal handler, wherever it comes, leaves nothing held or lost."""

    def ask() -> None:
        for _ in range(5):
            Event(name).is_set()
            lock.locked()
            semaphore.get_value()
            queue.qsize()

    lock, queue, semaphore = Lock(name), Queue(name), Semaphore(2, name)
    rounds = interrupted = 0
    deadline = time.monotonic() + 20
    with interrupting(random.Random(1), 6e-4) as interrupts:
        while interrupted < 100 and time.monotonic() < deadline:
            rounds += 1
            interrupted += interrupts(ask)
            if rounds % 10 == 0:
                assert lock.acquire(timeout=20)
                lock.release()
                queue.put(rounds)
                assert queue.get(timeout=20) == rounds
    assert interrupted > 20
    wait_until(lambda: not waiting(client))
    assert Semaphore(2, name).get_value() == 0


def test_interrupted_while_it_waits(client: Client, name: str) -> None:
    """Ctrl-C while blocked in `acquire` and `get` leaves nothing held, nothing taken."""
    holder = Lock(name)
    holder.acquire()
    for block in (Lock(name).acquire, Queue(name).get):
        borrow(client, name)
        timer = threading.Thread(target=interrupt_when, args=(client,))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            block()
        timer.join()
        wait_until(lambda: not waiting(client))
    holder.release()
    assert Lock(name).acquire(timeout=5)
    Queue(name).put(1)
    assert Queue(name).get(timeout=5) == 1


def interrupt_when(client: Client) -> None:
    wait_until(lambda: len(waiting(client)) == 1)
    os.kill(os.getpid(), signal.SIGINT)


def test_a_loan_that_nobody_returned(client: Client, name: str, monkeypatch: Any) -> None:
    """A thread that was interrupted at the worst moment keeps the connection; not for long."""
    reader = borrow(client, name)
    thread = threading.Thread(target=reader._reading.acquire)  # and nobody will release it
    thread.start()
    thread.join()
    reader._bell.modify(reader._fileno, 0)
    reader._looked = time.monotonic() - 10
    loop = client.loop.asyncio_loop
    loop.call_soon_threadsafe(reader.check)  # as its timer does
    wait_until(lambda: not reader.lent)
    assert client.submit(inc, 2, pure=False).result(10) == 3
    assert borrow(client, name) is reader


def test_a_thread_that_was_interrupted_reads_again(client: Client, name: str) -> None:
    """It did not return the loan then; it does so now, without waiting for the loop to notice."""
    reader = borrow(client, name)
    reader._reading.acquire()
    reader._bell.modify(reader._fileno, 0)
    for _ in range(10):
        Event(name).is_set()
    assert client.submit(inc, 2, pure=False).result(10) == 3
    free: list[bool] = []

    def try_it() -> None:
        with reader._reading:
            free.append(True)

    thread = threading.Thread(target=try_it, daemon=True)
    thread.start()
    thread.join(10)
    assert free, "the main thread holds it still"


def test_a_partial_write_goes_on_later() -> None:
    """What the operating system did not take at once follows, and what comes later comes after."""
    import asyncio

    from shoal.comm.frames import FrameProtocol

    async def main() -> None:
        ours, theirs = socket.socketpair()
        theirs.settimeout(10)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(lambda: FrameProtocol(1 << 20), sock=ours)
        protocol.begin_frames()
        protocol.notify_when_sent(lambda: None)
        protocol.open_direct()
        sent = 0
        while protocol.idle and protocol.send_directly([bytes([sent]) * 3000]):
            sent += 1
        assert not protocol.send_directly([b"last"]), "something is still to be written"
        received = b""
        while len(received) < sent * 3012:
            received += await loop.run_in_executor(None, theirs.recv, 1 << 16)
        assert received == b"".join(
            b"\x01\x00\x00\x00" + (3000).to_bytes(8, "little") + bytes([n]) * 3000
            for n in range(sent)
        )
        await protocol.close()
        theirs.close()

    asyncio.run(main())


def test_a_thread_looks_only_while_answers_come_soon(client: Client, name: str) -> None:
    reader = borrow(client, name)
    reader._moment = reader._longest_moment = 1e-4
    for _ in range(8):
        borrow(client, name)
        with pytest.raises(TimeoutError):
            Queue(name).get(timeout="5ms")
    assert reader._moment < 1e-4
