"""What is called when the cluster is gone fails at once, says why, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import io
import time
from typing import Any

import dask
import pytest
from helpers import run, until, wait_until

from shoal import (
    CancelledError,
    Client,
    LocalCluster,
    MemorySampler,
    Queue,
    default_client,
    progress,
)
from shoal.client.observe.progress import TextProgressBar

AT_ONCE = 5  # seconds; a new try to connect takes 30


@pytest.fixture(scope="module")
def left() -> Any:
    """A client whose cluster was closed."""
    with LocalCluster(processes=False, n_workers=1, dashboard_address=None) as cluster:
        client = Client(cluster, set_as_default=False)
        future = client.submit(sum, [1])
        future.result()
    wait_until(lambda: client._session.ended)
    yield client, future
    client.close()


CALLS = {
    "nthreads": lambda c, f: c.nthreads(),
    "scheduler_info": lambda c, f: c.scheduler_info(),
    "who_has": lambda c, f: c.who_has(),
    "submit": lambda c, f: c.submit(sum, [2]),
    "result": lambda c, f: f.result(),
    "run": lambda c, f: c.run(abs, 1),
    "scatter": lambda c, f: c.scatter([1]),
    "restart": lambda c, f: c.restart(),
    "get_versions": lambda c, f: c.get_versions(),
    "profile": lambda c, f: c.profile(),
    "subscribe_topic": lambda c, f: c.subscribe_topic("t", print),
    "wait_for_workers": lambda c, f: c.wait_for_workers(1),
    "queue": lambda c, f: Queue("after", client=c).put(1),
    "progress": lambda c, f: progress(f, notebook=False, file=io.StringIO()),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_fail_at_once(left: Any, name: str) -> None:
    start = time.monotonic()
    errors = (RuntimeError, CancelledError, ValueError)
    with pytest.raises(errors, match="the scheduler was closed"):
        CALLS[name](*left)
    assert time.monotonic() - start < AT_ONCE


def test_its_status_says_so(left: Any) -> None:
    client, _ = left
    assert client.status == "closed" and repr(client).startswith("<Client: closed, to ")
    assert "closed" in client._repr_html_()


def test_dask_does_not_compute_elsewhere_in_silence() -> None:
    x = dask.delayed(sum)([1, 2])
    with LocalCluster(processes=False, n_workers=1, dashboard_address=None) as cluster:
        client = Client(cluster)
    wait_until(lambda: client.status == "closed")
    assert default_client() is client
    for use in (x.compute, Queue("after").qsize):
        with pytest.raises(RuntimeError, match="the scheduler was closed"):
            use()
    with Client(processes=False, n_workers=1, dashboard_address=None) as second:
        assert default_client() is second and x.compute() == 3
    client.close()
    with pytest.raises(ValueError, match="no clients found"):
        default_client()
    assert x.compute() == 3  # by dask itself, as there is no client


def test_what_watches_in_the_background_ends_in_silence() -> None:
    complaints: list[Any] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda loop, context: complaints.append(context))
        out = io.StringIO()
        cluster = await LocalCluster(
            processes=False, n_workers=1, asynchronous=True, dashboard_address=None
        )
        async with Client(cluster, asynchronous=True, set_as_default=False) as client:
            sampling = MemorySampler().sample("x", client=client, interval="1ms")
            await sampling.__aenter__()
            future = client.submit(asyncio.sleep, 60)
            bar = TextProgressBar(future, file=out, interval="1ms")
            await until(lambda bar=bar: bar.counts.rows)
            await cluster.close()
            late = TextProgressBar(future, file=out)
            for each in (bar, late):
                await asyncio.wait_for(until(lambda bar=each: bar.status == "interrupted"), AT_ONCE)
            await sampling.__aexit__(None, None, None)
        assert out.getvalue().count("%") >= 1
        bar = late = sampling = None
        gc.collect()
        await asyncio.sleep(0)

    run(main())
    assert complaints == []
