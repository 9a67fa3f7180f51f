"""A message that cannot be encoded fails alone; those beside it are sent."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest
from helpers import run

from shoal.comm.base import Comm
from shoal.comm.stream import MessageStream
from shoal.wire import messages as m
from shoal.wire.codec import BatchCodec


def test_a_message_that_cannot_be_encoded_fails_alone(caplog: pytest.LogCaptureFixture) -> None:
    odd = m.Graph(
        keys=["odd"],
        functions=[b"f"],
        args=[b"\x90"],
        options=[m.TaskOptions(annotations={"x": object()})],
    )
    failed: list[tuple[Any, Exception]] = []

    async def main() -> list[Any]:
        codec: BatchCodec[Any] = BatchCodec(m.ClientToScheduler)
        comm = cast("Comm", SimpleNamespace())
        stream: MessageStream[Any] = MessageStream(comm, sends=codec, receives=codec)
        stream.on_unsendable = lambda message, error: failed.append((message, error))
        frames = stream._encoded([m.Release(["a"]), odd, m.Release(["b"])])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return codec.decode(frames)

    with caplog.at_level(logging.ERROR, "shoal.comm"):
        assert run(main()) == [m.Release(["a"]), m.Release(["b"])]
    [(message, error)] = failed
    assert message is odd and "object" in str(error)
    assert "Graph" in caplog.text


def test_nothing_is_sent_where_no_message_can_be_encoded() -> None:
    # The peer takes a batch without messages for a broken protocol.
    sent: list[Any] = []

    class Frames:
        idle = True

    comm = cast(
        "Comm",
        SimpleNamespace(closed=lambda: False, write=sent.append, protocol=Frames()),
    )

    async def main() -> None:
        codec: BatchCodec[Any] = BatchCodec(m.ClientToScheduler)
        stream: MessageStream[Any] = MessageStream(comm, sends=codec, receives=codec)
        stream.send([m.Ask(1, "lock", "x", "acquire", [object()], [])])
        for _ in range(3):
            await asyncio.sleep(0)

    run(main())
    assert sent == []
