"""Fixtures: one local cluster for all tests of a module, its two clients, names of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shoal import Client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(processes=False, n_workers=2, threads_per_worker=2) as client:
        yield client


@pytest.fixture
def other(client: Client) -> Iterator[Client]:
    with Client(client.scheduler.address, set_as_default=False) as other:
        yield other


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no other test uses."""
    return str(request.node.name)
