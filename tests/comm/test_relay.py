"""Connections through the scheduler: where no other way leads, end to end, and in little memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers import run, until

from shoal import Client, Scheduler, Worker
from shoal.comm import relay
from shoal.comm.base import connect
from shoal.comm.passages import MemberRelay, with_relay
from shoal.comm.rpc import rpc
from shoal.comm.tcp import TCPConnector
from shoal.errors import CommClosedError

BOSS, ONE, OTHER = "127.0.0.1", "127.0.0.2", "127.0.0.3"


@pytest.fixture
def walls(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bool]]:
    """Hosts that nobody can connect to, whether refused or not answered at all."""
    walled = {ONE: True, OTHER: False}
    straight = TCPConnector._open_straight

    async def open_straight(self: Any, loc: str, make: Any, **args: Any) -> Any:
        refused = walled.get(loc.partition(":")[0])
        if refused is None:
            return await straight(self, loc, make, **args)
        if refused:
            raise ConnectionRefusedError("refused")
        await asyncio.Event().wait()
        raise AssertionError

    dial = asyncio.BaseEventLoop.create_connection

    async def create_connection(
        self: Any, protocol: Any, host: Any = None, *a: Any, **k: Any
    ) -> Any:
        if walled.get(host) is not None and protocol is asyncio.Protocol:
            raise ConnectionRefusedError("refused")
        return await dial(self, protocol, host, *a, **k)

    monkeypatch.setattr(TCPConnector, "_open_straight", open_straight)
    monkeypatch.setattr(asyncio.BaseEventLoop, "create_connection", create_connection)
    monkeypatch.setattr(relay, "_PATIENCE", 0.05)
    yield walled


def cluster(test: Callable[..., Any], **options: Any) -> None:
    """Run a test on a scheduler and two workers, of which no peer can connect to either."""

    async def main() -> None:
        async with (
            Scheduler(host=BOSS, protocol="tcp", dashboard=False) as scheduler,
            Worker(scheduler.address, host=ONE, name="one", nthreads=1, **options) as one,
            Worker(scheduler.address, host=OTHER, name="other", nthreads=1, **options) as other,
            Client(scheduler.address, asynchronous=True) as client,
        ):
            await test(client, scheduler, one, other)

    run(main())


def test_results_inputs_and_calls_go_around_walls(
    walls: dict[str, bool], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "shoal")

    async def test(client: Any, scheduler: Any, one: Any, other: Any) -> None:
        left = client.submit(bytes, 3_000_000, workers=["one"], pure=False)
        right = client.submit(len, left, workers=["other"])
        assert await right == 3_000_000
        assert len(await left) == 3_000_000
        put = await client.scatter(b"y" * 100_000, workers=["other"], direct=True)
        assert await client.submit(len, put, workers=["one"]) == 100_000
        assert await client.run(lambda dask_worker: dask_worker.name) == {
            one.address: "one",
            other.address: "other",
        }
        assert scheduler.passages.count > 0

    cluster(test)
    said = [r.getMessage() for r in caplog.records if "through the scheduler" in r.getMessage()]
    # Two workers and a client in this process: each says it once.
    assert 1 <= len(said) <= 3, said
    assert "--worker-port" in said[0]


def test_actors_are_called_around_walls(walls: dict[str, bool]) -> None:
    class Counter:
        def __init__(self) -> None:
            self.n = 0

        def add(self, by: int) -> int:
            self.n += by
            return self.n

    async def test(client: Any, scheduler: Any, one: Any, other: Any) -> None:
        counter = await client.submit(Counter, actor=True, workers=["one"])
        assert [await counter.add(1), await counter.add(2)] == [1, 3]

    cluster(test)


def test_both_ends_know_each_other_and_not_the_one_in_the_middle(walls: dict[str, bool]) -> None:
    async def test(client: Any, scheduler: Any, one: Any, other: Any) -> None:
        roles: list[str | None] = []

        def who(comm: Any) -> None:
            roles.append(comm.peer_role)

        one.handlers["who"] = who
        comm = await connect(one.address, **client.connection_args)
        assert comm.peer_role == "worker"
        await comm.write({"op": "who"})
        await comm.read()
        await comm.close()
        assert roles == ["client"]

    cluster(test)


def test_a_worker_that_is_gone_is_said_at_once(walls: dict[str, bool]) -> None:
    async def test(client: Any, scheduler: Any, one: Any, other: Any) -> None:
        address = one.address
        await one.close()
        await until(lambda: address not in scheduler.worker_streams)
        with pytest.raises(OSError, match=f"there is no worker at {address}"):
            await connect(address, retry=False, **client.connection_args)

    cluster(test)


def test_a_worker_does_not_pass_connections_on(walls: dict[str, bool]) -> None:
    async def test(client: Any, scheduler: Any, one: Any, other: Any) -> None:
        walls.clear()
        args = client.security.get_connection_args("client")
        around = MemberRelay(lambda: one.address, args)
        with pytest.raises(OSError, match="passes no connections on"):
            await around.open(other.address, _protocol())

    cluster(test)


def test_strangers_get_no_passage() -> None:
    async def test(client: Any, scheduler: Any, one: Any, other: Any) -> None:
        from shoal.security import Security

        args = Security(secret="0123456789abcdef" * 2).get_connection_args("client")
        around = MemberRelay(lambda: scheduler.address, args)
        with pytest.raises(OSError, match="another cluster secret"):
            await around.open(one.address, _protocol())
        assert scheduler.passages.count == 0

    cluster(test)


def test_a_call_back_that_nobody_waits_for_is_refused() -> None:
    async def test(client: Any, scheduler: Any, one: Any, other: Any) -> None:
        from shoal.comm.passages import answer_call

        before = len(one.listener._tasks)
        args = one.rpc.connection_args
        await answer_call(scheduler.address, one.address, "no such call", one.listener, args)
        await until(lambda: len(one.listener._tasks) == before)
        assert await client.submit(int, 5, workers=["one"]) == 5

    cluster(test)


def test_own_addresses_need_no_way_around() -> None:
    args = with_relay({}, lambda: "tcp://10.0.0.1:8786")
    assert not args["relay"].leads_to("tcp://10.0.0.1:8786")
    assert not args["relay"].leads_to("tcp://127.0.0.1:4000")
    assert args["relay"].leads_to("tcp://10.0.0.2:4000")
    assert not with_relay({}, lambda: "tls://10.0.0.1:8786")["relay"].leads_to("tls://10.0.0.2:1")


def _protocol() -> Callable[[], Any]:
    from shoal.comm.sockets import new_protocol

    return new_protocol()


def test_a_passage_keeps_little_however_much_goes_through_it() -> None:
    """The receiver reads nothing for a while: the sender is held up, and memory stays small."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        pairs: asyncio.Queue[Any] = asyncio.Queue()
        server = await asyncio.start_server(lambda r, w: pairs.put_nowait((r, w)), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]

        async def joined() -> tuple[Any, Any, asyncio.Transport]:
            transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", port)
            reader, writer = await pairs.get()
            return reader, writer, transport

        reader_a, writer_a, middle_a = await joined()
        reader_b, writer_b, middle_b = await joined()
        ended: list[int] = []
        relay.splice(middle_a, middle_b, lambda: ended.append(1))
        total = 64 << 20
        writer_a.write(bytes(total))
        await until(lambda: not middle_a.is_reading())
        assert middle_b.get_write_buffer_size() < 1 << 20
        got = 0
        while got < total:
            got += len(await reader_b.read(1 << 20))
            assert middle_b.get_write_buffer_size() < 1 << 20
        writer_b.write(b"thanks")
        assert await reader_a.readexactly(6) == b"thanks"
        writer_a.close()
        assert await reader_b.read() == b""
        writer_b.close()
        await until(lambda: len(ended) == 2)
        server.close()

    run(main())


def test_an_rpc_through_a_closing_scheduler_ends(walls: dict[str, bool]) -> None:
    async def test(client: Any, scheduler: Any, one: Any, other: Any) -> None:
        remote = rpc(one.address, connection_args=client.connection_args)
        assert (await remote.identity())["name"] == "one"
        scheduler.passages.close()
        with pytest.raises((CommClosedError, OSError)):
            while True:
                await remote.identity()
                scheduler.passages.close()
        await remote.close_rpc()

    cluster(test)
