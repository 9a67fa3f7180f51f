"""Fixtures for pytest: import those that a test module uses, with all that they use."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tornado.ioloop import IOLoop

from shoal._base.loop import new_event_loop
from shoal.client.client import Client
from shoal.testing.leaks import clean
from shoal.testing.processes import cluster

__all__ = ["a", "b", "cleanup", "client", "cluster_fixture", "loop", "loop_in_thread", "s"]

_TIMEOUT = 10.0


@pytest.fixture
def cleanup() -> Iterator[None]:
    """The test may leave nothing behind; see `clean`."""
    with clean():
        yield


@pytest.fixture
def loop_in_thread(cleanup: None) -> Iterator[IOLoop]:
    """An event loop that runs in a thread of its own; tornado's face of it."""
    made: list[IOLoop] = []
    ready = threading.Event()

    def run() -> None:
        asyncio_loop = new_event_loop()
        asyncio.set_event_loop(asyncio_loop)
        made.append(IOLoop(asyncio_loop=asyncio_loop, make_current=False))
        made[0].add_callback(ready.set)
        made[0].start()
        asyncio_loop.run_until_complete(asyncio_loop.shutdown_default_executor())
        made[0].close()

    thread = threading.Thread(target=run, name="test loop", daemon=True)
    thread.start()
    if not ready.wait(_TIMEOUT):
        raise RuntimeError("the loop's thread did not start")
    yield made[0]
    made[0].add_callback(made[0].stop)
    thread.join(_TIMEOUT)


@pytest.fixture
def loop(loop_in_thread: IOLoop) -> IOLoop:
    """An event loop for clients and clusters: ``Client(address, loop=loop)``."""
    return loop_in_thread


@pytest.fixture
def cluster_fixture(loop: IOLoop) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Scheduler and two workers in processes; see `cluster`."""
    with cluster() as made:
        yield made


@pytest.fixture
def s(cluster_fixture: Any) -> dict[str, Any]:
    """The scheduler of `cluster_fixture`: a dict with its ``address``."""
    found: dict[str, Any] = cluster_fixture[0]
    return found


@pytest.fixture
def a(cluster_fixture: Any) -> dict[str, Any]:
    """The first worker of `cluster_fixture`: a dict with its ``address``."""
    found: dict[str, Any] = cluster_fixture[1][0]
    return found


@pytest.fixture
def b(cluster_fixture: Any) -> dict[str, Any]:
    """The second worker of `cluster_fixture`: a dict with its ``address``."""
    found: dict[str, Any] = cluster_fixture[1][1]
    return found


@pytest.fixture
def client(loop: IOLoop, s: dict[str, Any]) -> Iterator[Client]:
    """A client of `cluster_fixture`."""
    with Client(s["address"], loop=loop) as made:
        yield made
