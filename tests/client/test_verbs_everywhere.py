"""Verbs of data and cluster, and primitives, from each place that has a client.

A client of blocking code, one of asynchronous code, that of a task, and that of a coroutine task.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers import run

from shoal import (
    Client,
    Event,
    Future,
    Lock,
    MultiLock,
    Pub,
    Queue,
    Semaphore,
    Sub,
    Variable,
    get_client,
)


def inc(x: int) -> int:
    return x + 1


def dask_tasks(dask_scheduler: Any) -> int:
    return len(dask_scheduler.tasks)


def noted(c: Client, name: str) -> list[Any]:
    return [c.set_metadata([name, "a"], 1), c.get_metadata(name)]


def published(c: Client, x: Future, name: str) -> list[Any]:
    return [
        c.publish_dataset(x, name=name),
        c.list_datasets(),
        c.get_dataset(name),
        c.unpublish_dataset(name),
        c.get_dataset(name, default=None),
    ]


def holds(kind: Callable[..., Any], *args: Any) -> Callable[..., Iterator[Any]]:
    def do(c: Client, x: Future, name: str) -> Iterator[Any]:
        one = kind(*args, name, client=c)
        yield one.acquire(timeout=5)
        yield one.release()

    return do


def both_locks(c: Client, x: Future, name: str) -> Iterator[Any]:
    locks = MultiLock([name, f"{name}-2"], client=c)
    yield locks.acquire(timeout=5)
    yield locks.release()


def queued(c: Client, x: Future, name: str) -> list[Any]:
    queue = Queue(name, client=c)
    return [queue.put(1), queue.put(x), queue.qsize(), queue.get(), queue.get(timeout=5)]


def set_and_got(c: Client, x: Future, name: str) -> list[Any]:
    variable = Variable(name, client=c)
    return [variable.set({"a": 1}), variable.get(timeout=5), variable.delete()]


def set_and_waited(c: Client, x: Future, name: str) -> list[Any]:
    event = Event(name, client=c)
    return [event.set(), event.wait(timeout=5), event.is_set()]


def cleared(c: Client, x: Future, name: str) -> list[Any]:
    event = Event(name, client=c)
    return [event.clear(), event.is_set()]


# What is done, one after the other, and whether the answers are right.
VERBS: dict[str, tuple[Callable[..., Any], Callable[[list[Any]], Any]]] = {
    "nthreads": (lambda c, x, name: [c.nthreads()], lambda r: list(r[0].values()) == [2, 2]),
    "ncores": (lambda c, x, name: [c.ncores()], lambda r: len(r[0]) == 2),
    "scheduler_info": (
        lambda c, x, name: [c.scheduler_info()],
        lambda r: len(r[0]["workers"]) == 2,
    ),
    "who_has": (lambda c, x, name: [c.who_has([x])], lambda r: next(iter(r[0].values()))),
    "has_what": (lambda c, x, name: [c.has_what()], lambda r: len(r[0]) == 2),
    "nbytes": (lambda c, x, name: [c.nbytes(summary=False)], lambda r: r[0]),
    "processing": (lambda c, x, name: [c.processing()], lambda r: len(r[0]) == 2),
    "replicate": (
        lambda c, x, name: [c.replicate([x]), c.who_has([x])],
        lambda r: len(*r[1].values()) == 2,
    ),
    "rebalance": (lambda c, x, name: [c.rebalance()], lambda r: r == [None]),
    "datasets": (published, lambda r: r[1] and isinstance(r[2], Future) and r[4] is None),
    "metadata": (lambda c, x, name: noted(c, name), lambda r: r[1] == {"a": 1}),
    "events": (
        lambda c, x, name: [c.log_event(name, 5), c.get_events(name)],
        lambda r: r[1][0][1] == 5,
    ),
    "call_stack": (lambda c, x, name: [c.call_stack()], lambda r: isinstance(r[0], dict)),
    "profile": (lambda c, x, name: [c.profile()], lambda r: r[0]["identifier"] == "root"),
    "get_task_stream": (lambda c, x, name: [c.get_task_stream()], lambda r: type(r[0]) is list),
    "get_versions": (lambda c, x, name: [c.get_versions(check=True)], lambda r: "client" in r[0]),
    "get_scheduler_logs": (lambda c, x, name: [c.get_scheduler_logs()], lambda r: r[0] is not None),
    "get_worker_logs": (lambda c, x, name: [c.get_worker_logs()], lambda r: len(r[0]) == 2),
    "run": (
        lambda c, x, name: [c.run(os.getpid)],
        lambda r: list(r[0].values()) == [os.getpid()] * 2,
    ),
    "run_on_scheduler": (lambda c, x, name: [c.run_on_scheduler(dask_tasks)], lambda r: r[0] > 0),
    "explain": (lambda c, x, name: [c.explain(x)], lambda r: "is done" in r[0]),
    "wait_for_workers": (lambda c, x, name: [c.wait_for_workers(2)], lambda r: r == [None]),
    "amm": (
        lambda c, x, name: [c.amm.run_once(), c.amm.running()],
        lambda r: r[1] in (True, False),
    ),
    "gather": (lambda c, x, name: [c.gather([x])], lambda r: r == [[2]]),
    "Queue": (queued, lambda r: r[2:4] == [2, 1] and isinstance(r[4], Future)),
    "Variable": (set_and_got, lambda r: r[1] == {"a": 1}),
    "Lock": (holds(Lock), lambda r: r[0] is True),
    "MultiLock": (both_locks, lambda r: r[0] is True),
    "Semaphore": (holds(Semaphore, 1), lambda r: r == [True, True]),
    "Event": (set_and_waited, lambda r: r[1:] == [True, True]),
    "Event.clear": (cleared, lambda r: r[1] is False),
}


def publish_here(name: str) -> Any:
    sub, pub = Sub(name), Pub(name)
    pub.put({"a": 1})
    return sub.get(timeout=5)


def use(name: str) -> list[Any]:
    """In a task: each verb's answers are those of blocking code."""
    c = get_client()
    x = c.submit(inc, 1)
    x.result()
    do, check = VERBS[name]
    answers = list(do(c, x, f"{name}-in-task"))
    assert check(answers), answers
    return [type(answer).__name__ for answer in answers]


async def use_awaiting(name: str, c: Client | None = None) -> list[Any]:
    """In asynchronous code: each answer is awaited before the next is asked for."""
    c = c or get_client()
    x = c.submit(inc, 1)
    await x
    do, check = VERBS[name]
    answers = []
    for answer in do(c, x, f"{name}-awaited"):
        if name == "scheduler_info":  # it gives what is known, as it is in dask
            answers.append(answer)
            continue
        assert inspect.isawaitable(answer), f"{name} blocks: {answer!r}"
        answers.append(await answer)
    assert check(answers), answers
    return [type(answer).__name__ for answer in answers]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(
        processes=False, n_workers=2, threads_per_worker=2, dashboard_address=None
    ) as client:
        yield client


@pytest.mark.parametrize("name", VERBS)
def test_from_everywhere(client: Client, name: str) -> None:
    do, check = VERBS[name]
    x = client.submit(inc, 1)
    x.result()
    answers = list(do(client, x, f"{name}-blocking"))
    assert check(answers), answers
    kinds = [type(answer).__name__ for answer in answers]
    assert client.submit(use, name, pure=False).result(timeout=20) == kinds
    assert client.submit(use_awaiting, name, pure=False).result(timeout=20) == kinds

    async def main() -> list[Any]:
        address = client.scheduler.address
        async with Client(address, asynchronous=True, set_as_default=False) as other:
            return await use_awaiting(name, other)

    assert run(main()) == kinds


def test_topics_from_tasks_and_blocking_code(client: Client) -> None:
    assert publish_here("here") == {"a": 1}
    assert client.submit(publish_here, "there").result(timeout=10) == {"a": 1}
