"""Peers that do not read, and sizes that are announced only."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import dask
import psutil
import pytest
from helpers import run, until

from shoal.comm import Comm, CommClosedError, MessageStream, connect, frames, listen, stream
from shoal.comm.sockets import SocketComm
from shoal.wire.codec import BatchCodec
from shoal.wire.messages import ClientToScheduler, Release, SchedulerToClient

ADDRESSES = ["tcp://127.0.0.1:0", "ipc://"]


async def pair(address: str) -> tuple[Any, SocketComm, SocketComm]:
    accepted: asyncio.Future[Comm] = asyncio.get_running_loop().create_future()
    server = listen(address, accepted.set_result)
    await server.start()
    mine = await connect(server.contact_address)
    theirs = await accepted
    assert isinstance(mine, SocketComm) and isinstance(theirs, SocketComm)
    return server, mine, theirs


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_peer_that_does_not_read_is_dropped(address: str) -> None:
    async def main() -> None:
        with dask.config.set({"shoal.comm.unread": "200ms"}):
            server, mine, theirs = await pair(address)
        theirs.protocol._pause()
        with pytest.raises(CommClosedError, match=r"not read for 0\.2 s"):
            while True:
                await mine.write(bytes(1 << 20))
        theirs.abort()
        server.stop()

    run(main())


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_peer_that_reads_slowly_is_not_dropped(address: str) -> None:
    """As long as it takes something now and then."""

    async def main() -> None:
        with dask.config.set({"shoal.comm.unread": "400ms"}):
            server, mine, theirs = await pair(address)
        loop = asyncio.get_running_loop()
        size, taken = 64 << 20, 0
        writing = asyncio.ensure_future(mine.write({"x": bytes(size)}))
        update = theirs.protocol.buffer_updated
        begin = loop.time()

        def slowly(nbytes: int) -> None:
            nonlocal taken
            taken += nbytes
            update(nbytes)
            if loop.time() < begin + 1.2 and taken > (loop.time() - begin) * 10e6:
                theirs.protocol._pause()
                loop.call_later(0.05, theirs.protocol._resume)

        theirs.protocol.buffer_updated = slowly  # type: ignore[method-assign]
        message = await theirs.read()
        assert len(message["x"]) == size
        await writing
        await mine.close()
        theirs.abort()
        server.stop()

    run(main())


def test_a_stream_for_which_much_waits_is_dropped_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_DEAF", 0.1)
    monkeypatch.setattr(stream, "_MOST_BATCHES", 3)

    async def main() -> None:
        server, mine, theirs = await pair("ipc://")
        theirs.protocol._pause()
        sent: MessageStream[Any] = MessageStream(
            mine, sends=BatchCodec(ClientToScheduler), receives=BatchCodec(SchedulerToClient)
        )
        ended = asyncio.get_running_loop().create_future()
        sent.start(lambda messages: None, ended.set_result)

        def more() -> bool:
            sent.send([Release(["key" * 100] * 4000)])
            return ended.done()

        await until(more)
        assert "messages wait for it" in str(ended.result())
        theirs.abort()
        server.stop()

    run(main())


def test_memory_is_taken_as_bytes_arrive_whatever_is_announced() -> None:
    """Four thousand frames of just under 1 MiB, and a count of frames without their lengths."""

    async def main() -> None:
        process = psutil.Process()
        count = 4000
        announced = struct.pack(f"<I{count}Q", count, *[(1 << 20) - 1] * count)
        counted = struct.pack("<I", frames.MAX_FRAMES) + bytes(1000)
        server = listen("tcp://127.0.0.1:0", lambda comm: None)
        await server.start()
        before = process.memory_info().rss
        comms = []
        for data in (announced, counted) * 20:
            comm = await connect(server.contact_address)
            assert isinstance(comm, SocketComm) and comm.protocol.transport is not None
            comm.protocol.transport.write(data + b"x" * 1000)
            await comm.protocol.drain()
            comms.append(comm)
        last = await connect(server.contact_address)  # what came before it has been looked at
        assert process.memory_info().rss - before < 60e6
        for comm in (*comms, last):
            comm.abort()
        server.stop()
        await until(lambda: frames._ahead == 0)

    run(main())


def test_a_message_of_more_buffers_than_the_peer_takes_is_refused_here() -> None:
    async def main() -> None:
        server, mine, theirs = await pair("ipc://")
        with pytest.raises(ValueError, match="the limit is 1048576"):
            mine.protocol.send([b""] * (frames.MAX_FRAMES + 1))
        await mine.close()
        theirs.abort()
        server.stop()

    run(main())
