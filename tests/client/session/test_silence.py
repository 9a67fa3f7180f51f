"""A scheduler that is connected and says nothing is asked, and warned of once."""

from __future__ import annotations

import asyncio
import logging

import pytest
from helpers import run, until

from shoal.client.session.silence import SilenceWatch


def test_silence_is_asked_about_warned_of_and_over(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[asyncio.Future[None]] = []

    async def main() -> None:
        def ask() -> asyncio.Future[None]:
            asked.append(asyncio.get_running_loop().create_future())
            return asked[-1]

        watch = SilenceWatch("tcp://somewhere", ask, patience=0.02)
        watch.look()
        assert not asked  # it spoke a moment ago

        def looked() -> bool:
            watch.look()
            return bool(caplog.records)

        await until(looked)
        watch.look()
        assert len(asked) == len(caplog.records) == 1
        assert "tcp://somewhere has not answered" in caplog.text and "kill -CONT" in caplog.text
        asked[0].set_result(None)
        await until(lambda: "answers again" in caplog.text)
        watch.heard()
        assert len(caplog.records) == 2
        await until(lambda: watch.look() or len(asked) == 2)
        asked[1].set_exception(OSError("lost"))  # the stream tells of that
        await until(lambda: watch.look() or len(asked) == 3)
        watch.stop()
        await until(asked[2].cancelled)

    with caplog.at_level(logging.WARNING, "shoal.client"):
        run(main(), timeout=10)
