"""Servers, calls, pools, streams; and the programs of the documentation's Foundations page."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import run, until

from shoal.comm import Comm
from shoal.core import CommClosedError, ConnectionPool, RPCClosed, Server, Status, connect, rpc

SERVER = """
import asyncio
from shoal.core import Server

def add(comm, x=None, y=None):  # simple handler, just a function
    return x + y

async def stream_data(comm, interval=1):  # complex handler, multiple responses
    data = 0
    while True:
        await asyncio.sleep(interval)
        data += 1
        await comm.write(data)

s = Server({'add': add, 'stream_data': stream_data})
s.listen('tcp://:%d')   # listen on TCP port 8888

asyncio.get_event_loop().run_forever()
"""


def add(comm: Comm, x: Any = None, y: Any = None) -> Any:
    return x + y


async def count(comm: Comm, upto: int) -> Status:
    for number in range(upto):
        await comm.write(number)
    return Status.dont_reply


async def slow(x: Any) -> Any:
    await asyncio.sleep(0.01)
    return x


def free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("", 0))
        return int(sock.getsockname()[1])


@pytest.mark.process
def test_the_documented_server_and_clients(tmp_path: Path) -> None:
    port = free_port()
    script = tmp_path / "server.py"
    script.write_text(SERVER % port)
    process = subprocess.Popen([sys.executable, "-W", "ignore", str(script)], env=os.environ)

    async def f() -> Any:
        comm = await connect(f"tcp://127.0.0.1:{port}")
        await comm.write({"op": "add", "x": 1, "y": 2})
        result = await comm.read()
        await comm.close()
        return result

    async def g() -> list[Any]:
        comm = await connect(f"tcp://127.0.0.1:{port}")
        await comm.write({"op": "stream_data", "interval": 0.01})
        results = [await comm.read() for _ in range(3)]
        await comm.close()
        return results

    async def h() -> Any:
        async with rpc(f"tcp://127.0.0.1:{port}") as r:
            return await r.add(x=1, y=2)

    try:
        assert run(f()) == 3
        assert run(g()) == [1, 2, 3]
        assert run(h()) == 3
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_rpc_calls_overlap() -> None:
    async def main() -> None:
        async with Server({"slow": slow}) as server:
            await server.listen("tcp://127.0.0.1:0")
            async with rpc(server.address) as remote:
                results = await asyncio.gather(*(remote.slow(x=i) for i in range(20)))
                assert results == list(range(20))
            with pytest.raises(RPCClosed, match="closed"):
                await remote.slow(x=1)

    run(main())


def test_a_pool_never_opens_more_than_its_limit() -> None:
    async def main() -> None:
        async with Server({"slow": slow}) as one, Server({"slow": slow}) as two:
            await one.listen("tcp://127.0.0.1:0")
            await two.listen("tcp://127.0.0.1:0")
            pool = ConnectionPool(limit=3)
            seen = 0

            async def call(i: int) -> Any:
                nonlocal seen
                result = await pool((one, two)[i % 2].address).slow(x=i)
                seen = max(seen, pool.open)
                return result

            assert await asyncio.gather(*map(call, range(30))) == list(range(30))
            assert 1 <= seen <= 3
            pool.collect()
            assert pool.open == 0
            await pool.close()
            with pytest.raises(RuntimeError, match="closed"):
                await pool(one.address).slow(x=1)

    run(main())


def test_a_pool_gives_up_connections_to_a_server_that_went() -> None:
    async def main() -> None:
        pool = ConnectionPool(timeout=0.3)
        async with Server({"slow": slow}) as server:
            await server.listen("tcp://127.0.0.1:0")
            address = server.address
            assert await pool(address).slow(x=1) == 1
        with pytest.raises(OSError):
            await pool(address).slow(x=1)
        assert pool.active == 0
        await pool.close()

    run(main())


def test_who_connects_to_a_server_that_is_known_to_have_gone_hears_so_at_once() -> None:
    async def main() -> None:
        pool = ConnectionPool(timeout=60)
        gone, other = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
        call = asyncio.ensure_future(pool(gone).slow(x=1))
        still = asyncio.ensure_future(pool(other).slow(x=1))
        await until(lambda: len(pool._connecting) == 2)
        pool.remove(gone)
        with pytest.raises(CommClosedError, match=f"{gone} has gone"):
            await asyncio.wait_for(call, 5)
        assert not still.done()
        await pool.close()
        with pytest.raises(RuntimeError):
            await still

    run(main())


def test_a_handler_may_answer_by_itself() -> None:
    async def main() -> None:
        async with Server({"count": count, "add": add}) as server:
            await server.listen("tcp://127.0.0.1:0")
            comm = await connect(server.address)
            await comm.write({"op": "count", "upto": 4})
            assert [await comm.read() for _ in range(4)] == [0, 1, 2, 3]
            await comm.close()

    run(main())


def test_requests_without_reply_and_with_close() -> None:
    async def main() -> None:
        async with Server({"add": add}) as server:
            await server.listen("tcp://127.0.0.1:0")
            comm = await connect(server.address)
            await comm.write({"op": "add", "x": 1, "y": 1, "reply": False})
            await comm.write({"op": "add", "x": 1, "y": 2, "close": True})
            assert await comm.read() == 3
            with pytest.raises(CommClosedError):
                await comm.read()

    run(main())


def test_stream_handlers() -> None:
    got: list[Any] = []

    async def main() -> None:
        async def open_stream(comm: Comm) -> Status:
            await server.handle_stream(comm, extra={"who": "me"})
            return Status.dont_reply

        def note(x: int, who: str) -> None:
            got.append((x, who))

        server = Server({"open": open_stream}, stream_handlers={"note": note})
        async with server:
            await server.listen("tcp://127.0.0.1:0")
            comm = await connect(server.address)
            await comm.write({"op": "open"})
            await comm.write({"op": "note", "x": 1})
            await comm.write([{"op": "note", "x": 2}, {"op": "note", "x": 3}])
            await comm.write({"op": "close-stream"})
            await until(lambda: len(got) == 3)
            with pytest.raises(CommClosedError):
                await comm.read()

    run(main())
    assert got == [(1, "me"), (2, "me"), (3, "me")]


def test_a_blocked_operation_is_refused() -> None:
    async def main() -> None:
        async with Server({"add": add}, blocked_handlers=["add"]) as server:
            await server.listen("tcp://127.0.0.1:0")
            async with rpc(server.address) as remote:
                with pytest.raises(ValueError, match="'add' is blocked"):
                    await remote.add(x=1, y=1)

    run(main())


def test_closing_a_server_ends_its_connections_and_handlers() -> None:
    async def main() -> None:
        started = asyncio.Event()
        ended = asyncio.Event()

        async def forever() -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async with Server({"forever": forever}) as server:
            await server.listen("tcp://127.0.0.1:0")
            comm = await connect(server.address)
            await comm.write({"op": "forever"})
            await started.wait()
        await server.finished()
        assert server.status == "closed"
        await asyncio.wait_for(ended.wait(), 5)
        with pytest.raises(CommClosedError):
            await comm.read()
        with pytest.raises(RuntimeError, match="closed"):
            await server

    run(main())


def test_a_server_that_cannot_start_says_why_and_ends() -> None:
    class Broken(Server):
        async def start_unsafe(self) -> None:
            raise OSError("no luck")

    class Slow(Server):
        async def start_unsafe(self) -> None:
            await asyncio.Event().wait()

    async def main() -> None:
        broken = Broken({})
        with pytest.raises(OSError, match="no luck"):
            await broken
        assert broken.status == "failed"
        await asyncio.wait_for(broken.finished(), 1)
        with pytest.raises(TimeoutError, match=r"Slow did not start within 0\.05 s"):
            await Slow({}, timeout=0.05)

    run(main())


def test_identity_and_address() -> None:
    async def main() -> None:
        server = Server({})
        with pytest.raises(ValueError, match="does not listen"):
            _ = server.address
        async with server:
            await server.listen(0)
            assert server.port == int(server.address.rsplit(":", 1)[1])
            async with rpc(("127.0.0.1", server.port)) as remote:
                identity = await remote.identity()
            assert identity["type"] == "Server" and identity["id"] == server.id
            assert identity["address"] == server.address

    run(main())


def test_listen_without_a_running_loop_is_ready_when_the_loop_runs() -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        server = Server({"add": add})
        server.listen("tcp://127.0.0.1:0")

        async def main() -> Any:
            async with rpc(server.address) as remote:
                return await remote.add(x=1, y=2)

        assert loop.run_until_complete(main()) == 3
        loop.run_until_complete(server.close())
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_a_pool_that_ends_says_why_at_once() -> None:
    """Also to those that connect to who is not there, which would take them half a minute."""

    async def main() -> None:
        pool = ConnectionPool(limit=2, timeout=60)
        nobody = pool(f"tcp://127.0.0.1:{free_port()}")
        calls = [asyncio.ensure_future(nobody.add(x=i)) for i in range(4)]  # two wait for room
        await until(lambda: len(pool._connecting) == 2)
        pool.end("the lake is dry")
        for call in calls:
            with pytest.raises(RuntimeError, match="the lake is dry"):
                await asyncio.wait_for(call, 5)
        await pool.close()
        with pytest.raises(RuntimeError, match="the lake is dry"):
            await nobody.add(x=1)

    run(main())


def deep(depth: int = 2000) -> Any:
    """Return what is too deep to be written."""
    found: Any = 0
    for _ in range(depth):
        found = {"in": found}
    return found


def test_an_answer_that_cannot_be_written_is_an_error_and_the_connection_lives_on() -> None:
    async def main() -> None:
        async with Server({"deep": lambda: deep(), "add": add}) as server:
            await server.listen("tcp://127.0.0.1:0")
            comm = await connect(server.address)
            await comm.write({"op": "deep"})
            with pytest.raises(Exception, match=r"recursion|RecursionError"):
                answer = await comm.read()
                raise answer["exception"] if isinstance(answer, dict) else answer
            await comm.write({"op": "add", "x": 1, "y": 2})
            assert await comm.read() == 3
            await comm.close()

    run(main())
