"""The memory that large frames are received into."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from pathlib import Path

import pytest

from shoal.comm import frames
from shoal.comm.batches import IS_BYTES
from shoal.comm.mapping import BYTES_FROM, can_receive_bytes
from shoal.wire.blob import Blob, Buffer, BytesLike
from shoal.wire.pickling import dumps, loads


async def _taken(size: int) -> memoryview:
    protocol = frames.FrameProtocol(1 << 30)
    memory = protocol._memory(size)
    protocol._arrived()
    return memory


@pytest.mark.parametrize("size", [0, 1, frames._MAP_FROM - 1, frames._MAP_FROM, 5 << 20])
def test_it_is_as_long_as_asked_for_empty_and_writable(size: int) -> None:
    memory = asyncio.run(_taken(size))
    assert len(memory) == size and not any(memory[:100])
    memory[:3] = b"abc"[: min(3, size)]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_forked_child_does_not_share_it() -> None:
    memory = asyncio.run(_taken(frames._MAP_FROM))
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, access, *_ = line.split()
        start, stop = (int(number, 16) for number in span.split("-"))
        if start <= address < stop:
            assert access == "rw-p"
            break
    else:
        pytest.fail("it is not mapped")


def _feed(protocol: frames.FrameProtocol, data: bytes | memoryview) -> None:
    while data:
        buffer = protocol.get_buffer(-1)
        count = min(len(buffer), len(data), 256 * 1024)
        buffer[:count] = data[:count]
        data = data[count:]
        protocol.buffer_updated(count)


def _sent(parts: list[bytes | memoryview]) -> list[bytes | memoryview]:
    """Return what a connection writes for a batch."""

    class Transport(asyncio.Transport):
        def __init__(self) -> None:
            self.written: list[bytes | memoryview] = []

        def write(self, data: bytes | memoryview) -> None:  # type: ignore[override]
            self.written.append(data)

        def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
            pass

    protocol = frames.FrameProtocol(1 << 30)
    transport = Transport()
    protocol.connection_made(transport)
    protocol.send(parts)
    return transport.written


@pytest.mark.skipif(not can_receive_bytes, reason="CPython on Linux only")
def test_large_bytes_are_bytes_at_the_other_end_too() -> None:
    async def main() -> None:
        value = os.urandom(BYTES_FROM + 4097)
        writable = bytearray(value)
        written = _sent([b"head", memoryview(value), memoryview(writable), memoryview(value)[1:]])
        got: list[list[BytesLike]] = []
        protocol = frames.FrameProtocol(1 << 30)
        protocol.begin_frames()
        protocol.set_callbacks(got.append, lambda reason: None)
        for data in [*written, *_sent([b"next", b"batch"])]:
            _feed(protocol, data)
        (first, second) = got
        assert list(map(type, first)) == [memoryview, bytes, memoryview, memoryview]
        assert first[0] == b"head" and first[1] == value and first[2] == value
        assert first[3] == value[1:]
        assert second == [b"next", b"batch"]
        # What is unpickled of it is the same object: nothing is copied any more.
        assert loads(Blob(dumps(value).data, [Buffer(first[1])])) is first[1]
        assert not protocol._bytes

    asyncio.run(main())


@pytest.mark.skipif(not can_receive_bytes, reason="looks into /proc")
def test_bytes_that_were_announced_take_memory_as_they_arrive() -> None:
    async def main() -> None:
        protocol = frames.FrameProtocol(1 << 40)
        protocol.begin_frames()
        size = 8 << 30
        header = (2).to_bytes(4, "little") + (1).to_bytes(8, "little")
        before = _resident()
        _feed(protocol, header + (size | IS_BYTES).to_bytes(8, "little") + b"x" * (1 << 20))
        assert _resident() - before < 3 << 20
        protocol.connection_lost(None)

    asyncio.run(main())


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
