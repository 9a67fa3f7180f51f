"""Threads that write and read TLS connections themselves, also when they are interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import linecache
import select
import sys
from collections.abc import AsyncIterator, Callable
from types import FrameType
from typing import Any

import pytest
from helpers import run, until

from shoal.comm import Comm, CommClosedError, connect, listen
from shoal.comm.secure_direct import SecureDirect
from shoal.comm.sockets import SocketComm
from shoal.comm.thread_reader import can_read_in_threads

pytestmark = pytest.mark.skipif(not can_read_in_threads, reason="threads do not read here")


@contextlib.asynccontextmanager
async def pair() -> AsyncIterator[tuple[SocketComm, SocketComm]]:
    """Two ends of one connection, that of the client open to threads."""
    accepted: asyncio.Future[Comm] = asyncio.get_running_loop().create_future()
    async with listen("tcp://127.0.0.1:0", accepted.set_result) as server:
        mine = await connect(server.contact_address)
        theirs = await accepted
        assert isinstance(mine, SocketComm) and isinstance(theirs, SocketComm)
        mine.protocol.notify_when_sent(lambda: None)
        mine.protocol.open_direct()
        assert isinstance(mine.protocol.direct, SecureDirect)
        try:
            yield mine, theirs
        finally:
            await mine.close()
            await theirs.close()


def interrupted_at(line: int, function: Callable[[], Any]) -> tuple[bool, Any]:
    """Call a function, and raise in it before a line of `secure_direct`, as a signal would."""
    left = line

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal left
        if not frame.f_code.co_filename.endswith("/secure_direct.py"):
            return None
        # Signals are looked for at calls and jumps: not where a block begins or ends.
        source = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and not source.lstrip().startswith(("with ", "try:")):
            left -= 1
            if left < 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return False, function()
    except KeyboardInterrupt:
        return True, None
    finally:
        sys.settrace(before)


def batch(text: bytes) -> bytes:
    return b"\x01\x00\x00\x00" + len(text).to_bytes(8, "little") + text


def test_an_interrupted_thread_leaves_a_connection_that_goes_on() -> None:
    """Whatever it was doing: what it sent arrives once or not at all, and what follows arrives."""

    async def main() -> None:
        async with pair() as (mine, theirs):
            direct = mine.protocol.direct
            assert isinstance(direct, SecureDirect)
            came: list[bytes] = []
            theirs.protocol.set_callbacks(
                lambda frames: came.extend(bytes(frame) for frame in frames), lambda error: None
            )
            for line in range(1000):
                name, after = b"%d" % line, b"after %d" % line
                before = len(came)
                stopped, _ = interrupted_at(line, lambda name=name: direct.write(batch(name)))
                mine.protocol.send([after])
                await until(lambda after=after: after in came)
                assert came[before:] in ([after], [name, after])
                if not stopped:
                    assert came[before:] == [name, after]
                    break
            assert line > 5

    run(main())


@pytest.mark.parametrize("next_reader", ["a thread", "the loop"])
def test_what_an_interrupted_thread_was_reading_is_not_lost(next_reader: str) -> None:
    async def main() -> None:
        async with pair() as (mine, theirs):
            direct = mine.protocol.direct
            assert isinstance(direct, SecureDirect)
            came: list[bytes] = []
            mine.protocol.set_callbacks(
                lambda frames: came.extend(bytes(frame) for frame in frames), lambda error: None
            )
            arrival = select.poll()
            arrival.register(direct.fileno(), select.POLLIN)
            for line in range(1000):
                assert mine.protocol.pause_between_batches()
                name = b"%d" % line
                theirs.protocol.send([name])
                await until(lambda: bool(arrival.poll(0)))
                stopped, data = interrupted_at(line, lambda: direct.peek(16384))
                assert stopped or data == batch(name)
                if next_reader == "a thread":
                    assert direct.peek(16384) == batch(name)
                    direct.skip(len(batch(name)))
                    assert not direct.holds
                    mine.protocol.resume_reading()
                    assert came == []
                else:
                    mine.protocol.resume_reading()
                    await until(lambda: bool(came))
                    assert came == [name]
                    came.clear()
                if not stopped:
                    break
            assert line > 15
            theirs.protocol.send([b"goes on"])
            await until(lambda: came == [b"goes on"])

    run(main())


@pytest.mark.parametrize(
    "frames", [[b"one"], [b"\x00", b"what compression adds"], [b"", b"a", b"", b"b"]]
)
def test_small_batches_of_few_frames_are_written_and_read_by_threads(frames: list[bytes]) -> None:
    async def main() -> None:
        async with pair() as (mine, theirs):
            direct = mine.protocol.direct
            assert direct is not None and mine.protocol.send_directly(frames)
            came = [bytes(frame) for frame in await theirs.protocol.read()]
            assert came == frames
            assert mine.protocol.pause_between_batches()
            theirs.protocol.send(frames)
            arrival = select.poll()
            arrival.register(direct.fileno(), select.POLLIN)
            await until(lambda: bool(arrival.poll(0)))
            data = direct.peek(16384)
            assert mine.protocol.whole_batch(data) == frames
            for wrong in (data[:-1], data + b"x", data[:3], b"\x05\x00\x00\x00" + data[4:]):
                assert mine.protocol.whole_batch(wrong) is None
            direct.skip(len(data))
            mine.protocol.resume_reading()

    run(main())


def test_a_thread_that_reads_what_was_changed_breaks_the_connection() -> None:
    async def main() -> None:
        async with pair() as (mine, theirs):
            direct = mine.protocol.direct
            assert isinstance(direct, SecureDirect)
            assert mine.protocol.pause_between_batches()
            channel: Any = theirs.protocol.transport
            channel._transport.write(b"\x17\x03\x03\x00\x40" + bytes(64))
            arrival = select.poll()
            arrival.register(direct.fileno(), select.POLLIN)
            await until(lambda: bool(arrival.poll(0)))
            assert direct.peek(16384) == b"" and direct.holds
            mine.protocol.resume_reading()
            with pytest.raises(CommClosedError, match="changed on its way"):
                await mine.read()

    run(main())


def test_what_the_system_does_not_take_at_once_is_sent_by_the_loop() -> None:
    async def main() -> None:
        async with pair() as (mine, theirs):
            direct = mine.protocol.direct
            assert isinstance(direct, SecureDirect)
            theirs.protocol._pause()
            text = bytes(10_000)
            sent = 0
            while direct.write(batch(text)):
                sent += 1
            assert sent > 10 and direct.unsent and not mine.protocol.idle
            came: list[int] = []
            theirs.protocol.set_callbacks(
                lambda frames: came.extend(len(frame) for frame in frames), lambda error: None
            )
            theirs.protocol._resume()
            await until(lambda: len(came) == sent)
            assert set(came) == {10_000}
            await until(lambda: mine.protocol.idle)

    run(main())
