"""Connections over tornado's streams: they speak with shoal's own servers."""

from __future__ import annotations

import asyncio
import socket

import pytest
from helpers import run, until
from tornado.iostream import IOStream, SSLIOStream, StreamClosedError
from tornado.tcpclient import TCPClient

from shoal import Client, CommClosedError, Scheduler, Worker
from shoal.comm import Backend, Connector, register_backend, registry
from shoal.comm.requests import send_recv
from shoal.comm.server import Server
from shoal.compat.streams import (
    MAX_BUFFER_SIZE,
    TCP,
    TLS,
    convert_stream_closed_error,
    get_stream_address,
)
from shoal.security import Security
from shoal.testing import inc


async def open_stream(address, **kwargs):
    host, port = address.removeprefix("tcp://").removeprefix("tls://").split(":")
    return await TCPClient().connect(host, int(port), max_buffer_size=MAX_BUFFER_SIZE, **kwargs)


def test_requests_of_every_size():
    async def main():
        async with Server({}) as server:
            await server.listen("tcp://127.0.0.1:0")
            stream = await open_stream(server.address)
            assert get_stream_address(stream).startswith("127.0.0.1:")
            comm = TCP(stream, f"x://{get_stream_address(stream)}", server.address)
            for size in (0, 1000, 100_000, 5_000_000):
                data = bytes(size)
                assert await send_recv(comm, op="echo", data=data) == data
            assert comm.peer_address == server.address
            assert not comm.closed()
            await comm.close()
            assert comm.closed() and stream.closed()
            assert get_stream_address(stream) == "<closed>"
            with pytest.raises(CommClosedError):
                await comm.write(1)

    run(main())


def test_the_other_end_goes():
    async def main():
        async with Server({}) as server:
            await server.listen("tcp://127.0.0.1:0")
            comm = TCP(await open_stream(server.address), "x://a", server.address)
            await send_recv(comm, op="echo", data=1)
            reading = asyncio.ensure_future(comm.read())
            await asyncio.sleep(0)
        with pytest.raises(CommClosedError):
            await reading
        await until(comm.closed)

    run(main())


def test_over_tls():
    async def main():
        security = Security.temporary()
        args = security.get_listen_args("scheduler")
        context = security.get_connection_args("client")["ssl_context"]
        async with Server({}) as server:
            await server.listen("tls://127.0.0.1:0", **args)
            stream = await open_stream(server.address, ssl_options=context)
            assert isinstance(stream, SSLIOStream)
            comm = TLS(stream, "tls://a", server.address)
            assert await send_recv(comm, op="echo", data=[1]) == [1]
            assert comm.extra_info["peercert"]
            comm.abort()

    run(main())


def test_errors_are_turned_into_ours():
    with pytest.raises(CommClosedError, match="in fish: OSError: gone") as caught:
        convert_stream_closed_error("fish", StreamClosedError(OSError("gone")))
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(CommClosedError, match="Stream is closed"):
        convert_stream_closed_error("fish", StreamClosedError())


class Gateway(Connector, Backend):
    """As a gateway does it: connects in its own way, then makes a connection of the stream."""

    async def connect(self, address, deserialize=True, **connection_args):
        stream = await open_stream(address)
        local = f"gateway://{get_stream_address(stream)}"
        return TCP(stream, local, f"gateway://{address}", deserialize)

    def get_connector(self):
        return self

    def get_listener(self, *args, **kwargs):
        raise TypeError("nobody listens here")

    def get_address_host(self, loc):
        return loc.partition(":")[0]

    def resolve_address(self, loc):
        return loc

    def get_local_address_for(self, loc):
        return loc


def test_a_client_through_a_transport_of_ones_own(monkeypatch):
    monkeypatch.setattr(registry, "backends", dict(registry.backends))
    register_backend("gateway", Gateway())

    async def main():
        async with Scheduler(host="127.0.0.1") as s, Worker(s.address, nthreads=1):
            address = s.address.replace("tcp://", "gateway://")
            async with Client(address, asynchronous=True) as client:
                assert client.scheduler.address == address
                futures = client.map(inc, range(100))
                assert await client.gather(futures) == list(range(1, 101))

    run(main())


def test_no_stream_is_no_address():
    first, second = socket.socketpair()
    second.close()

    async def main():
        stream = IOStream(first)
        stream.close()
        assert get_stream_address(stream) == "<closed>"

    run(main())
