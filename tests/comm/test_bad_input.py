"""What anybody on the network may send: an error on both sides, a closed socket, and nothing
else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest
from helpers import run, until

from shoal.comm import Comm, connect
from shoal.comm.handshake import PROTOCOL_VERSION
from shoal.core import Server, rpc
from shoal.errors import HandshakeError, UnknownOperationError

PLENTY = 64 * 1024
GUESS = "fedcba9876543210" * 4


def add(x: int, y: int) -> int:
    return x + y


def fail() -> None:
    raise LookupError("the handler's own")


@contextlib.asynccontextmanager
async def serving(address: str = "tcp://127.0.0.1:0") -> AsyncIterator[Server]:
    """A server, and a check at the end that it still serves and grew by no more than a little."""
    process = psutil.Process()
    async with Server({"add": add, "fail": fail}) as server:
        await server.listen(address)
        async with rpc(server.address) as remote:
            assert await remote.add(x=1, y=2) == 3
            before = process.memory_info().rss
            yield server
            assert await remote.add(x=1, y=2) == 3
            assert process.memory_info().rss - before < 30e6


async def say(server: Server, data: bytes, wait: bool = True) -> bytes:
    """Send bytes as a stranger would; return what comes back until the server hangs up."""
    host, port = server.address.removeprefix("tcp://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        if not wait:
            writer.write_eof()
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def hello(
    version: int = PROTOCOL_VERSION, length: int = 5, body: bytes = b"", kind: int = 4
) -> bytes:
    return struct.pack("<6sHHH", b"SHOAL\n", version, kind, length) + body


@pytest.mark.parametrize(
    ("data", "logged"),
    [
        (b"\x00\xff" * 40, "does not speak shoal"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 80, "TLS"),
        (hello(length=2**16 - 1), "announced 65535 bytes"),
        (hello(version=99, length=0), "version 99"),
        (hello(length=5, body=b"\xc1\xc1\xc1\xc1\xc1"), "does not know the cluster's secret"),
        (hello(length=2000, body=b"\x91" * 2000), "does not know the cluster's secret"),
        (hello(length=0, kind=1), "the client does not encrypt"),
        (hello(length=0, kind=8), "a word of kind 8"),
    ],
    ids=["garbage", "http", "tls", "bomb", "version", "no-knock", "nested", "plain", "kind"],
)
def test_strangers_are_refused(data: bytes, logged: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving() as server:
            with caplog.at_level(logging.WARNING, "shoal.comm"):
                await say(server, data)
                await until(lambda: logged in caplog.text)

    run(main())


def test_an_http_request_gets_an_http_answer() -> None:
    async def main() -> None:
        async with serving() as server:
            answer = await say(server, b"GET / HTTP/1.1\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 400") and b"shoal" in answer

    run(main())


def test_before_the_handshake_little_is_read() -> None:
    """A stranger that sends without end is cut off, and its bytes are not kept."""

    async def main() -> None:
        async with serving() as server:
            host, port = server.address.removeprefix("tcp://").rsplit(":", 1)
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(hello(length=4000))
            with contextlib.suppress(ConnectionError):
                for _ in range(3000):
                    writer.write(b"\x00" * PLENTY)
                    await asyncio.wait_for(writer.drain(), 5)
                raise AssertionError("200 MB were taken")
            writer.close()

    async def patient() -> None:
        with contextlib.suppress(TimeoutError):
            await main()

    run(patient())


def test_a_wrong_secret(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serving() as server:
            with pytest.raises(HandshakeError, match="another cluster secret"):
                await connect(server.address, timeout=5, secret=GUESS)
            await until(lambda: "does not know the cluster's secret" in caplog.text)

    run(main())


def test_a_server_with_a_wrong_secret_learns_nothing() -> None:
    """The client proves itself only to a server that has proven itself."""

    async def main() -> None:
        async with Server({}) as server:
            await server.listen("tcp://127.0.0.1:0", secret=GUESS)
            with pytest.raises(HandshakeError, match="another cluster secret"):
                await connect(server.address, timeout=5, secret="0123456789abcdef" * 4)

    run(main())


async def _raw(comm: Comm, data: bytes) -> None:
    transport = comm.protocol.transport  # type: ignore[attr-defined]
    transport.write(data)


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<IQ", 1, 2**63),
        struct.pack("<IQ", 2**32 - 1, 1),
        struct.pack("<I", 0),
        struct.pack("<IQ", 1, 3) + b"\xc1\xc1\xc1",
        struct.pack("<IQQ", 2, 2**62, 2**62),
    ],
    ids=["length-2^63", "too-many-frames", "no-frames", "not-msgpack", "overflowing-sum"],
)
def test_members_that_send_nonsense_lose_their_connection_only(data: bytes) -> None:
    async def main() -> None:
        async with serving() as server:
            comm = await connect(server.address)
            await _raw(comm, data)
            with contextlib.suppress(OSError):
                answer = await asyncio.wait_for(comm.read(), 10)
                assert answer["status"] == "uncaught-error"
            comm.abort()

    run(main())


def test_a_truncated_message_ends_the_connection() -> None:
    async def main() -> None:
        async with serving() as server:
            comm = await connect(server.address)
            await _raw(comm, struct.pack("<IQ", 1, 1000) + b"half")
            await comm.close()
            await until(lambda: len(server._comms) <= 2)

    run(main())


def test_a_peer_that_stops_mid_message_takes_no_memory() -> None:
    """A length is a promise: memory is taken when the bytes come."""

    async def main() -> None:
        async with serving() as server:
            comms = [await connect(server.address) for _ in range(5)]
            for comm in comms:
                await _raw(comm, struct.pack("<IQ", 1, 2**33) + b"x")
            async with rpc(server.address) as remote:
                assert await remote.add(x=2, y=2) == 4
            for comm in comms:
                comm.abort()

    run(main())


def test_a_silent_stranger_is_cut_off_in_time() -> None:
    import dask

    async def main() -> None:
        with dask.config.set({"distributed.comm.timeouts.connect": "200ms"}):
            async with Server({}) as server:
                await server.listen("tcp://127.0.0.1:0")
                assert await say(server, b"") == b""

    run(main())


def test_errors_of_handlers_and_requests_are_answered() -> None:
    async def main() -> None:
        async with serving() as server, rpc(server.address) as remote:
            with pytest.raises(LookupError, match="the handler's own") as caught:
                await remote.fail()
            names = [entry.name for entry in caught.traceback]
            assert "fail" in names
            with pytest.raises(UnknownOperationError, match="no operation 'nope'; it has: add"):
                await remote.nope()
            with pytest.raises(TypeError, match=r"operation 'add'\(x: .*missing .* 'y'"):
                await remote.add(x=1)
            with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
                await remote.add(x=1, y=2, z=3)
            assert await remote.add(x=1, y=1) == 2

    run(main())


def test_requests_that_are_no_requests_are_answered() -> None:
    async def main() -> None:
        async with serving() as server:
            for message in ("text", 3, {}, {"op": 5}, ["op"]):
                comm = await connect(server.address)
                await comm.write(message)
                answer = await comm.read()
                assert "a request is a dict" in answer["text"]
                await comm.close()

    run(main())


def test_a_pickle_that_cannot_be_opened_is_answered() -> None:
    async def main() -> None:
        from shoal.wire.blob import Blob
        from shoal.wire.serialize import Serialized

        async with serving() as server:
            comm = await connect(server.address)
            bad: Any = Serialized(Blob(b"cnot_a_module\nname\n."))
            await comm.write({"op": "add", "x": bad, "y": 1})
            answer = await comm.read()
            assert "not_a_module" in answer["text"]
            await comm.close()

    run(main())


def test_ports_are_closed_to_other_users_of_the_host(tmp_path: Any) -> None:
    """A Unix socket is its owner's only, and asks for the secret as well."""
    import os
    import stat

    async def main() -> None:
        async with serving(f"ipc://{tmp_path}/s") as server:
            mode = os.stat(server.address.removeprefix("ipc://")).st_mode
            assert stat.S_IMODE(mode) == 0o600
            with pytest.raises(HandshakeError, match="secret"):
                await connect(server.address, timeout=5, secret=GUESS)

    run(main())


def test_a_taken_port_is_named() -> None:
    async def main() -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            async with Server({}) as server:
                with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
                    await server.listen(f"tcp://127.0.0.1:{port}")

    run(main())
