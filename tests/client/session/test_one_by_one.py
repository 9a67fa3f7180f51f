"""Tasks that are submitted and waited for one by one: the user's thread does it all by itself."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest
from helpers import interrupting, wait_until

from shoal import Client
from shoal.client.core.events import FromScheduler, Submitted
from shoal.comm.thread_reader import can_read_in_threads

pytestmark = pytest.mark.skipif(not can_read_in_threads, reason="needs epoll")

gates: dict[str, threading.Event] = {}


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(processes=False, n_workers=1, threads_per_worker=2, protocol="ipc://") as client:
        yield client


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


@pytest.fixture
def gate(name: str) -> Iterator[threading.Event]:
    """What tasks that are called with `name` wait for."""
    gate = gates[name] = threading.Event()
    yield gate
    gate.set()
    del gates[name]


def inc(x: int) -> int:
    return x + 1


def begin(client: Client) -> None:
    """Submit tasks one by one until the client takes notice."""
    for i in range(100):
        assert client.submit(inc, i, pure=False).result(10) == i + 1
        if client._session.one_by_one.on:
            return
    raise AssertionError("it took no notice")


def test_the_thread_tells_and_reads(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    session = client._session
    told: list[Submitted] = []  # by the loop
    read: list[FromScheduler] = []  # by the thread
    feed, handle = session.applier.feed, session.machine.handle

    def watched_feed(event: Any) -> None:
        if type(event) is Submitted:
            told.append(event)
        feed(event)

    def watched_handle(event: Any, now: float) -> Any:
        if type(event) is FromScheduler and threading.current_thread() is threading.main_thread():
            read.append(event)
        return handle(event, now)

    monkeypatch.setattr(session.applier, "feed", watched_feed)
    monkeypatch.setattr(session.machine, "handle", watched_handle)
    for _ in range(20):  # on a busy machine results come before the thread looks for them
        begin(client)
        told.clear()
        for i in range(100):
            assert client.submit(inc, i, pure=False).result(10) == i + 1
        if len(told) < 20 and read:
            return
    raise AssertionError("the loop did most of it")


def test_what_was_dropped_is_released_though_nothing_is_submitted(client: Client) -> None:
    begin(client)
    tasks = client.cluster.scheduler.core.state.tasks
    wait_until(lambda: not tasks)
    wait_until(lambda: not client._session.one_by_one.on)


def test_the_same_key_again_and_again(client: Client) -> None:
    """Its release and its next definition come in one batch."""
    begin(client)
    for _ in range(200):
        assert client.submit(inc, 1).result(10) == 2


def test_two_in_a_row(client: Client) -> None:
    begin(client)
    for i in range(50):
        one, two = client.submit(inc, i, pure=False), client.submit(inc, i + 1, pure=False)
        three = client.submit(sum, [one, two], pure=False)
        assert (three.result(10), two.result(10), one.result(10)) == (2 * i + 3, i + 2, i + 1)


def fail(x: int) -> None:
    raise ValueError(f"there is no {x}")


def test_failures_and_large_results(client: Client) -> None:
    for i in range(10):
        begin(client)
        with pytest.raises(ValueError, match=f"there is no {i}"):
            client.submit(fail, i).result(10)
        begin(client)
        assert len(client.submit(bytes, 100_000 + i).result(10)) == 100_000 + i


def pass_through(name: str) -> str:
    assert gates[name].wait(10)
    return name


def test_a_time_limit(client: Client, name: str, gate: threading.Event) -> None:
    begin(client)
    future = client.submit(pass_through, name)
    with pytest.raises(TimeoutError):
        future.result(timeout=0.01)
    gate.set()
    assert future.result(10) == name


def test_another_thread_cancels_it(client: Client, name: str, gate: threading.Event) -> None:
    begin(client)
    future = client.submit(pass_through, name)
    timer = threading.Timer(0.01, future.cancel)
    timer.start()
    with pytest.raises(CancelledError):
        future.result(10)
    timer.join()


def test_many_are_dropped_at_once(client: Client) -> None:
    """The loop hears of them though nobody woke it, and part by part."""
    futures = client.map(inc, range(30_000))
    client.gather(futures)
    begin(client)
    assert client._session.one_by_one.on
    del futures
    tasks = client.cluster.scheduler.core.state.tasks
    wait_until(lambda: len(tasks) < 100)


def test_others_wait_for_it_too(client: Client, name: str, gate: threading.Event) -> None:
    begin(client)
    future = client.submit(pass_through, name)
    called: list[str] = []
    future.add_done_callback(lambda future: called.append(future.result()))
    other = threading.Thread(target=lambda: called.append(future.result(10)))
    other.start()
    threading.Timer(0.02, gate.set).start()
    assert future.result(10) == name
    other.join()
    wait_until(lambda: called == [name, name])


def test_several_threads(client: Client) -> None:
    errors: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for i in range(first, first + 200):
                assert client.submit(inc, i).result(20) == i + 1
        except BaseException as error:
            errors.append(error)

    begin(client)
    threads = [threading.Thread(target=work, args=(100 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    tasks = client.cluster.scheduler.core.state.tasks
    wait_until(lambda: not any(key.startswith("inc") for key in tasks))


def test_the_connection_is_lost_meanwhile(client: Client) -> None:
    for _ in range(5):
        begin(client)
        stream = client._session.stream
        assert stream is not None
        client.loop.asyncio_loop.call_soon_threadsafe(stream.abort)
        for i in range(50):
            assert client.submit(inc, i, pure=False).result(20) == i + 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGALRM")
# Python only reports what is raised while a destructor runs, that of a future here.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_signals_at_any_moment(client: Client) -> None:
    """An exception out of a signal handler, wherever it comes, leaves no task untold."""

    def submit() -> None:
        for x in range(20):
            client.submit(inc, x).result()

    chance = random.Random(1)
    interrupted = 0
    deadline = time.monotonic() + 20
    with interrupting(chance, 3e-3) as interrupts:
        while interrupted < 200 and time.monotonic() < deadline:
            interrupted += interrupts(submit)
            # Its key was submitted before, perhaps by who was interrupted.
            x = chance.randrange(20)
            assert client.submit(inc, x).result(20) == x + 1
    assert interrupted > 20
