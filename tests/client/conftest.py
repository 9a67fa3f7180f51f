"""Fixtures: a little server on the shared loop, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shoal._base.loop import LoopRunner
from shoal.client.client import Client

from .little import Little


@pytest.fixture
def little() -> Iterator[Little]:
    runner = LoopRunner()
    runner.start()

    async def make() -> Little:
        return await Little().open()

    server = runner.run_sync(make)
    yield server
    runner.run_sync(server.close)


@pytest.fixture
def client(little: Little) -> Iterator[Client]:
    with Client(little.address, set_as_default=False) as client:
        yield client
