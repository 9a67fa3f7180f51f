"""Primitives used from blocking code: waiting, timeouts, bad arguments, objects that travel."""

from __future__ import annotations

import pickle
import threading
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from helpers import wait_until

from shoal import (
    CancelledError,
    Client,
    Event,
    Lock,
    MultiLock,
    Pub,
    Queue,
    Semaphore,
    Sub,
    Variable,
)


def waiting(client: Client) -> int:
    """How many asks wait at the scheduler."""
    coordination = client.cluster.scheduler.core.state.coordination
    return sum(map(len, coordination.waiting.values()))


class Later(threading.Thread):
    """Call something in a thread; `result` waits for what it returned."""

    def __init__(self, function: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(daemon=True)
        self.call = (function, args, kwargs)
        self.outcome: Any = None
        self.start()

    def run(self) -> None:
        function, args, kwargs = self.call
        try:
            self.outcome = function(*args, **kwargs)
        except Exception as error:
            self.outcome = error

    def result(self) -> Any:
        self.join(10)
        assert not self.is_alive()
        return self.outcome


def test_queue(client: Client, name: str) -> None:
    queue = Queue(name, maxsize=2)
    queue.put(1)
    queue.put(2, timeout="1s")
    assert queue.qsize() == 2
    with pytest.raises(TimeoutError, match=f"put on queue '{name}' took longer than 0.01 s"):
        queue.put(3, timeout="10ms")
    assert queue.get() == 1
    assert Queue(name).get(timeout=timedelta(seconds=1)) == 2
    with pytest.raises(TimeoutError):
        queue.get(timeout=0)
    later = Later(queue.get)
    wait_until(lambda: waiting(client) == 1)
    queue.put("late")
    assert later.result() == "late"
    assert repr(queue) == f"<Queue '{name}'>"


def test_queue_batches(client: Client, name: str) -> None:
    queue = Queue(name)
    assert queue.get(batch=True) == []
    for i in range(5):
        queue.put(i)
    assert queue.get(batch=2) == [0, 1]
    assert queue.get(batch=True) == [2, 3, 4]
    later = Later(queue.get, batch=3)
    wait_until(lambda: waiting(client) == 1)
    for i in range(3):
        queue.put(i)
    assert later.result() == [0, 1, 2]
    for bad in (-1, "2", 1.5):
        with pytest.raises(ValueError, match="batch must be"):
            queue.get(batch=bad)  # type: ignore[arg-type]


def test_closing_a_queue_wakes_those_who_wait(client: Client, other: Client, name: str) -> None:
    later = Later(Queue(name, client=other).get)
    wait_until(lambda: waiting(client) == 1)
    Queue(name).close()
    assert isinstance(later.result(), RuntimeError) and "was closed" in str(later.outcome)


def test_variable(client: Client, other: Client, name: str) -> None:
    variable = Variable(name)
    with pytest.raises(TimeoutError):
        variable.get(timeout="10ms")
    later = Later(Variable(name, client=other).get)
    wait_until(lambda: waiting(client) == 1)
    variable.set([1])
    assert later.result() == [1]
    assert variable.get() == [1] and variable.get() == [1]
    variable.delete()
    with pytest.raises(TimeoutError):
        variable.get(timeout=0)


def test_a_value_is_a_copy(client: Client, name: str) -> None:
    value = [1]
    variable = Variable(name)
    variable.set(value)
    value.append(2)
    assert variable.get() == [1]


def test_a_variable_keeps_its_future(client: Client, other: Client, name: str) -> None:
    tasks = client.cluster.scheduler.tasks
    variable = Variable(name)
    future = client.submit(lambda: 1, key=name)
    variable.set(future)
    del future
    got = Variable(name, client=other).get()
    assert got.result() == 1
    variable.set(None)
    assert got.result() == 1 and name in tasks
    del got
    wait_until(lambda: name not in tasks)


def test_lock(client: Client, other: Client, name: str) -> None:
    lock, same = Lock(name), Lock(name, client=other)
    assert lock.acquire() and lock.locked() and same.locked()
    assert same.acquire(blocking=False) is False
    assert same.acquire(timeout=0.01) is False
    with pytest.raises(ValueError, match="timeout makes no sense"):
        lock.acquire(blocking=False, timeout=1)
    with pytest.raises(RuntimeError, match=f"cannot release the lock '{name}'"):
        same.release()
    later = Later(same.acquire)
    wait_until(lambda: waiting(client) == 1)
    lock.release()
    assert later.result() is True
    same.release()
    assert not lock.locked()


def test_threads_exclude_each_other(client: Client, name: str) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(i: int) -> None:
        with Lock(name):
            inside.append(i)
            most.append(len(inside))
            inside.remove(i)

    for thread in [Later(work, i) for i in range(8)]:
        thread.result()
    assert most == [1] * 8


def test_a_closed_client_releases_its_locks(client: Client, name: str) -> None:
    other = Client(client.scheduler.address, set_as_default=False)
    assert Lock(name, client=other).acquire()
    later = Later(Lock(name).acquire)
    wait_until(lambda: waiting(client) == 1)
    other.close()
    assert later.result() is True


def test_multi_lock(client: Client, name: str) -> None:
    names = [f"{name}-{i}" for i in range(3)]
    first = Lock(names[0])
    first.acquire()
    both = MultiLock(names)
    assert both.acquire(timeout=0.01) is False
    assert both.acquire(num_locks=2) is True
    assert Lock(names[1]).locked() and Lock(names[2]).locked()
    assert MultiLock(names[1:]).acquire(blocking=False, num_locks=1) is False
    both.release()
    first.release()
    with both:
        assert all(Lock(n).locked() for n in names)
    assert not any(Lock(n).locked() for n in names)
    for bad in (0, 4):
        with pytest.raises(ValueError, match="num_locks must be from 1 to 3"):
            both.acquire(num_locks=bad)
    with pytest.raises(TypeError, match="must be a list of names"):
        MultiLock("names")
    with pytest.raises(TypeError, match="must be text, a number or a tuple"):
        MultiLock([None])
    assert MultiLock().acquire() is True


def test_event(client: Client, other: Client, name: str) -> None:
    event, same = Event(name), Event(name, client=other)
    assert not event.is_set() and event.wait(timeout=0) is False
    laters = [Later(same.wait) for _ in range(3)]
    wait_until(lambda: waiting(client) == 3)
    event.set()
    assert [later.result() for later in laters] == [True] * 3
    assert same.is_set() and same.wait()
    same.clear()
    assert not event.is_set()


def test_semaphore(client: Client, other: Client, name: str) -> None:
    semaphore = Semaphore(2, name)
    same = Semaphore(2, name, client=other)
    assert semaphore.acquire() and same.acquire()
    assert semaphore.get_value() == 2 and len(semaphore.leases) == 1
    assert semaphore.acquire(timeout="10ms") is False
    later = Later(semaphore.acquire)
    wait_until(lambda: waiting(client) == 1)
    assert same.release() is True
    assert later.result() is True
    with pytest.raises(RuntimeError, match="has not acquired it"):
        same.release()
    assert semaphore.refresh_leases() is None
    with pytest.raises(ValueError, match="has 2 leases at most, not 3"):
        Semaphore(3, name)
    for bad in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match="max_leases must be"):
            Semaphore(bad)  # type: ignore[arg-type]
    semaphore.close()
    with pytest.raises(RuntimeError, match="was closed"):
        same.acquire()
    assert Semaphore(3, name).acquire()


@pytest.mark.parametrize(
    "make",
    [
        lambda name: Queue(name, maxsize=3),
        lambda name: Variable(name),
        lambda name: Lock(name),
        lambda name: MultiLock([name, "b"]),
        lambda name: Event(name),
        lambda name: Semaphore(3, name),
        lambda name: Pub(name),
        lambda name: Sub(name),
    ],
)
def test_objects_travel(client: Client, make: Any) -> None:
    first = make("travels")
    second = pickle.loads(pickle.dumps(first))
    assert type(second) is type(first) and second.name == first.name
    for attribute in ("maxsize", "max_leases", "names"):
        assert getattr(second, attribute, None) == getattr(first, attribute, None)
    assert make(None if not isinstance(first, MultiLock) else "c").name != first.name


@pytest.mark.parametrize("cls", [Queue, Variable, Lock, Event, Semaphore])
def test_names_are_text_numbers_or_tuples(client: Client, cls: Any) -> None:
    for bad in (None, object()):
        with pytest.raises(TypeError, match="must be text, a number or a tuple"):
            cls(name=(bad,))
    assert cls().name != cls().name
    assert cls(name=0).name == 0
    assert pickle.loads(pickle.dumps(cls(name=("x", 1)))).name == ("x", 1)


def test_a_number_and_its_text_are_two_names(client: Client) -> None:
    names = [0, "0", ("x", 1), "('x', 1)", 1.5]
    for value, key in enumerate(names):
        Variable(key).set(value)
    assert [Variable(key).get() for key in names] == list(range(len(names)))
    assert Lock(3).acquire() and not Lock("3").locked() and Lock(3).locked()
    assert not MultiLock([3, "3"]).acquire(timeout=0.01)
    both = MultiLock([("y", 1), 4])
    assert both.acquire() and both.locked() and Lock(4).locked()
    both.release()
    assert not both.locked()


def test_what_was_cancelled_cannot_be_handed_on(client: Client, name: str) -> None:
    future = client.submit(abs, -1, key=f"{name}-cancelled")
    future.cancel()
    wait_until(future.cancelled)
    for call in (Queue(name).put, Variable(name).set):
        for value in (future, [future], {"a": (future,)}):
            with pytest.raises(CancelledError, match=f"{name}-cancelled"):
                call(value)
    assert Queue(name).qsize() == 0


@pytest.mark.parametrize("cls", [Queue, Variable, Lock, Event, Semaphore])
def test_what_a_primitive_says_of_its_client(client: Client, cls: Any) -> None:
    made = cls(name="of its client")
    assert made.asynchronous is False
    assert made.loop == client.loop
    assert made.scheduler.address == client.scheduler.address

    async def answer() -> int:
        return 42

    assert made.sync(answer) == 42


def test_no_client() -> None:
    lock = Lock("nobody", client=None)
    lock._home = None
    with Client(processes=False, n_workers=1, threads_per_worker=1):
        assert Lock("somebody").acquire()


def test_a_closed_client_says_so(client: Client, name: str) -> None:
    other = Client(client.scheduler.address, set_as_default=False)
    queue = Queue(name, client=other)
    later = Later(queue.get)
    wait_until(lambda: waiting(client) == 1)
    other.close()
    assert isinstance(later.result(), RuntimeError)
    assert waiting(client) == 0


def test_interrupted_waiters_take_nothing(client: Client, name: str) -> None:
    """Ctrl-C, or any exception that comes out of the wait, gives back what was on its way."""
    from shoal.coordination import asking

    queue = Queue(name)

    class Interrupted(asking.ThreadLatch):
        def wait(self, timeout: float | None) -> bool:
            super().wait(timeout)  # the answer is there
            raise KeyboardInterrupt

    original = asking.ThreadLatch
    queue.put(1)
    asking.ThreadLatch = Interrupted  # type: ignore[misc]
    try:
        with pytest.raises(KeyboardInterrupt):
            queue.get()
        with pytest.raises(KeyboardInterrupt):
            Lock(name).acquire()
    finally:
        asking.ThreadLatch = original  # type: ignore[misc]
    assert queue.get(timeout=5) == 1
    assert Lock(name).acquire(timeout=5)


def test_the_scheduler_keeps_nothing(client: Client) -> None:
    coordination = client.cluster.scheduler.core.state.coordination
    queue, event, lock, variable = Queue(), Event(), Lock(), Variable()
    before = set(coordination.places)
    queue.put(client.submit(int))
    event.set()
    variable.set(client.submit(int))
    with lock:
        assert set(coordination.places) - before
    queue.get()
    event.clear()
    variable.delete()
    wait_until(lambda: not coordination.kept and not coordination.unacked)
    assert set(coordination.places) <= before | {("lock", "")}


def test_numbers_of_numpy_and_what_cannot_be_sent(client: Client, name: str) -> None:
    lock = MultiLock([f"{name}-a", f"{name}-b"])
    assert lock.acquire(num_locks=np.int64(1), timeout=5)
    lock.release()
    with pytest.raises(ValueError, match="num_locks= must be a whole number"):
        lock.acquire(num_locks=1.5)


def test_an_ask_that_cannot_be_sent_is_refused_alone(name: str) -> None:
    # In the process itself nothing is encoded.
    with Client(processes=False, n_workers=0, protocol="tcp", set_as_default=False) as client:
        lock = MultiLock([f"{name}-a"], client=client)
        with pytest.raises(ValueError, match="cannot be sent"):
            lock._ask("acquire", object(), 1)
        assert lock.acquire(timeout=5)
        lock.release()
