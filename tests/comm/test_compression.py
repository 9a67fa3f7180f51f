"""Compression is agreed on, pays or is not done, and cannot be made a bomb."""

from __future__ import annotations

import mmap
import os
import struct
import sys
from typing import Any

import dask
import pytest
from helpers import run

from shoal.comm import Comm, compression, connect, listen
from shoal.comm.compression import available_compressions, compress_frames, decompress_frames
from shoal.errors import ProtocolError

CODECS = [*available_compressions(), "zlib"]
LIMIT = 2**40


@pytest.mark.parametrize("name", CODECS)
def test_frames_come_back(name: str) -> None:
    frames: list[Any] = [b"head", b"a" * 1_000_000, os.urandom(200_000), b""]
    packed = compress_frames(list(frames), name)
    assert sum(map(len, packed)) < 300_000
    assert [bytes(f) for f in decompress_frames(packed, name, LIMIT)] == frames


@pytest.mark.parametrize("name", CODECS)
def test_what_does_not_pay_stays_as_it_is(name: str) -> None:
    noise = os.urandom(300_000)
    packed = compress_frames([b"head", noise], name)
    assert any(frame is noise for frame in packed)


def test_it_is_on_for_tcp_between_hosts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async def compression_of(address: str) -> Any:
        async def handle(comm: Comm) -> None:
            await comm.write(getattr(comm, "compression", None))

        async with listen(address, handle) as listener:
            comm = await connect(listener.contact_address)
            theirs = await comm.read()
            assert theirs == getattr(comm, "compression", None)
            await comm.close()
            return theirs

    async def main() -> None:
        assert await compression_of("tcp://127.0.0.1:0") is None  # nothing is slower than memory
        hosts = iter("ab")
        monkeypatch.setattr(compression, "_host", lambda: next(hosts, "c"))
        assert await compression_of("tcp://127.0.0.1:0") == CODECS[0]
        monkeypatch.setattr(compression, "_host", lambda: "")  # nobody can tell
        assert await compression_of("tcp://127.0.0.1:0") == CODECS[0]
        assert await compression_of("ipc://") is None
        assert await compression_of("inproc://") is None
        with dask.config.set({"distributed.comm.compression": False}):
            assert await compression_of("tcp://127.0.0.1:0") is None
        with dask.config.set({"distributed.comm.compression": "zlib"}):
            assert await compression_of("tcp://127.0.0.1:0") == "zlib"

    run(main())


def test_a_compressed_bomb_is_refused() -> None:
    for name in CODECS:
        packed = compress_frames([b"head", b"\x00" * 20_000_000], name)
        with pytest.raises(ProtocolError, match="expands beyond"):
            decompress_frames(packed, name, 1_000_000)


def test_damaged_frames_are_protocol_errors() -> None:
    for name in CODECS:
        packed = compress_frames([b"head", b"a" * 1_000_000], name)
        damaged = [bytes(packed[0]), *[b"\xff" + struct.pack("<I", 7) for _ in packed[1:]]]
        with pytest.raises(ProtocolError):
            decompress_frames(damaged, name, LIMIT)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere so much memory is taken at once")
def test_what_is_too_large_for_a_codec_goes_as_it_is() -> None:
    huge = memoryview(mmap.mmap(-1, 2**31 + 5))  # none of it is touched, but for samples
    flags, same = compress_frames([huge], "lz4")
    assert not any(flags) and same is huge
