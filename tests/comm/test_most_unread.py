"""What waits for a peer is bounded in bytes, on every transport, however slowly the peer reads."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import dask
import pytest
from helpers import run, until

from shoal.comm import Comm, CommClosedError, MessageStream, connect, listen
from shoal.comm.inproc import InProc
from shoal.comm.sockets import SocketComm
from shoal.comm.weights import weight_of
from shoal.wire.blob import Blob, Buffer
from shoal.wire.codec import BatchCodec
from shoal.wire.messages import (
    Compute,
    DefineFunctions,
    KeysInMemory,
    Published,
    SchedulerToClient,
)

ADDRESSES = ["tcp://127.0.0.1:0", "ipc://", "inproc://"]
NEWS = Published("topic", [Blob(os.urandom(100_000))])  # not to be compressed


async def pair(address: str) -> tuple[Any, Comm, Comm]:
    accepted: asyncio.Future[Comm] = asyncio.get_running_loop().create_future()
    server = listen(address, accepted.set_result)
    await server.start()
    mine = await connect(server.contact_address)
    return server, mine, await accepted


def streamed(comm: Comm) -> tuple[MessageStream[Any], asyncio.Future[Any]]:
    codec: BatchCodec[Any] = BatchCodec(SchedulerToClient)
    stream: MessageStream[Any] = MessageStream(comm, sends=codec, receives=codec)
    ended: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    stream.start(lambda messages: None, ended.set_result)
    return stream, ended


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_deaf_peer_costs_so_many_bytes_and_is_dropped(address: str) -> None:
    async def main() -> None:
        with dask.config.set({"shoal.comm.most-unread": "3 MiB"}):
            server, mine, theirs = await pair(address)
        if isinstance(theirs, SocketComm):
            theirs.protocol._pause()
        stream, ended = streamed(mine)
        most = 0

        def more() -> bool:
            nonlocal most
            stream.send([NEWS])
            most = max(most, stream._waiting)
            return ended.done()

        await until(more)
        assert "does not read" in str(ended.result()) and "most-unread" in str(ended.result())
        assert most < 4 << 20
        theirs.abort()
        server.stop()

    run(main())


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_peer_that_dribbles_is_dropped_as_well(address: str) -> None:
    """It takes something all the time, and less than what comes."""

    async def main() -> None:
        with dask.config.set({"shoal.comm.most-unread": "3 MiB"}):
            server, mine, theirs = await pair(address)
        stream, ended = streamed(mine)
        taken = 0

        def more() -> bool:
            nonlocal taken
            stream.send([NEWS] * 40)
            if isinstance(theirs, SocketComm):
                protocol = theirs.protocol
                (protocol._pause if taken % 2 else protocol._resume)()
            elif isinstance(theirs, InProc) and theirs._inbox and taken % 4 == 0:
                theirs._inbox.popleft()
            taken += 1
            return ended.done()

        if isinstance(theirs, SocketComm):
            theirs.protocol.set_callbacks(lambda frames: None, lambda reason: None)
        await until(more)
        assert "does not read" in str(ended.result())
        theirs.abort()
        server.stop()

    run(main())


@pytest.mark.parametrize("address", ADDRESSES)
def test_who_reads_is_sent_more_than_may_wait(address: str) -> None:
    async def main() -> None:
        with dask.config.set({"shoal.comm.most-unread": "1 MiB"}):
            server, mine, theirs = await pair(address)
        stream, ended = streamed(mine)
        heard = 0
        codec: BatchCodec[Any] = BatchCodec(SchedulerToClient)
        other: MessageStream[Any] = MessageStream(theirs, sends=codec, receives=codec)

        def hear(messages: list[Any]) -> None:
            nonlocal heard
            heard += len(messages)

        other.start(hear, lambda reason: None)
        for sent in range(100):
            stream.send([NEWS])
            await until(lambda sent=sent: heard > sent - 3)
        await until(lambda: heard == 100)
        assert not ended.done()
        await stream.close()
        other.abort()
        server.stop()

    run(main())


def test_requests_in_one_process_are_bounded_too() -> None:
    async def main() -> None:
        with dask.config.set({"shoal.comm.most-unread": "1 MiB"}):
            server, mine, theirs = await pair("inproc://")
        with pytest.raises(CommClosedError, match="does not read: 1 MiB wait"):
            for _ in range(100):
                await mine.write({"op": "x", "data": bytes(100_000)})
        assert mine.closed()
        theirs.abort()
        server.stop()

    run(main())


def test_what_is_held_by_others_weighs_nothing() -> None:
    large = Buffer(bytes(10**6))
    task = Compute("x", 1, b"f", bytes(10**6), (0.0, 0, 0), 0.1, True, buffers=(large,))
    assert weight_of([task, DefineFunctions([b"f"], [Blob(bytes(10**6))])]) < 1000
    assert weight_of([Published("t", [Blob(b"", [large])])]) > 10**6
    assert weight_of([KeysInMemory(["x"] * 1000, ["int"] * 1000, [5] * 1000, [])]) > 10**5
    assert weight_of([{"op": "x", "data": bytes(1000)}]) > 1000
