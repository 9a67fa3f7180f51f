"""What the documented classes of the Foundations page offer besides plain calls."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from helpers import run, until
from tornado.ioloop import PeriodicCallback

from shoal.comm import Comm
from shoal.core import ConnectionPool, RPCClosed, Server, Status, connect, rpc, send_recv
from shoal.wire.serialize import Serialized, register_serialization_family, to_serialize
from shoal.wire.serialize.families import families


async def ping(comm: Comm) -> str:
    return "pong"


class Opaque:
    def __init__(self, x: int) -> None:
        self.x = x


def opaque(x: int = 1) -> Any:
    return to_serialize(Opaque(x))


@pytest.fixture
def mine():
    """A family of one's own, for `Opaque` only."""

    def dumps(obj: Any) -> tuple[dict[str, Any], list[Any]]:
        if type(obj) is not Opaque:
            raise NotImplementedError(type(obj).__name__)
        return {"kept": True}, [str(obj.x).encode()]

    def loads(header: dict[str, Any], frames: list[Any]) -> Any:
        assert header["kept"]
        return Opaque(int(bytes(frames[0])) + 100)

    register_serialization_family("mine", dumps, loads)
    yield "mine"
    del families["mine"]


def test_close_ends_the_connection_and_the_next_call_makes_another() -> None:
    async def main() -> None:
        async with Server({"ping": ping}) as server:
            await server.listen("tcp://127.0.0.1:0")
            async with rpc(server.address) as remote:
                said = [await remote.ping(), await remote.ping(close=True), await remote.ping()]
                assert said == ["pong"] * 3
                remote.close_comms()
                assert await remote.ping() == "pong"
            assert remote.status == Status.closed
            with pytest.raises(RPCClosed, match="closed"):
                await remote.ping()
            async with ConnectionPool(limit=1) as pool:
                for _ in range(3):
                    assert await pool(server.address).ping(close=True) == "pong"
                assert pool.open == 0

    run(main())


def test_every_server_takes_streams() -> None:
    async def main() -> None:
        got = []
        async with Server({}, stream_handlers={"note": lambda value: got.append(value)}) as server:
            await server.listen("tcp://127.0.0.1:0")
            comm = await connect(server.address)
            await comm.write({"op": "connection_stream"})
            await comm.write({"op": "note", "value": 1})
            await comm.write([{"op": "note", "value": 2}, {"op": "close-stream"}])
            await until(lambda: got == [1, 2])
            comm.abort()

    run(main())


def test_a_pool_is_awaited_and_used_as_context() -> None:
    async def main() -> None:
        async with Server({"ping": ping}) as server:
            await server.listen("tcp://127.0.0.1:0")
            pool = await ConnectionPool(limit=5)
            assert pool.status == "running"
            comm = await pool.connect(server.address)
            assert await send_recv(comm, op="ping") == "pong"
            pool.reuse(server.address, comm)
            pool.remove(server.address, reason="a test")
            assert pool.open == 0
            await pool.close()
            with pytest.raises(RuntimeError, match="closed"):
                await pool

    run(main())


def test_a_stopped_server_takes_no_new_connections() -> None:
    async def main() -> None:
        async with Server({"ping": ping}, ["echo"], {}, timeout="5s") as server:
            await server.listen("tcp://127.0.0.1:0", allow_offload=False)
            assert server.blocked_handlers == ["echo"]
            assert server.start_timeout == 5
            assert server.listener is server.listeners[0]
            assert server.io_loop.asyncio_loop is asyncio.get_running_loop()
            comm = await connect(server.address)
            assert await send_recv(comm, op="ping") == "pong"
            assert server.get_connection_counters() == {
                "incoming_comms_open": 1,
                "incoming_comms_active": 0,
                "outgoing_comms_open": 0,
                "outgoing_comms_active": 0,
            }
            server.stop()
            with pytest.raises(OSError, match="connect to"):
                await connect(server.address, timeout=0.2, retry=False)
            assert await send_recv(comm, op="ping") == "pong"  # those that are open stay
            assert server.status == "running"
            comm.abort()

    run(main())


def test_periodic_callbacks_run_while_the_server_does() -> None:
    async def main() -> None:
        calls = []
        async with Server({}) as server:
            callback = PeriodicCallback(lambda: calls.append(1), 1)
            server.periodic_callbacks["mine"] = callback
            server.start_periodic_callbacks()
            await until(lambda: len(calls) > 1)
        assert not callback.is_running()

    run(main())


def test_families_that_a_call_names(mine) -> None:
    async def main() -> None:
        async with Server({"opaque": opaque, "take": lambda x: x}) as server:
            await server.listen("tcp://127.0.0.1:0")
            async with rpc(server.address, serializers=[mine], deserializers=[mine]) as remote:
                # There and back: the answer is serialized as the request was.
                assert (await remote.take(x=to_serialize(Opaque(5)))).x == 205
            async with rpc(server.address, deserializers=[mine]) as remote:
                kept = await remote.opaque(x=2)
                assert isinstance(kept, Serialized)  # pickled by the server, and not allowed here
            async with rpc(server.address, serializers=["msgpack"]) as remote:
                assert await remote.take(x=[1, "a", {"b": None}]) == [1, "a", {"b": None}]
                with pytest.raises(TypeError, match="Opaque"):
                    await remote.take(x=to_serialize(Opaque(5)))
                with pytest.raises(TypeError, match="unknown serializer 'fish'"):
                    await remote.take(x=1, serializers=["fish"])

    run(main())
