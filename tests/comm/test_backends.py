"""One suite for all schemes: what is true of a connection whatever carries it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import dask
import numpy as np
import pytest
from helpers import run, until

from shoal.comm import Comm, CommClosedError, Listener, MessageStream, connect, listen
from shoal.core import Server, rpc
from shoal.security import Security
from shoal.wire.codec import BatchCodec
from shoal.wire.messages import (
    ClientToScheduler,
    KeysPending,
    Release,
    SchedulerToClient,
)

SCHEMES = [
    "tcp://127.0.0.1:0",
    "tcp://[::1]:0",
    "tcp://",
    "tls://127.0.0.1:0",
    "ipc://",
    "inproc://",
]
SECURITY = Security.temporary()


@pytest.fixture(params=SCHEMES)
def address(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def args(address: str) -> dict[str, Any]:
    return SECURITY.get_connection_args("client") if address.startswith("tls") else {}


def listener(address: str, handle: Callable[[Comm], Any], **more: Any) -> Listener:
    found = SECURITY.get_listen_args("scheduler") if address.startswith("tls") else {}
    return listen(address, handle, **found, **more)


async def echo(comm: Comm) -> None:
    with contextlib.suppress(CommClosedError):
        while True:
            await comm.write(await comm.read())


@contextlib.asynccontextmanager
async def connected(address: str, **more: Any) -> AsyncIterator[Comm]:
    async with listener(address, echo) as server:
        comm = await connect(server.contact_address, **args(address), **more)
        try:
            yield comm
        finally:
            await comm.close()


def test_objects_come_back_as_they_were(address: str) -> None:
    async def main() -> None:
        array = np.arange(300_000)
        message = {
            "op": "x",
            "none": None,
            "tuple": (1, "two"),
            "set": {1.5},
            "nested": [{"a": b"bytes"}],
            "big": 2**70,
            "array": array,
            "text": "é" * 100_000,
        }
        async with connected(address) as comm:
            await comm.write(message)
            answer = await comm.read()
        assert (answer.pop("array") == array).all()
        message.pop("array")
        assert answer == message

    run(main())


def test_what_is_read_may_be_written_to(address: str) -> None:
    async def main() -> None:
        async with connected(address) as comm:
            await comm.write(np.zeros(1_000_000))
            answer = await comm.read()
            answer[0] = 1
            assert answer[0] == 1

    run(main())


def test_many_messages_keep_their_order(address: str) -> None:
    async def main() -> None:
        async with connected(address) as comm:

            async def write() -> None:
                for i in range(500):
                    await comm.write([i, b"x" * (i * 97 % 9000)])

            writing = asyncio.ensure_future(write())
            got = [await comm.read() for _ in range(500)]
            await writing
            assert [i for i, _ in got] == list(range(500))

    run(main())


def test_reading_from_a_closed_peer_raises(address: str) -> None:
    async def main() -> None:
        async def hang_up(comm: Comm) -> None:
            await comm.write("bye")
            await comm.close()

        async with listener(address, hang_up) as server:
            comm = await connect(server.contact_address, **args(address))
            assert await comm.read() == "bye"
            with pytest.raises(CommClosedError):
                await comm.read()
            assert comm.closed()
            with pytest.raises(CommClosedError):
                for _ in range(1000):
                    await comm.write(b"x" * 100_000)
            await comm.close()

    run(main())


def test_abort_ends_a_read_at_the_other_end(address: str) -> None:
    async def main() -> None:
        ended = asyncio.Event()

        async def wait(comm: Comm) -> None:
            with pytest.raises(CommClosedError):
                await comm.read()
            ended.set()

        async with listener(address, wait) as server:
            comm = await connect(server.contact_address, **args(address))
            comm.abort()
            assert comm.closed()
            await asyncio.wait_for(ended.wait(), 5)

    run(main())


def test_addresses_say_who_and_where(address: str) -> None:
    async def main() -> None:
        seen: list[Comm] = []

        async def keep(comm: Comm) -> None:
            seen.append(comm)
            with contextlib.suppress(CommClosedError):
                await comm.read()

        async with listener(address, keep) as server:
            scheme = address.split("://")[0]
            assert server.listen_address.startswith(f"{scheme}://")
            comm = await connect(server.contact_address, **args(address))
            await until(lambda: seen)
            assert comm.peer_address == server.contact_address
            assert comm.local_address.startswith(f"{scheme}://")
            assert seen[0].peer_address.startswith(f"{scheme}://")
            if scheme == "tls":
                assert isinstance(comm.extra_info["peercert"], dict)
            await comm.close()

    run(main())


def test_an_address_without_a_listener_times_out_and_says_so(address: str) -> None:
    async def main() -> None:
        async with listener(address, echo) as server:
            gone = server.contact_address
        with pytest.raises(OSError, match=r"Timed out trying to connect to .* after 0\.2 s"):
            await connect(gone, timeout=0.2, **args(address))

    run(main())


def test_typed_streams_both_ways(address: str) -> None:
    async def main() -> None:
        ends: list[Any] = []

        async def serve(comm: Comm) -> None:
            stream: MessageStream[Any] = MessageStream(
                comm, sends=BatchCodec(SchedulerToClient), receives=BatchCodec(ClientToScheduler)
            )
            ends.append(stream)
            stream.start(
                lambda messages: stream.send([KeysPending(m.keys) for m in messages]), ends.append
            )

        async with listener(address, serve) as server:
            got: list[Any] = []
            closed: list[Any] = []
            stream: MessageStream[Any] = MessageStream(
                await connect(server.contact_address, **args(address)),
                sends=BatchCodec(ClientToScheduler),
                receives=BatchCodec(SchedulerToClient),
            )
            stream.start(got.extend, closed.append)
            for i in range(1000):
                stream.send([Release([str(i)])])
            await until(lambda: len(got) == 1000)
            assert [m.keys for m in got] == [[str(i)] for i in range(1000)]
            await stream.close()
            await until(lambda: len(ends) == 2)

    run(main())


def test_no_batch_is_much_larger_than_others_need_time(address: str) -> None:
    """What was sent in one turn leaves in parts, in order; one call's messages stay together."""

    async def main() -> None:
        batches: list[list[Any]] = []

        async def serve(comm: Comm) -> None:
            stream: MessageStream[Any] = MessageStream(
                comm, sends=BatchCodec(SchedulerToClient), receives=BatchCodec(ClientToScheduler)
            )
            stream.start(batches.append, lambda reason: None)

        async with listener(address, serve) as server:
            stream: MessageStream[Any] = MessageStream(
                await connect(server.contact_address, **args(address)),
                sends=BatchCodec(ClientToScheduler),
                receives=BatchCodec(SchedulerToClient),
            )
            stream.start(lambda messages: None, lambda reason: None)
            for i in range(30):
                stream.send([Release([str(i)]), Release([str(i)] * 1000)])
            await until(lambda: sum(map(len, batches)) == 60)
            firsts = [m.keys for batch in batches for m in batch if len(m.keys) == 1]
            assert firsts == [[str(i)] for i in range(30)]
            assert max(map(len, batches)) == 8 and {len(batch) % 2 for batch in batches} == {0}
            for i in range(30):
                stream.send([Release([str(i)] * 1000)])
            await stream.close()  # sends all of it
            await until(lambda: sum(map(len, batches)) == 90)

    run(main())


def test_a_stream_tells_that_its_peer_is_gone(address: str) -> None:
    async def main() -> None:
        async def hang_up(comm: Comm) -> None:
            comm.abort()

        async with listener(address, hang_up) as server:
            closed: list[Any] = []
            stream: MessageStream[Any] = MessageStream(
                await connect(server.contact_address, **args(address)),
                sends=BatchCodec(ClientToScheduler),
                receives=BatchCodec(SchedulerToClient),
            )
            stream.start(lambda messages: None, closed.append)
            await until(lambda: closed)
            assert stream.closed
            stream.send([Release(["x"])])  # dropped, not an error

    run(main())


def test_inproc_hands_objects_over() -> None:
    async def main() -> None:
        thing = object()
        async with connected("inproc://") as comm:
            await comm.write({"thing": thing})
            assert (await comm.read())["thing"] is thing

    run(main())


def test_large_buffers_are_not_copied_on_the_way_out() -> None:
    from shoal.wire.blob import Blob
    from shoal.wire.open_codec import encode
    from shoal.wire.pickling import dumps

    array = np.arange(1_000_000)
    frames = encode({"data": dumps(array)})
    assert any(
        isinstance(frame, memoryview) and np.shares_memory(np.frombuffer(frame, "i8"), array)
        for frame in frames
    )
    assert isinstance(dumps(array), Blob)


def test_tls_and_plain_do_not_mix() -> None:
    async def main() -> None:
        async with listener("tls://127.0.0.1:0", echo) as server:
            plain = server.contact_address.replace("tls", "tcp")
            with pytest.raises(OSError, match="TLS"):
                await connect(plain, timeout=5)
        async with listener("tcp://127.0.0.1:0", echo) as server:
            encrypted = server.contact_address.replace("tcp", "tls")
            with pytest.raises(OSError, match="TLS"):
                await connect(encrypted, timeout=5, **args("tls"))

    run(main())


def test_certificates_of_another_cluster_are_refused() -> None:
    async def main() -> None:
        async with listener("tls://127.0.0.1:0", echo) as server:
            other = Security.temporary().get_connection_args("client")
            with pytest.raises(OSError, match="certificate"):
                await connect(server.contact_address, timeout=5, **other)

    run(main())


def test_required_encryption_is_satisfied_by_the_secret_of_tcp() -> None:
    args = Security(require_encryption=True).get_listen_args("worker")

    async def main() -> None:
        async with listener("tcp://127.0.0.1:0", echo, **args) as server:
            comm = await connect(server.contact_address, **args)
            await comm.close()

    run(main())


def test_required_encryption_is_heeded_by_servers_and_calls_without_a_security() -> None:
    async def main() -> None:
        plain = {"shoal.comm.encryption": False}
        required = {**plain, "distributed.comm.require-encryption": True}
        with dask.config.set(plain):
            server = Server({"ping": lambda: "pong"})
            await server.listen("tcp://127.0.0.1:0")
        with dask.config.set(required):
            with pytest.raises(RuntimeError, match="encryption is required"):
                await Server({}).listen("tcp://127.0.0.1:0")
            remote = rpc(server.address)
            with pytest.raises(RuntimeError, match="encryption is required"):
                await remote.ping()
            await remote.close_rpc()
        await server.close()

    run(main())


@pytest.mark.parametrize("certificates", [True, False])
def test_required_encryption_refuses_other_tcp(certificates: bool) -> None:
    """With certificates it is those that are meant; and encryption may be off."""
    security = SECURITY if certificates else Security(require_encryption=True)

    async def main() -> None:
        with dask.config.set({"shoal.comm.encryption": certificates}):
            with pytest.raises(RuntimeError, match="encryption is required"):
                await connect("tcp://127.0.0.1:1", **security.get_connection_args("client"))
            with pytest.raises(RuntimeError, match="encryption is required"):
                listen("tcp://127.0.0.1:0", echo, **security.get_listen_args("worker"))

    run(main())


def test_tls_without_certificates_says_what_is_missing() -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="Security"):
            await connect("tls://127.0.0.1:1")

    run(main())


def test_tls_context_demands_a_certificate() -> None:
    context = SECURITY.get_listen_args("scheduler")["ssl_context"]
    assert context.verify_mode is ssl.CERT_REQUIRED
