"""Alarms on both kinds of loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from shoal._base.alarm import Alarm


def uvloop_loop() -> asyncio.AbstractEventLoop:
    return pytest.importorskip("uvloop").new_event_loop()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop_loop])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, None]], None]:
    def run(main: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main)

    return run


@pytest.mark.parametrize("away", [0.0, 1e-4, 2e-3])
def test_it_rings_at_the_earliest_deadline_and_once(run: Any, away: float) -> None:
    """uvloop's handle of a deadline that is near does not know it."""

    async def main() -> None:
        rung: list[None] = []
        heard = asyncio.Event()

        def ring() -> None:
            rung.append(None)
            heard.set()

        loop = asyncio.get_running_loop()
        alarm = Alarm(ring)
        for later in (1000.0, away, away + 1e-5, 2000.0):
            alarm.set(loop.time() + later)
        await heard.wait()
        await asyncio.sleep(0)
        assert len(rung) == 1

    run(main())


def test_it_is_turned_off_and_set_again(run: Any) -> None:
    async def main() -> None:
        rung = asyncio.Event()
        loop = asyncio.get_running_loop()
        alarm = Alarm(rung.set)
        alarm.off()
        alarm.set(None)
        alarm.set(loop.time())
        alarm.set(None)
        alarm.set(loop.time() + 1e-4)
        alarm.off()
        other = asyncio.Event()
        Alarm(other.set).set(loop.time() + 1e-3)
        await other.wait()
        assert not rung.is_set()
        alarm.set(loop.time())
        await rung.wait()

    run(main())
