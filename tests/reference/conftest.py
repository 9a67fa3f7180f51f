"""Fixtures: one local cluster for all tests of a module, and the functions that examples use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shoal import Client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(processes=False, n_workers=2, threads_per_worker=2) as client:
        yield client


@pytest.fixture
def c(client: Client) -> Client:
    """The name that some examples give to the client."""
    return client
