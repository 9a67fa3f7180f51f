"""Fixtures: a cluster in this process, for a whole file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import dask
import pytest

from shoal import Client


@pytest.fixture(scope="module")
def cluster_client() -> Iterator[Client]:
    with Client(processes=False, n_workers=2, threads_per_worker=2) as client:
        yield client


@pytest.fixture
def client(cluster_client: Client) -> Iterator[Client]:
    yield cluster_client
    assert dask.config.get("scheduler"), "a test left the configuration changed"
