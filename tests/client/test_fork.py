"""A forked child that uses its parent's client is told so at once, by every verb."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import dask
import pytest

from shoal import Client, Future, Lock, Queue, as_completed, wait

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork"),
]

AT_ONCE = 10  # seconds, on a busy machine


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(n_workers=1, threads_per_worker=2) as client:
        yield client


def slow() -> None:
    time.sleep(3600)


@pytest.fixture(scope="module")
def pending(client: Client) -> Future:
    return client.submit(slow)


VERBS: dict[str, Callable[[Client, Future, Future], Any]] = {
    "submit": lambda c, done, pending: c.submit(abs, -1),
    "map": lambda c, done, pending: c.map(abs, [1]),
    "result": lambda c, done, pending: pending.result(),
    "gather": lambda c, done, pending: c.gather([done, pending]),
    "wait": lambda c, done, pending: wait([pending]),
    "as_completed": lambda c, done, pending: [f.result() for f in as_completed([pending])],
    "scatter": lambda c, done, pending: c.scatter(1),
    "compute": lambda c, done, pending: c.compute(dask.delayed(abs)(-1)),
    "get": lambda c, done, pending: c.get({"x": (abs, -1)}, "x"),
    "run": lambda c, done, pending: c.run(os.getpid),
    "who_has": lambda c, done, pending: c.who_has(),
    "scheduler_info": lambda c, done, pending: c.scheduler_info(),
    "cancel": lambda c, done, pending: c.cancel(pending),
    "publish": lambda c, done, pending: c.publish_dataset(x=done),
    "lock": lambda c, done, pending: Lock("lock", client=c).acquire(),
    "queue": lambda c, done, pending: Queue("queue", client=c).get(),
    "executor": lambda c, done, pending: c.get_executor().submit(abs, -1).result(),
}


def use(pipe: Any, client: Client, done: Future, pending: Future, verb: str) -> None:
    try:
        pipe.send(("no error", repr(VERBS[verb](client, done, pending))))
    except BaseException as error:
        pipe.send((type(error).__name__, str(error)))
    client.close()  # nothing of the parent's is closed


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_in_a_forked_child(client: Client, pending: Future, verb: str) -> None:
    done = client.submit(sum, [1, 2])
    assert done.result() == 3
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=use, args=(there, client, done, pending, verb))
    child.start()
    try:
        assert here.poll(AT_ONCE), "it waits"
        kind, text = here.recv()
        assert "fork" in text or "no clients found" in text, (kind, text)
        child.join(AT_ONCE)
        assert child.exitcode == 0
    finally:
        child.kill()
        child.join()
    assert client.submit(sum, [3, 4], pure=False).result(timeout=20) == 7
    assert done.result() == 3 and pending.status == "pending"
