"""A loop that something kept from its work says so in the log."""

from __future__ import annotations

import asyncio
import logging
import time

import dask
import pytest
from helpers import run

from shoal.comm.lateness import watch_loop


def block_the_loop(seconds: float) -> None:
    time.sleep(seconds)


@pytest.mark.parametrize(("limit", "told"), [("20 ms", True), ("3 s", False)])
def test_a_blocked_loop(caplog: pytest.LogCaptureFixture, limit: str, told: bool) -> None:
    async def main() -> None:
        settings = {"distributed.admin.tick.cycle": "10 ms", "distributed.admin.tick.limit": limit}
        with dask.config.set(settings):
            watching = asyncio.create_task(watch_loop("Worker"))
            await asyncio.sleep(0)
            block_the_loop(0.05)
            for _ in range(3):
                await asyncio.sleep(0)
        watching.cancel()
        await asyncio.wait([watching], timeout=5)

    caplog.set_level(logging.INFO, "shoal.core")
    run(main())
    assert ("Event loop was unresponsive in Worker for 0.0" in caplog.text) == told
