"""Fixtures: one local cluster for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shoal import Client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(processes=False, n_workers=2, threads_per_worker=2) as client:
        yield client
