"""Batches that are nearly right: refused or decoded, in memory that arrived bytes explain."""

from __future__ import annotations

import asyncio
import random
import struct
from typing import Any

from helpers import run

from shoal.comm.frames import FrameProtocol
from shoal.errors import ProtocolError
from shoal.wire import messages as m
from shoal.wire import open_codec
from shoal.wire.blob import Blob, Buffer
from shoal.wire.codec import BatchCodec

NUMBER = 3000
CODEC: BatchCodec[Any] = BatchCodec(m.ClientToScheduler)


class _Transport(asyncio.Transport):
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is written."""

    def abort(self) -> None:
        """Nothing is open."""

    def pause_reading(self) -> None:
        """Bytes are pushed in all the same."""


def batches() -> list[bytes]:
    """Return batches of each kind, as they travel."""
    typed: list[Any] = CODEC.encode(
        [
            m.ClientHello("me", None, {}, False, []),
            m.DefineFunctions([b"f" * 16], [Blob(b"f", [Buffer(bytes(70_000))])]),
            m.Graph(keys=["x", "y"], functions=[b"f" * 16], args=[b"a", b"b"], deps=[[], [0]]),
        ]
    )
    asked: list[Any] = open_codec.encode(
        {"op": "x", "data": Blob(b"p", [Buffer(b"q" * 9000)]), "more": {"a": (1, {2}, [None])}}
    )
    found = []
    for frames in (typed, asked):
        sizes = [memoryview(frame).nbytes for frame in frames]
        header = struct.pack(f"<I{len(frames)}Q", len(frames), *sizes)
        found.append(b"".join((header, *map(bytes, frames))))
    return found


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Return something that is nearly the same; mostly in the lengths and in the msgpack."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(min(len(changed), chance.choice((28, 400, 10**6))))
        kind = chance.randrange(6)
        if kind == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[at] = chance.choice((0x91, 0xDC, 0xDD, 0xC9, 0xC7, 0xFF, 0x00, 0xDF))
        elif kind == 2:
            del changed[at : at + chance.choice((1, 8, 100))]
        elif kind == 3:
            changed[at:at] = chance.choice((b"\x91", b"\xff" * 8, b"\xdd\xff\xff\xff\xff"))
        elif kind == 4:
            changed[at : at + 8] = struct.pack("<Q", chance.choice((0, 1, 2**20 - 1, 2**40)))
        else:
            changed[at:at] = b"\x91" * 2000  # deeply nested
        changed = changed or bytearray(1)
    return bytes(changed)


def decoded(frames: list[Any]) -> int:
    """Decode a batch both ways; return how many of these refused it."""
    refused = 0
    for decode in (CODEC.decode, lambda f: open_codec.decode(f, deserialize=False)):
        try:
            decode(frames)
        except ProtocolError:
            refused += 1
    return refused


def test_mutated_batches_are_refused_or_decoded() -> None:
    async def main() -> None:
        chance = random.Random(7)
        good = batches()
        delivered = failed = 0
        for _ in range(NUMBER):
            protocol = FrameProtocol(1 << 24)
            protocol.connection_made(_Transport())
            protocol.begin_frames()
            got: list[Any] = []
            protocol.set_callbacks(got.append, lambda reason: None)
            data = mutate(chance.choice(good), chance)
            while data and not protocol.closed:
                view = protocol.get_buffer(-1)
                part = data[: min(len(view), chance.choice((1, 100, 10**6)))]
                view[: len(part)] = part
                protocol.buffer_updated(len(part))
                data = data[len(part) :]
            assert len(protocol._buffer) <= 1 << 20  # whatever was announced
            failed += protocol.closed
            for frames in got:
                delivered += 1
                decoded(frames)  # raises what is no ProtocolError
            protocol.connection_lost(None)
        assert delivered > NUMBER / 4 and failed > NUMBER / 20

    run(main(), timeout=55)
