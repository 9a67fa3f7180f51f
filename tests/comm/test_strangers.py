"""What those cost who have not proven anything."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket

import dask
import pytest
from helpers import run, until

from shoal.comm import Comm, CommClosedError, connect, listen
from shoal.comm.strangers import HandshakeLimit, Reports, clean


def test_texts_of_peers_are_one_short_line() -> None:
    assert clean("plain text") == "plain text"
    assert clean("a\nb\x1b[2J\r\x00é") == "a\\nb\\x1b[2J\\r\\x00é"
    assert clean("\u202eevil\u2028") == "\\u202eevil\\u2028"
    long = clean("\x00" * 60_000)
    assert len(long) < 900 and long.endswith("... (60000 characters)")
    assert clean(ValueError("x\ty")) == "x\\ty"


def test_one_report_a_minute_of_each_peer() -> None:
    now = [0.0]
    reports = Reports(lambda: now[0])
    assert reports.count("a") == 1 and reports.count("b") == 1
    assert [reports.count("a") for _ in range(5)] == [None] * 5
    now[0] = 61.0
    assert reports.count("a") == 6
    assert reports.count("a") is None


def test_many_peers_do_not_make_many_reports_or_take_memory() -> None:
    now = [0.0]
    reports = Reports(lambda: now[0])
    said = sum(reports.count(str(each)) is not None for each in range(100_000))
    assert said <= 300 and len(reports._peers) <= 300
    now[0] = 1000.0
    assert reports.count("new") == 1


class _Peer:
    has_proven = False


def test_for_a_newcomer_the_oldest_silent_one_goes() -> None:
    door, peers = HandshakeLimit(3), [_Peer() for _ in range(6)]
    assert [door.enter(each) for each in peers[:3]] == [None] * 3  # type: ignore[arg-type]
    peers[0].has_proven = True
    assert door.enter(peers[3]) is peers[1]  # type: ignore[arg-type, comparison-overlap]
    peers[2].has_proven = peers[3].has_proven = True
    assert door.enter(peers[4]) is peers[4]  # type: ignore[arg-type, comparison-overlap]
    door.leave(peers[0])  # type: ignore[arg-type]
    assert door.enter(peers[5]) is None and len(door) == 3  # type: ignore[arg-type]


async def echo(comm: Comm) -> None:
    with contextlib.suppress(CommClosedError):
        while True:
            await comm.write(await comm.read())


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:0", "ipc://"])
def test_silent_strangers_keep_nobody_out(address: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with dask.config.set({"shoal.comm.handshakes": 10}):
            server = listen(address, echo)
            await server.start()
        strangers = []
        for _ in range(50):
            if address == "ipc://":
                each = socket.socket(socket.AF_UNIX)
                each.connect(server.contact_address.removeprefix("ipc://"))
            else:
                host, port = server.contact_address.removeprefix("tcp://").rsplit(":", 1)
                each = socket.create_connection((host, int(port)))
            strangers.append(each)
        await until(lambda: len(server._handshakes) == 10)  # type: ignore[attr-defined]
        for _ in range(20):
            comm = await connect(server.contact_address, timeout=5)
            await comm.write("hello")
            assert await comm.read() == "hello"
            await comm.close()
        for each in strangers:
            each.close()
        server.stop()

    with caplog.at_level(logging.INFO):
        run(main())
    lines = [record for record in caplog.records if "refused a connection" in record.message]
    assert len(lines) == 1  # of one peer, within one minute


def test_a_full_listener_says_so_and_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with dask.config.set({"shoal.comm.handshakes": 0}):
            server = listen("tcp://127.0.0.1:0", echo)
            await server.start()
        with pytest.raises(OSError, match=r"after 0\.3 s: .*too many handshakes under way"):
            await connect(server.contact_address, timeout=0.3)
        connecting = asyncio.ensure_future(connect(server.contact_address, timeout=10))
        before = len(caplog.records)
        server._reports = Reports()  # type: ignore[attr-defined]
        await until(lambda: len(caplog.records) > before)
        server._handshakes.limit = 1  # type: ignore[attr-defined]
        await (await connecting).close()
        server.stop()

    run(main())


def test_what_a_stranger_sends_does_not_reach_the_log_as_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with listen("tcp://127.0.0.1:0", echo) as server:
            host, port = server.contact_address.removeprefix("tcp://").rsplit(":", 1)
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"\nERROR forged\x1b[2J line" * 50)
            await until(lambda: "refused a connection" in caplog.text)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    with caplog.at_level(logging.INFO, "shoal"):
        run(main())
    (record,) = [record for record in caplog.records if "refused" in record.getMessage()]
    assert "\n" not in record.getMessage() and "\x1b" not in record.getMessage()
    assert len(record.getMessage()) < 400
