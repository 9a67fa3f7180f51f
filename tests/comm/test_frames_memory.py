"""The memory that large frames are received into."""

from __future__ import annotations

import asyncio
import ctypes
import sys
from pathlib import Path

import pytest

from shoal.comm import frames


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
