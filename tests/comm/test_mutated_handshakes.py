"""Handshakes that are nearly right: refused one by one, and everybody else is served."""

from __future__ import annotations

import asyncio
import contextlib
import random

import psutil
import pytest
from helpers import run, until

from shoal.comm import Comm, CommClosedError, connect, listen
from shoal.comm.frames import FrameProtocol
from shoal.comm.handshake import Terms, introduce
from shoal.comm.keys import keys_of
from shoal.comm.secret import cluster_secret

NUMBER = 3000


async def echo(comm: Comm) -> None:
    with contextlib.suppress(CommClosedError):
        while True:
            await comm.write(await comm.read())


class _Recorder(asyncio.Transport):
    """Keeps what would be sent."""

    def __init__(self) -> None:
        super().__init__()
        self.said = b""

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.said += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


async def first_words(protection: str, dialed: str) -> bytes:
    """Return what a member says first."""
    protocol = FrameProtocol(1 << 20)
    recorder = _Recorder()
    protocol.connection_made(recorder)
    keys = keys_of(cluster_secret())
    terms = Terms(keys, "client", protection, ["lz4", "zlib"])
    speaking = asyncio.ensure_future(introduce(protocol, terms, keys[0], dialed, dialed))
    await until(lambda: bool(recorder.said))
    speaking.cancel()
    await asyncio.gather(speaking, return_exceptions=True)
    return recorder.said


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Return something that is nearly the same."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        at = chance.randrange(len(found)) if found else 0
        kind = chance.randrange(6)
        if kind == 0 and found:
            found[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del found[at:]
        elif kind == 2:
            found[at:at] = chance.randbytes(chance.choice((1, 4, 100, 5000)))
        elif kind == 3:
            found[at : at + 4] = chance.choice((b"\xff" * 4, b"\x00" * 4, b"\x91" * 4))
        elif kind == 4:
            found += found[at:]
        else:
            found[at:at] = b"\x91" * chance.choice((1, 1000))
    return bytes(found)


@pytest.mark.timeout(300)
def test_mutated_handshakes_are_refused_and_cost_nothing() -> None:
    async def main() -> None:
        chance = random.Random(14)
        process = psutil.Process()
        async with (
            listen("tcp://127.0.0.1:0", echo) as server,
            listen("ipc://", echo) as local,
        ):
            host, port = server.contact_address.removeprefix("tcp://").rsplit(":", 1)
            good = [
                await first_words("tls", server.contact_address),
                await first_words("local", local.contact_address),
            ]
            members = [await connect(each.contact_address) for each in (server, local)]
            before = process.memory_info().rss

            async def stranger(which: int) -> None:
                data = mutate(good[which], chance)
                if which == 0:
                    _, writer = await asyncio.open_connection(host, int(port))
                else:
                    path = local.contact_address.removeprefix("ipc://")
                    _, writer = await asyncio.open_unix_connection(path)
                writer.write(data)
                with contextlib.suppress(OSError):
                    writer.write_eof()
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

            for count in range(0, NUMBER, 20):
                await asyncio.gather(*(stranger(each % 2) for each in range(20)))
                if count % 500 == 0:
                    for member in members:
                        await member.write(count)
                        assert await member.read() == count
            doors = [each._handshakes for each in (server, local)]  # type: ignore[attr-defined]
            await until(lambda: not any(map(len, doors)))
            assert process.memory_info().rss - before < 20e6
            for member in members:
                await member.close()

    run(main(), timeout=280)
