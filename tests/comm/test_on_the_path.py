"""Who is on the path between two members, or in the place of one: with real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import dask
import pytest
from helpers import run

from shoal import Client, Scheduler, Security, Worker, worker_client
from shoal.comm import Comm, CommClosedError, MessageStream, certificates, connect, listen, sockets
from shoal.comm.certificates import export_role
from shoal.comm.keys import keys_of
from shoal.comm.secret import Secret, cluster_secret, new_secret
from shoal.core import Server, rpc
from shoal.errors import HandshakeError
from shoal.wire import messages as m
from shoal.wire.codec import BatchCodec

Change = Callable[[bytes], bytes]


class _Pipe(asyncio.Protocol):
    """One end of a connection through a proxy."""

    def __init__(self, seen: bytearray, change: Change, other: _Pipe | None = None) -> None:
        self.seen, self.change, self.other = seen, change, other
        self.transport: asyncio.Transport | None = None
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        for data in self.early:
            transport.write(data)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.seen.extend(data)
        assert self.other is not None
        if self.other.transport is None:
            self.other.early.append(self.change(data))
        else:
            self.other.transport.write(self.change(data))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


@contextlib.asynccontextmanager
async def proxy(
    target: str, upward: Change = bytes, downward: Change = bytes
) -> AsyncIterator[tuple[str, bytearray]]:
    """Stand before an address; change what passes each way, and keep a copy of all of it."""
    host, port = target.removeprefix("tcp://").rsplit(":", 1)
    loop = asyncio.get_running_loop()
    seen = bytearray()
    pipes: list[_Pipe] = []

    def accepted() -> _Pipe:
        inner = _Pipe(seen, downward)
        outer = _Pipe(seen, upward, inner)
        inner.other = outer
        pipes.extend((outer, inner))
        tasks.append(loop.create_task(loop.create_connection(lambda: inner, host, int(port))))
        return outer

    tasks: list[asyncio.Task[Any]] = []
    server = await loop.create_server(accepted, "127.0.0.1", 0)
    try:
        yield f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen
    finally:
        server.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in pipes:
            if each.transport is not None:
                each.transport.abort()
        await asyncio.sleep(0)


async def echo(comm: Comm) -> None:
    with contextlib.suppress(CommClosedError):
        while True:
            await comm.write(await comm.read())


def args(role: str, *expected: str) -> dict[str, Any]:
    return Security().get_connection_args(role, *expected)


def test_a_relay_to_the_workers_own_port_gets_no_connection() -> None:
    """Somebody squats the port of a dead scheduler, and leads the worker to itself."""

    async def main() -> None:
        answered = []

        async def taken(comm: Comm) -> None:
            answered.append(comm)

        async with (
            listen("tcp://127.0.0.1:0", taken, **Security().get_listen_args("worker")) as own,
            proxy(own.contact_address) as (squatted, _),
        ):
            with pytest.raises(HandshakeError, match="a worker answers there, not a scheduler"):
                await connect(squatted, timeout=5, **args("worker", "scheduler"))
            with pytest.raises(HandshakeError, match="not where this worker listens"):
                await connect(squatted, timeout=5, **args("worker"))
        assert answered == []

    run(main())


def test_one_worker_is_not_taken_for_another() -> None:
    async def main() -> None:
        also: list[str] = []
        async with (
            listen("tcp://127.0.0.1:0", echo, also_at=also, **args("worker")) as one,
            proxy(one.contact_address) as (other, _),
        ):
            with pytest.raises(HandshakeError, match="contact_address"):
                await connect(other, timeout=5, **args("client"))
            also.append(other)  # a forwarded port
            comm = await connect(other, timeout=5, **args("client"))
            await comm.close()

    run(main())


def test_a_squatter_without_the_secret_gets_nothing() -> None:
    """Whatever it answers: it is not believed, and it learns nothing that it could use."""
    said = bytearray()

    async def squatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said.extend(await reader.read(65536))
        writer.write(bytes(said))  # what came, back to its sender
        said.extend(await reader.read(65536))
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(squatter, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(OSError, match="handshake"):
            await connect(f"tcp://127.0.0.1:{port}", timeout=5, **args("worker", "scheduler"))
        server.close()
        # What it heard is of no use with the true scheduler: that begins TLS, and proves nothing.
        async with listen("tcp://127.0.0.1:0", echo, **args("scheduler")) as true:
            host, target = true.contact_address.removeprefix("tcp://").rsplit(":", 1)
            reader, writer = await asyncio.open_connection(host, int(target))
            writer.write(bytes(said))
            heard = await reader.read(65536)
            assert heard[0] == 0x16 and heard[5] == 1  # a ClientHello: no certificate, no proof
            writer.write(heard)
            with contextlib.suppress(OSError):
                assert (await reader.read(65536))[:1] in (b"", b"\x15")  # an alert
            writer.close()

    run(main())


def test_the_side_that_accepts_says_nothing_to_who_has_proven_nothing() -> None:
    async def main() -> None:
        async with listen("tcp://127.0.0.1:0", echo) as server:
            host, port = server.contact_address.removeprefix("tcp://").rsplit(":", 1)
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"SHOAL\n\x02\x00\x04\x00\x30\x00" + bytes(48))
            answer = await reader.read(65536)
            writer.close()
            assert answer == b"SHOAL\n\x02\x00\x09\x00\x01\x00\x01"  # another secret: one byte

    run(main())


def test_what_is_injected_or_changed_ends_the_connection() -> None:
    async def main() -> None:
        for inject in (lambda data: data + b"\x17\x03\x03\x00\x20" + bytes(32), _flip):
            passing = [True]

            def change(data: bytes, how: Change = inject, passing: list[bool] = passing) -> bytes:
                return data if passing[0] else how(data)

            async with Server({}) as server:
                await server.listen("tcp://127.0.0.1:0", **args("scheduler"))
                async with proxy(server.address, upward=change) as (address, _):
                    comm = await connect(address, timeout=5, **args("client", "scheduler"))
                    await comm.write({"op": "echo", "data": 1})
                    assert await comm.read() == 1
                    passing[0] = False
                    await comm.write({"op": "echo", "data": 2})
                    with contextlib.suppress(OSError):
                        await comm.read()
                        await comm.write({"op": "echo", "data": 3})
                        await comm.read()
                        raise AssertionError("the connection goes on")
                    comm.abort()

    run(main())


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def test_a_changed_knock_is_noticed() -> None:
    async def main() -> None:
        async with (
            listen("tcp://127.0.0.1:0", echo, **args("scheduler")) as server,
            proxy(server.contact_address, upward=_flip) as (address, _),
        ):
            with pytest.raises(HandshakeError, match="another cluster secret"):
                await connect(address, timeout=5, **args("client", "scheduler"))

    run(main())


def secret_word(value: str) -> str:
    return value[::-1]


@pytest.mark.parametrize("encryption", [True, False])
def test_a_capture_holds_neither_keys_nor_values_nor_names(encryption: bool) -> None:
    """Without encryption it holds all three, which shows that the capture works."""

    async def main() -> None:
        async with (
            Scheduler(host="tcp://127.0.0.1:0", dashboard=False) as scheduler,
            proxy(scheduler.address) as (address, seen),
            Worker(address, nthreads=1, host="127.0.0.1"),
            Client(address, asynchronous=True) as client,
        ):
            future = client.submit(secret_word, "a-value", key="the-key-name")
            assert await future == "eulav-a"
        for word in (b"the-key-name", b"a-value", b"eulav-a", b"secret_word"):
            assert (word in seen) is not encryption

    with dask.config.set({"shoal.comm.encryption": encryption}):
        run(main())


def test_processes_with_different_protection_say_so() -> None:
    async def main() -> None:
        with dask.config.set({"shoal.comm.encryption": False}):
            plain = listen("tcp://127.0.0.1:0", echo)
            await plain.start()
        async with listen("tcp://127.0.0.1:0", echo) as encrypted:
            with pytest.raises(HandshakeError, match=r"'shoal\.comm\.encryption' must be the same"):
                await connect(plain.contact_address, timeout=5)
            with (
                dask.config.set({"shoal.comm.encryption": False}),
                pytest.raises(HandshakeError, match=r"'shoal\.comm\.encryption' must be the same"),
            ):
                await connect(encrypted.contact_address, timeout=5)
        plain.stop()

    run(main())


def test_several_secrets_let_a_cluster_change_them_on_the_way() -> None:
    """Who has both is understood by who has one, whichever it is and whoever connects."""
    old, new = new_secret(), new_secret()
    both = f"{new} {old}"

    async def main() -> None:
        for listens, connects in ((both, old), (both, new), (old, both), (new, both)):
            for address in ("tcp://127.0.0.1:0", "ipc://"):
                async with listen(address, echo, secret=listens) as server:
                    comm = await connect(server.contact_address, timeout=5, secret=connects)
                    await comm.write("hello")
                    assert await comm.read() == "hello"
                    await comm.close()
        async with listen("tcp://127.0.0.1:0", echo, secret=old) as server:
            with pytest.raises(HandshakeError, match="another cluster secret"):
                await connect(server.contact_address, timeout=5, secret=new)

    run(main())


def test_a_listener_notices_that_the_secret_was_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "_LOOK_EVERY", 0.0)
    old, new = new_secret(), new_secret()

    async def main() -> None:
        with dask.config.set({"shoal.secret": old}):
            server = listen("tcp://127.0.0.1:0", echo)
            await server.start()
        with dask.config.set({"shoal.secret": f"{new} {old}"}):
            await (await connect(server.contact_address, timeout=5, secret=new)).close()
        with (
            dask.config.set({"shoal.secret": new}),
            pytest.raises(HandshakeError, match="another cluster secret"),
        ):
            await connect(server.contact_address, timeout=5, secret=old)
        server.stop()

    run(main())


# ---------------------------------------------------------------------- roles


def role_secret(role: str) -> str:
    return export_role(keys_of(cluster_secret())[0], role)


def test_the_secret_of_clients_is_that_of_a_client_only() -> None:
    async def main() -> None:
        shared = Security(secret=role_secret("client"))
        async with (
            Scheduler(host="tcp://127.0.0.1:0", dashboard=False) as scheduler,
            Worker(scheduler.address, nthreads=1),
            Client(scheduler.address, asynchronous=True, security=shared) as client,
        ):
            assert await client.submit(secret_word, "ab") == "ba"
            assert await client.gather(await client.scatter([1, 2])) == [1, 2]
            with pytest.raises(PermissionError, match="as a worker may"):
                await client.scheduler.worker_died(address="x", reason="y")
            with pytest.raises(PermissionError, match="speaks for itself alone"):
                other = Client(scheduler.address, asynchronous=True, set_as_default=False)
                async with other:
                    await client.scheduler.subscribe_topic(topic="t", client=other.id)
            # As a worker: it has no certificate of one, and is told so.
            with pytest.raises(PermissionError, match="cannot listen as 'worker'"):
                await Worker(scheduler.address, nthreads=1, security=shared)
            with pytest.raises(PermissionError, match="cannot listen as 'scheduler'"):
                await Scheduler(host="tcp://127.0.0.1:0", dashboard=False, security=shared)
            comm = await connect(scheduler.address, **shared.get_connection_args("worker"))
            assert scheduler is not None
            await comm.write({"op": "stream", "edge": "worker"})
            answer = await comm.read()
            assert "as a worker may" in answer["text"]
            comm.abort()

    run(main())


def test_the_secret_of_workers_makes_workers_that_serve_and_talk_to_each_other() -> None:
    async def main() -> None:
        shared = Security(secret=role_secret("worker"))
        async with (
            Scheduler(host="tcp://127.0.0.1:0", dashboard=False) as scheduler,
            Worker(scheduler.address, nthreads=1, name="a", security=shared),
            Worker(scheduler.address, nthreads=1, name="b", security=shared),
            Client(scheduler.address, asynchronous=True) as client,
        ):
            first = client.submit(bytes, 5000, workers=["a"])
            assert await client.submit(len, first, workers=["b"]) == 5000
            with pytest.raises(PermissionError, match="cannot listen as 'scheduler'"):
                await Scheduler(host="tcp://127.0.0.1:0", dashboard=False, security=shared)

    run(main())


def test_a_client_cannot_take_the_name_of_another() -> None:
    """Each process has a certificate of its own; the name of a client belongs to one."""

    async def main() -> None:
        async with (
            Scheduler(host="tcp://127.0.0.1:0", dashboard=False) as scheduler,
            Worker(scheduler.address, nthreads=1),
            Client(scheduler.address, asynchronous=True) as client,
        ):
            assert await client.submit(secret_word, "ab") == "ba"
            before = scheduler.client_streams._streams[client.id]
            certificates._forget()  # from here on as another process
            comm = await connect(scheduler.address, **args("client", "scheduler"))
            await comm.write({"op": "stream", "edge": "client"})
            stream: MessageStream[Any] = MessageStream(
                comm,
                sends=BatchCodec(m.ClientToScheduler),
                receives=BatchCodec(m.SchedulerToClient),
            )
            ended = asyncio.get_running_loop().create_future()
            stream.start(lambda messages: None, ended.set_result)
            stream.send([m.ClientHello(client.id, None, {}, True, [])])
            await asyncio.wait_for(ended, 10)
            assert scheduler.client_streams._streams[client.id] is before
            assert await client.submit(secret_word, "cd") == "dc"

    run(main())


def test_the_secret_of_a_role_needs_encryption() -> None:
    async def main() -> None:
        with dask.config.set({"shoal.comm.encryption": False}):
            async with listen("tcp://127.0.0.1:0", echo) as server:
                with pytest.raises(HandshakeError, match="needs encryption"):
                    await connect(server.contact_address, secret=Secret([role_secret("client")]))

    run(main())


def test_a_member_cannot_write_lines_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Scheduler(host="tcp://127.0.0.1:0", dashboard=False) as scheduler:
            comm = await connect(scheduler.address, **args("client", "scheduler"))
            await comm.write({"op": "stream", "edge": "client"})
            stream: MessageStream[Any] = MessageStream(
                comm,
                sends=BatchCodec(m.ClientToScheduler),
                receives=BatchCodec(m.SchedulerToClient),
            )
            ended = asyncio.get_running_loop().create_future()
            stream.start(lambda messages: None, ended.set_result)
            stream.send([m.ClientHello("me\nERROR forged", None, {}, False, [])])
            await asyncio.wait_for(ended, 10)
            assert not scheduler.client_streams._streams

    with caplog.at_level("INFO", "shoal"):
        run(main())
    assert "me\\nERROR forged" in caplog.text and "\nERROR forged" not in caplog.text


def on_the_scheduler() -> str:
    return "ran"


def ask_in_a_task(what: str) -> str:
    """Call something of the scheduler by the client that a task has."""
    with worker_client() as client:
        if what == "submit":
            return str(client.submit(secret_word, "ab").result())
        try:
            return str(client.run_on_scheduler(on_the_scheduler))
        except PermissionError as error:
            return str(error)


def test_the_secret_of_workers_runs_nothing_on_the_scheduler() -> None:
    """Its tasks may be clients, which submit; they may not run code there, nor end the cluster."""

    async def main() -> None:
        shared = Security(secret=role_secret("worker"))
        async with (
            Scheduler(host="tcp://127.0.0.1:0", dashboard=False) as scheduler,
            Worker(scheduler.address, nthreads=2, security=shared) as limited,
            Worker(scheduler.address, nthreads=2) as full,
            Client(scheduler.address, asynchronous=True) as client,
        ):

            async def ask(worker: Worker, what: str) -> str:
                at = worker.address
                return str(await client.submit(ask_in_a_task, what, workers=[at], pure=False))

            assert await ask(limited, "submit") == "ba"
            assert "a worker may not ask for 'run_function'" in await ask(limited, "run")
            assert await ask(full, "run") == "ran"
            args = shared.get_connection_args("client")
            async with rpc(scheduler.address, connection_args=args) as remote:
                for op in ("terminate", "restart", "register_scheduler_plugin"):
                    with pytest.raises(PermissionError, match="'shoal secret export"):
                        await getattr(remote, op)()
            assert await client.run_on_scheduler(on_the_scheduler) == "ran"
            assert len(scheduler.workers) == 2

    run(main())
