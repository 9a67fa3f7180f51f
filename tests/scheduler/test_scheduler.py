"""The scheduler's shell: life, streams, operations. Workers and clients are real, the sockets
local.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
from pathlib import Path
from typing import Any

import dask
import pytest
from helpers import run, until

from shoal.client.client import Client
from shoal.comm import MessageStream, connect
from shoal.core import rpc
from shoal.errors import HandshakeError, RemoteError
from shoal.scheduler.scheduler import Scheduler
from shoal.wire import messages as m
from shoal.wire.blob import Blob
from shoal.wire.codec import BatchCodec
from shoal.wire.pickling import dumps, loads
from shoal.worker.worker import Worker


def inc(x: int) -> int:
    return x + 1


def local(**kwargs: Any) -> Scheduler:
    return Scheduler(**{"host": "127.0.0.1", "validate": True, **kwargs})


def test_it_runs_alone_and_ends() -> None:
    async def main() -> None:
        scheduler = await local()
        assert scheduler.status == "running"
        assert scheduler.identity()["n_workers"] == 0
        finished = asyncio.ensure_future(scheduler.finished())
        await scheduler.close()
        await asyncio.wait_for(finished, 5)
        assert scheduler.status == "closed"
        await scheduler.close()  # once is enough

    run(main())


def test_the_scheduler_file_is_private_and_leads_here(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "folder" / "scheduler.json"
        async with local(scheduler_file=str(path)) as scheduler:
            found = json.loads(path.read_text())
            assert found["address"] == scheduler.address and found["id"] == scheduler.id
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            async with Worker(scheduler_file=str(path), nthreads=1):
                assert len(scheduler.workers) == 1
        assert not path.exists()

    run(main())


def test_a_scheduler_file_carries_the_secret_along(tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "scheduler.json")
        with dask.config.set({"shoal.secret": "0123456789abcdef" * 2}):
            scheduler = await local(scheduler_file=path)
        with pytest.raises(HandshakeError, match="secret"):
            await connect(scheduler.address, timeout=5)
        with pytest.raises(OSError, match="secret"):
            await Worker(scheduler.address, nthreads=1)
        async with (
            Worker(scheduler_file=path, nthreads=1),
            Client(scheduler_file=path, asynchronous=True) as client,
        ):
            assert await client.submit(inc, 1) == 2
        await scheduler.close()

    run(main())


def test_an_idle_scheduler_closes() -> None:
    async def main() -> None:
        scheduler = await local(idle_timeout="500ms")  # longer than a client takes to connect
        async with Client(scheduler.address, asynchronous=True, set_as_default=False):
            await asyncio.wait_for(scheduler.finished(), 10)

    run(main())


def test_a_port_range_takes_the_first_that_is_free() -> None:
    async def main() -> None:
        async with local() as first:
            port = first.port
            async with local(port=[port, 0]) as second:
                assert second.port != port
            with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{port}"):
                await local(port=port)

    run(main())


def test_preloads_see_the_scheduler(tmp_path: Path) -> None:
    preload = tmp_path / "my_preload.py"
    preload.write_text(
        "def dask_setup(scheduler):\n    scheduler.noted = 'setup'\n"
        "def dask_teardown(scheduler):\n    scheduler.noted = 'teardown'\n"
    )

    async def main() -> None:
        scheduler = await local(preload=str(preload))
        assert scheduler.noted == "setup"  # type: ignore[attr-defined]
        await scheduler.close()
        assert scheduler.noted == "teardown"  # type: ignore[attr-defined]

    run(main())


def test_operations_about_tasks_and_workers() -> None:
    async def main() -> None:
        async with (
            local() as scheduler,
            Worker(scheduler.address, nthreads=2, name="alice") as worker,
            Client(scheduler.address, asynchronous=True) as client,
            rpc(scheduler.address) as remote,
        ):
            future = client.submit(inc, 1, key="x")
            await future
            address = worker.address
            assert await remote.who_has(keys=["x", "y"]) == {"x": [address], "y": []}
            assert await remote.has_what(workers=["alice"]) == {address: ["x"]}
            assert await remote.nthreads() == {address: 2}
            assert await remote.nbytes() == {"x": 28}
            assert await remote.processing() == {address: []}
            assert await remote.task_status(keys=["x", "y"]) == {"x": "memory", "y": None}
            assert "its result" in await remote.explain(key="x")
            story = await remote.story(keys=["x"])
            assert story[-1][:3] == ("x", "processing", "memory")
            identity = await remote.identity()
            assert identity["workers"][address]["name"] == "alice"
            await remote.log_event(topic="t", msg={"a": 1})
            assert [message for _, message in await remote.events(topic="t")] == [{"a": 1}]
            assert "all" in await remote.events()
            assert (await remote.versions())["packages"]["shoal"]
            with pytest.raises(ValueError, match=r"there is no worker 'bob'; there are: .*alice"):
                await remote.has_what(workers=["bob"])
            assert (await remote.broadcast(msg={"op": "echo", "data": 5})) == {address: 5}

    run(main())


def test_gather_and_scatter_through_the_scheduler() -> None:
    async def main() -> None:
        async with (
            local() as scheduler,
            Worker(scheduler.address, nthreads=1),
            Worker(scheduler.address, nthreads=1),
            Client(scheduler.address, asynchronous=True) as client,
            rpc(scheduler.address) as remote,
        ):
            reply = await remote.scatter(
                data={"a": dumps([1]), "b": dumps([2])}, client=client.id, broadcast=True
            )
            assert all(len(holders) == 2 for holders in reply["who_has"].values())
            found = await remote.gather(keys=["a", "b", "nope"])
            assert {key: loads(blob) for key, blob in found["data"].items()} == {
                "a": [1],
                "b": [2],
            }
            assert found["missing"] == ["nope"]
            with pytest.raises(
                TimeoutError, match=r"no worker to scatter to within 0\.1 s: there is"
            ):
                await remote.scatter(
                    data={"c": dumps(1)}, client=client.id, workers=["bob"], timeout=0.1
                )

    run(main())


def test_functions_on_the_scheduler_are_called_unless_forbidden() -> None:
    async def main() -> None:
        async with local() as scheduler, rpc(scheduler.address) as remote:

            def name(dask_scheduler: Any) -> str:
                return str(dask_scheduler.id)

            reply = await remote.run_function(function=dumps(name))
            assert loads(reply["result"]) == scheduler.id
            with (
                dask.config.set({"distributed.scheduler.pickle": False}),
                pytest.raises(ValueError, match="runs no functions of clients"),
            ):
                await remote.run_function(function=dumps(name))

    run(main())


def test_the_scheduler_unpickles_nothing() -> None:
    """Functions, arguments and results that would blow up where they are opened."""

    async def main() -> None:
        async with local() as scheduler, rpc(scheduler.address) as remote:
            comm = await connect(scheduler.address)
            await comm.write({"op": "stream", "edge": "client"})
            got: list[Any] = []
            stream: MessageStream[Any] = MessageStream(
                comm,
                sends=BatchCodec(m.ClientToScheduler),
                receives=BatchCodec(m.SchedulerToClient),
            )
            stream.start(got.extend, lambda reason: None)
            bomb = Blob(b"cos\nabort\n(tR.")
            stream.send(
                [
                    m.ClientHello("me", None, {}, False, []),
                    m.DefineFunctions([b"f" * 16], [bomb]),
                    m.Graph(
                        keys=["x"], functions=[b"f" * 16], args=[bytes(bomb.data)], groups=["x"]
                    ),
                ]
            )
            await until(lambda: "x" in scheduler.tasks)
            assert await remote.task_status(keys=["x"]) == {"x": "no-worker"}
            comm.abort()

    run(main())


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        ("client", m.Release(["x"])),
        ("worker", m.WorkerStatus("running")),
    ],
)
def test_peers_that_do_not_introduce_themselves_are_dropped(edge: str, message: Any) -> None:
    async def main() -> None:
        async with local() as scheduler:
            comm = await connect(scheduler.address)
            await comm.write({"op": "stream", "edge": edge})
            closed: list[Any] = []
            union = m.ClientToScheduler if edge == "client" else m.WorkerToScheduler
            stream: MessageStream[Any] = MessageStream(
                comm, sends=BatchCodec(union), receives=BatchCodec(m.SchedulerToClient)
            )
            stream.start(lambda messages: None, closed.append)
            stream.send([message])
            await until(lambda: closed)
            assert scheduler.status == "running"
        async with local() as scheduler:
            comm = await connect(scheduler.address)
            await comm.write({"op": "stream", "edge": "nobody"})
            assert "not 'nobody'" in (await comm.read())["text"]
            await comm.close()

    run(main())


def test_a_client_that_breaks_the_protocol_harms_nobody_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with (
            local() as scheduler,
            Worker(scheduler.address, nthreads=1),
            Client(scheduler.address, asynchronous=True) as client,
        ):
            comm = await connect(scheduler.address)
            await comm.write({"op": "stream", "edge": "client"})
            closed: list[Any] = []
            stream: MessageStream[Any] = MessageStream(
                comm,
                sends=BatchCodec(m.ClientToScheduler),
                receives=BatchCodec(m.SchedulerToClient),
            )
            stream.start(lambda messages: None, closed.append)
            stream.send(
                [
                    m.ClientHello("bad", None, {}, False, []),
                    m.Graph(keys=["x"], functions=[b"unknown"], args=[b""], groups=["x"]),
                ]
            )
            await until(lambda: closed)
            assert "bad" not in scheduler.clients
            assert await client.submit(inc, 1) == 2
            assert "Closing the connection to client bad" in caplog.text

    run(main())


def test_a_name_that_is_taken_is_refused() -> None:
    async def main() -> None:
        async with local() as scheduler, Worker(scheduler.address, nthreads=1, name="a"):
            with pytest.raises(RuntimeError, match="name 'a' is registered already"):
                await Worker(scheduler.address, nthreads=1, name="a")
            assert len(scheduler.workers) == 1

    run(main())


def test_retiring_moves_data_first() -> None:
    async def main() -> None:
        async with (
            local() as scheduler,
            Worker(scheduler.address, nthreads=1, name="a") as a,
            Worker(scheduler.address, nthreads=1, name="b") as b,
            Client(scheduler.address, asynchronous=True) as client,
            rpc(scheduler.address) as remote,
        ):
            future = client.submit(inc, 1, workers=["a"], allow_other_workers=True, key="x")
            await future
            moved = await client.scatter(list(range(10)), workers=["a"])
            infos = await remote.retire_workers(workers=["a"])
            assert list(infos) == [a.address] and infos[a.address]["name"] == "a"
            await asyncio.wait_for(a.finished(), 10)
            assert await client.gather(moved) == list(range(10))
            assert await remote.who_has(keys=["x"]) == {"x": [b.address]}
            assert await remote.retire_workers(n=0) == {}

    run(main())


def test_a_worker_closed_by_name_and_a_wrong_one() -> None:
    async def main() -> None:
        async with (
            local() as scheduler,
            Worker(scheduler.address, nthreads=1, name="a") as a,
            rpc(scheduler.address) as remote,
        ):
            with pytest.raises(ValueError, match="no worker 'b'"):
                await remote.close_worker(worker="b")
            await remote.close_worker(worker="a", reason="enough")
            await asyncio.wait_for(a.finished(), 10)
            assert a.close_reason == "enough"
            await until(lambda: not scheduler.workers)

    run(main())


def test_restarting_workers_without_a_nanny_is_refused() -> None:
    async def main() -> None:
        async with (
            local() as scheduler,
            Worker(scheduler.address, nthreads=1),
            rpc(scheduler.address) as remote,
        ):
            with pytest.raises(ValueError, match="without a nanny cannot be restarted"):
                await remote.restart_workers()

    run(main())


def test_terminate_closes_everything() -> None:
    async def main() -> None:
        scheduler = await local()
        worker = await Worker(scheduler.address, nthreads=1)
        async with rpc(scheduler.address) as remote:
            await remote.terminate()
        await asyncio.wait_for(asyncio.gather(scheduler.finished(), worker.finished()), 10)

    run(main())


def test_a_healthy_cluster_logs_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with caplog.at_level(logging.WARNING):
            async with (
                local() as scheduler,
                Worker(scheduler.address, nthreads=2),
                Worker(scheduler.address, nthreads=2),
                Client(scheduler.address, asynchronous=True) as client,
            ):
                futures = client.map(inc, range(100))
                assert await client.submit(sum, futures) == 5050

    run(main())
    assert [record.getMessage() for record in caplog.records] == []


def test_errors_of_workers_come_through_as_text_only() -> None:
    async def main() -> None:
        async with (
            local() as scheduler,
            Worker(scheduler.address, nthreads=1),
            rpc(scheduler.address) as remote,
        ):
            with pytest.raises(RemoteError, match="has no operation 'nope'"):
                await remote.broadcast(msg={"op": "nope"})
            replies = await remote.broadcast(msg={"op": "nope"}, on_error="return")
            assert [reply["status"] for reply in replies.values()] == ["error"]
            assert await remote.broadcast(msg={"op": "nope"}, on_error="ignore") == {}

    run(main())
