"""Fixtures for pytest: import the ones that a test module uses, with all that they use."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import dask.config
import pytest
from tornado.ioloop import IOLoop

from shoal._base.loop import new_event_loop
from shoal.client.client import Client
from shoal.security import Security
from shoal.testing.certificates import tls_only_security
from shoal.testing.coroutines import NO_AMM
from shoal.testing.leaks import clean
from shoal.testing.processes import cluster, tls_cluster_context

__all__ = [
    "a",
    "b",
    "c",
    "cleanup",
    "client",
    "client_no_amm",
    "client_secondary",
    "cluster_fixture",
    "loop",
    "loop_in_thread",
    "requires_default_ports",
    "s",
    "security",
    "tls_client",
    "tls_cluster",
]

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
def client(loop: IOLoop, cluster_fixture: Any) -> Iterator[Client]:
    """A client of `cluster_fixture`."""
    # Not by `s`, which who uses this fixture would have to import as well.
    with Client(cluster_fixture[0]["address"], loop=loop) as made:
        yield made


@pytest.fixture
def c(client: Client) -> Client:
    """The same client under a shorter name."""
    return client


@pytest.fixture
def client_secondary(loop: IOLoop, cluster_fixture: Any) -> Iterator[Client]:
    """Another client of `cluster_fixture`."""
    with Client(cluster_fixture[0]["address"], loop=loop) as made:
        yield made


@pytest.fixture
def client_no_amm(client: Client) -> Iterator[Client]:
    """A client of `cluster_fixture` where nobody but the test copies or drops data."""
    before = client.amm.running()
    if before:
        client.amm.stop()
    with dask.config.set(NO_AMM):
        yield client
    if before:
        client.amm.start()


@pytest.fixture
def security() -> Security:
    """The certificates of `tls_cluster`."""
    return tls_only_security()


@pytest.fixture
def tls_cluster(
    loop: IOLoop, security: Security
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Scheduler and two workers in processes, encrypted; see `tls_cluster_context`."""
    with tls_cluster_context(security=security) as made:
        yield made


@pytest.fixture
def tls_client(tls_cluster: Any, loop: IOLoop, security: Security) -> Iterator[Client]:
    """A client of `tls_cluster`."""
    with Client(tls_cluster[0]["address"], security=security, loop=loop) as made:
        yield made


@pytest.fixture
def requires_default_ports() -> None:
    """Skip where a scheduler's or a dashboard's own port is taken: 8786 or 8787."""
    for port in (8786, 8787):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("", port))
            except OSError:
                pytest.skip(f"port {port} is taken")
