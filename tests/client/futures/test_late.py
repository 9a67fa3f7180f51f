"""What is said to those who waited in vain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from shoal import Client, LocalCluster, wait


@pytest.fixture
def client() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def test_the_reason_goes_along(client: Client) -> None:
    future = client.submit(abs, -1, resources={"GPU": 1})
    why = "has no worker that may run it: it needs the resources {'GPU': 1.0}"
    for late in (future.result, future.exception, lambda t: wait([future], timeout=t)):
        with pytest.raises(TimeoutError, match=why):
            late("50ms")

    async def main() -> None:
        async with Client(client.cluster, asynchronous=True) as c:
            other = c.submit(abs, -2, resources={"GPU": 1})
            with pytest.raises(TimeoutError, match=why):
                await other.result(timeout="50ms")
            with pytest.raises(TimeoutError, match=why):
                await wait([other], timeout="50ms")

    asyncio.run(main())
    assert "is done: its result" in client.explain(client.scatter(1))
