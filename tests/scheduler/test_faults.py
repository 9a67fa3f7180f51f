"""Peers that send what cannot be, and plugins that fail: told to them alone, others are served."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from helpers import run, until

from shoal.client.client import Client
from shoal.comm import MessageStream, connect
from shoal.plugins import SchedulerPlugin, WorkerPlugin
from shoal.scheduler.scheduler import Scheduler
from shoal.wire import messages as m
from shoal.wire.blob import Blob
from shoal.wire.codec import BatchCodec
from shoal.worker.worker import Worker

FUNCTION = b"f" * 16


def inc(x: int) -> int:
    return x + 1


class Peer:
    """A peer made of nothing but a stream."""

    def __init__(self, stream: MessageStream[Any]) -> None:
        self.stream = stream
        self.heard: list[Any] = []
        self.closed: list[Any] = []
        stream.start(self.heard.extend, self.closed.append)

    @classmethod
    async def client(cls, address: str, name: str = "bad") -> Peer:
        comm = await connect(address)
        await comm.write({"op": "stream", "edge": "client"})
        peer = cls(
            MessageStream(
                comm,
                sends=BatchCodec(m.ClientToScheduler),
                receives=BatchCodec(m.SchedulerToClient),
            )
        )
        peer.stream.send([m.ClientHello(name, None, {}, False, [])])
        await until(lambda: peer.heard)
        return peer

    @classmethod
    async def worker(cls, address: str, name: str = "tcp://127.0.0.1:1") -> Peer:
        comm = await connect(address)
        await comm.write({"op": "stream", "edge": "worker"})
        peer = cls(
            MessageStream(
                comm,
                sends=BatchCodec(m.WorkerToScheduler),
                receives=BatchCodec(m.SchedulerToWorker),
            )
        )
        peer.stream.send([registration(name)])
        await until(lambda: peer.heard)
        return peer

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.heard if type(message) is kind]


def registration(name: str) -> m.RegisterWorker:
    return m.RegisterWorker(
        address=name,
        name=name,
        nthreads=1,
        memory_limit=0,
        resources={},
        pid=1,
        host="127.0.0.1",
        nanny=None,
        status="paused",
        server_id=name,
        versions={},
        local_directory="",
    )


def scheduler_at(scheme: str, **kwargs: Any) -> Scheduler:
    host = {"inproc": None, "tcp": "127.0.0.1"}[scheme]
    return Scheduler(host=host, protocol=scheme, validate=True, **kwargs)


BAD_OF_CLIENTS = [
    m.DefineFunctions([FUNCTION, b"g" * 16], [Blob(b"f")]),
    m.Graph(keys=["x", "y"], functions=[FUNCTION], args=[b""], groups=["x"]),
    m.Graph(keys=["x"], functions=[FUNCTION], args=[b""], deps=[[7]]),
    m.Graph(keys=["x", "y"], functions=[FUNCTION], args=[b""] * 2, deps=[[1], [0]]),
    m.Graph(keys=["x"], functions=[b"unknown"], args=[b""]),
    m.Scattered(["x"], [], [], []),
    m.ClientHello("again", None, {}, False, []),
]
BAD_OF_WORKERS = [
    m.Finished(["x", "y"], [1], [1], ["int"], [0.0], [0.0], [None]),
    m.MissingDeps("x", 1, ["y"], [], []),
    m.StealReply(["x"], [], []),
    m.Acquired(["x"], [], ["int"]),
    registration("tcp://127.0.0.1:1"),
]


@pytest.mark.parametrize("scheme", ["tcp", "inproc"])
def test_a_client_is_told_what_was_wrong_and_nothing_of_it_stays(scheme: str) -> None:
    async def main() -> None:
        async with (
            scheduler_at(scheme) as scheduler,
            Worker(scheduler.address, nthreads=1),
            Client(scheduler.address, asynchronous=True) as client,
        ):
            for message in BAD_OF_CLIENTS:
                peer = await Peer.client(scheduler.address)
                good = m.Graph(keys=["good"], functions=[FUNCTION], args=[b""], wanted=[])
                peer.stream.send([m.DefineFunctions([FUNCTION], [Blob(b"f")]), good, message])
                await until(lambda peer=peer: peer.closed)
                (told,) = peer.of(m.SchedulerClosing)
                assert type(message).__name__ in told.reason
                assert "bad" not in scheduler.clients
                assert await client.submit(inc, 1, pure=False) == 2
                await until(lambda: not {"x", "y", "good"} & scheduler.state.tasks.keys())
                assert list(scheduler.clients) == [client.id]

    run(main())


@pytest.mark.parametrize("scheme", ["tcp", "inproc"])
def test_a_worker_is_told_what_was_wrong_and_closed(scheme: str) -> None:
    async def main() -> None:
        async with (
            scheduler_at(scheme) as scheduler,
            Worker(scheduler.address, nthreads=1) as worker,
            Client(scheduler.address, asynchronous=True) as client,
        ):
            for message in BAD_OF_WORKERS:
                peer = await Peer.worker(scheduler.address)
                assert len(scheduler.workers) == 2
                peer.stream.send([message])
                await until(lambda peer=peer: peer.closed)
                (told,) = peer.of(m.CloseWorker)
                assert type(message).__name__ in told.reason and told.restart
                assert list(scheduler.workers) == [worker.address]
                assert await client.submit(inc, 1, pure=False) == 2

    run(main())


def test_a_worker_that_hears_what_cannot_be_comes_back_with_its_data(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with (
            scheduler_at("tcp") as scheduler,
            Worker(scheduler.address, nthreads=1) as worker,
            Client(scheduler.address, asynchronous=True) as client,
        ):
            future = client.submit(inc, 1)
            await future
            scheduler.worker_streams.send(worker.address, [m.Free(["a", "b", "c"], [1, 2])])
            await until(lambda: "Free.lives has 2 entries" in caplog.text)
            assert await client.submit(inc, future) == 3

    run(main())


def test_a_client_that_hears_what_cannot_be_comes_back_with_its_futures(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with (
            scheduler_at("tcp") as scheduler,
            Worker(scheduler.address, nthreads=1),
            Client(scheduler.address, asynchronous=True) as client,
        ):
            future = client.submit(inc, 1)
            await future
            scheduler.client_streams.send(client.id, [m.KeysShared(["a"], [])])
            await until(lambda: "KeysShared.lives has 0 entries" in caplog.text)
            assert await client.submit(inc, future) == 3
            assert "connection" in caplog.text

    run(main())


KEYS = ["(x", "('x', [])", "((((", "b'", "('x'", "-1e", "'", "(" * 5000, "('x', 0)  "]


class Listens(SchedulerPlugin):
    """Hears of everything that there is."""

    def __init__(self) -> None:
        self.keys: set[Any] = set()

    def transition(self, key: Any, *args: Any, **kwargs: Any) -> None:
        self.keys.add(key)

    def update_graph(self, scheduler: Any, *, tasks: Any, **kwargs: Any) -> None:
        self.keys.update(tasks)


def test_keys_that_are_none_harm_no_plugin_and_no_other_client() -> None:
    async def main() -> None:
        plugin = Listens()
        async with (
            scheduler_at("tcp", plugins=[plugin]) as scheduler,
            Worker(scheduler.address, nthreads=1) as worker,
            Client(scheduler.address, asynchronous=True) as client,
        ):
            peer = await Peer.client(scheduler.address)
            n = len(KEYS)
            peer.stream.send(
                [
                    m.DefineFunctions([FUNCTION], [Blob(b"f")]),
                    m.Graph(keys=KEYS, functions=[FUNCTION], args=[b""] * n),
                    m.Scattered(["(y"], [1], ["int"], [[worker.address]]),
                ]
            )
            await until(lambda: len(peer.of(m.KeyErred)) == n)  # what b"f" unpickles to
            assert set(KEYS) <= plugin.keys and not peer.closed
            assert "(x" in await client.scheduler.who_has(keys=None)
            await client.who_has()
            await client.has_what()
            assert not (await client.processing())[worker.address]
            assert list(scheduler.workers) == [worker.address]
            assert await client.submit(inc, 1) == 2
            peer.stream.abort()

    run(main())


class Failing:
    """Each hook fails, in the way that is asked for."""

    name = "failing"

    def __init__(self, error: type[BaseException]) -> None:
        self.error = error
        self.called: set[str] = set()

    def fail(self, hook: str) -> None:
        self.called.add(hook)
        raise self.error("of a plugin")


class FailingScheduler(Failing, SchedulerPlugin):
    def transition(self, *args: Any, **kwargs: Any) -> None:
        self.fail("transition")

    def update_graph(self, *args: Any, **kwargs: Any) -> None:
        self.fail("update_graph")

    def add_worker(self, *args: Any, **kwargs: Any) -> None:
        self.fail("add_worker")

    def remove_worker(self, *args: Any, **kwargs: Any) -> None:
        self.fail("remove_worker")

    def add_client(self, *args: Any, **kwargs: Any) -> None:
        self.fail("add_client")

    def remove_client(self, *args: Any, **kwargs: Any) -> None:
        self.fail("remove_client")

    def log_event(self, topic: str, msg: Any) -> None:
        if isinstance(msg, dict):
            msg.clear()  # it is given to others as well
        self.fail("log_event")

    def restart(self, *args: Any, **kwargs: Any) -> None:
        self.fail("restart")

    def valid_workers_downscaling(self, *args: Any, **kwargs: Any) -> Any:
        self.fail("valid_workers_downscaling")

    async def before_close(self) -> None:
        self.fail("before_close")

    async def close(self) -> None:
        self.fail("close")


class FailingWorker(Failing, WorkerPlugin):
    def transition(self, *args: Any, **kwargs: Any) -> None:
        self.fail("transition")

    def teardown(self, worker: Any) -> None:
        self.fail("teardown")


ERRORS = [ValueError, SystemExit, asyncio.CancelledError, RecursionError, StopIteration]


@pytest.mark.parametrize("error", ERRORS)
def test_hooks_that_fail_reach_nobody(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "shoal")

    async def main() -> None:
        plugin, of_worker = FailingScheduler(error), FailingWorker(error)
        scheduler = await scheduler_at("tcp", plugins=[plugin])
        worker = await Worker(scheduler.address, nthreads=1, plugins=[of_worker])
        async with Client(scheduler.address, asynchronous=True) as client:
            futures = client.map(inc, range(10))
            assert await client.gather(futures) == list(range(1, 11))
            assert not scheduler.workers_to_close(n=1)  # nobody knows which are to stay
            await client.log_event("topic", {"a": 1})
            async with Client(scheduler.address, asynchronous=True) as other:
                assert await other.submit(inc, 1) == 2
            extra = await Worker(scheduler.address, nthreads=1)
            await extra.close()
            assert await client.submit(inc, 41) == 42
            assert list(scheduler.workers) == [worker.address]
            hooks = {"transition", "update_graph", "add_worker", "remove_worker", "add_client"}
            hooks |= {"remove_client", "log_event", "valid_workers_downscaling"}
            await until(lambda: plugin.called >= hooks)
        await worker.close()
        await scheduler.close()
        assert plugin.called >= {"before_close", "close"}
        assert of_worker.called == {"transition", "teardown"}

    run(main())
