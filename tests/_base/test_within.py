"""`within`: limits, and cancellations that are never forgotten."""

from __future__ import annotations

import asyncio

import pytest
from helpers import run

from shoal._base.within import within


def test_what_takes_longer_is_cancelled() -> None:
    async def main() -> None:
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with pytest.raises(TimeoutError):
            await within(never, 0.001)
        assert never.cancelled()
        with pytest.raises(TimeoutError):
            await within(asyncio.Event().wait(), 0)
        assert await within(asyncio.sleep(0, "done"), 60) == "done"
        assert await within(asyncio.sleep(0, "done"), None) == "done"

    run(main(), timeout=5)


def test_no_time_takes_what_is_done() -> None:
    async def main() -> None:
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        done.set_result(1)
        assert await within(done, 0) == 1

    run(main(), timeout=5)


def test_a_cancellation_in_the_turn_in_which_it_ends_is_not_forgotten() -> None:
    async def main() -> None:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def keep_alive() -> None:
            await within(answer, 60)
            await asyncio.Event().wait()  # as if nobody had cancelled it

        task = asyncio.create_task(keep_alive())
        await asyncio.sleep(0)
        answer.set_result(1)
        task.cancel()
        assert await asyncio.wait([task], timeout=2) == ({task}, set())
        assert task.cancelled()

    run(main(), timeout=5)
