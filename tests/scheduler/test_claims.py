"""Members that say that they are others: refused, and the others never notice."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from helpers import run, until

from shoal import Client, Nanny, Scheduler, Worker
from shoal.comm import MessageStream, connect
from shoal.comm.requests import send_recv
from shoal.wire import messages as m
from shoal.wire.codec import BatchCodec


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
    async def begin(cls, address: str, edge: str, *words: Any, token: bytes | None = None) -> Peer:
        comm = await connect(address)
        request = {"op": "stream", "edge": edge}
        await comm.write(request if token is None else {**request, "token": token})
        says = m.WorkerToScheduler if edge == "worker" else m.ClientToScheduler
        hears = m.SchedulerToWorker if edge == "worker" else m.SchedulerToClient
        peer = cls(MessageStream(comm, sends=BatchCodec(says), receives=BatchCodec(hears)))
        peer.stream.send(list(words))
        return peer

    async def refused(self) -> str:
        await until(lambda: self.closed)
        (word,) = self.heard
        assert isinstance(word, m.WorkerRejected | m.SchedulerClosing)
        return word.reason


def scheduler_at(scheme: str) -> Scheduler:
    return Scheduler(host=None if scheme == "inproc" else "127.0.0.1", protocol=scheme)


SCHEMES = pytest.mark.parametrize("scheme", ["tcp", "inproc"])


@SCHEMES
def test_the_address_of_a_living_worker_is_its_own(scheme: str) -> None:
    async def main() -> None:
        async with (
            scheduler_at(scheme) as scheduler,
            Worker(scheduler.address, nthreads=1) as worker,
            Client(scheduler.address, asynchronous=True) as client,
        ):
            kept = await client.scatter(1)
            before = scheduler.state.workers[worker.address]
            for word in (before.info, msgspec.structs.replace(before.info, name="other")):
                for token in (None, b"", b"guess" * 3):
                    # Words that follow it are not heard, either.
                    peer = await Peer.begin(
                        scheduler.address, "worker", word, m.WorkerStatus("paused"), token=token
                    )
                    assert "that of a living worker" in await peer.refused()
            assert scheduler.state.workers[worker.address] is before
            assert before.status == "running"
            assert await client.submit(inc, kept) == 2

    run(main())


def test_a_worker_that_comes_again_takes_its_place_at_once() -> None:
    async def main() -> None:
        async with (
            scheduler_at("tcp") as scheduler,
            Worker(scheduler.address, nthreads=1) as worker,
        ):
            before = scheduler.state.workers[worker.address]
            assert worker._link is not None
            token = worker._link._token
            peer = await Peer.begin(scheduler.address, "worker", before.info, token=token)
            await until(lambda: scheduler.state.workers.get(worker.address) is not before)
            await until(lambda: peer.heard)
            assert isinstance(peer.heard[0], m.WorkerWelcome)

    run(main())


def test_a_new_process_at_the_address_of_one_that_is_not_known_to_be_gone() -> None:
    """As after the death of a host: the old connection looks as if it lived."""

    async def main() -> None:
        async with (
            scheduler_at("tcp") as scheduler,
            Worker(scheduler.address, nthreads=1) as worker,
        ):
            address = worker.address
            info = scheduler.state.workers[address].info
            # What is known as it lives on, for the scheduler; its process listens there no more.
            await worker.close()
            await until(lambda: not scheduler.state.workers)
            old = await Peer.begin(scheduler.address, "worker", info, token=b"old")
            await until(lambda: old.heard)
            port = int(address.rpartition(":")[2])
            async with Worker(scheduler.address, nthreads=1, port=port, name="new") as new:
                assert new.address == address
                assert scheduler.state.workers[address].name == "new"
                await until(lambda: old.closed)

    run(main())


@SCHEMES
def test_a_client_is_not_taken_over(scheme: str) -> None:
    async def main() -> None:
        async with (
            scheduler_at(scheme) as scheduler,
            Worker(scheduler.address, nthreads=1),
            Client(scheduler.address, asynchronous=True) as client,
        ):
            future = client.submit(inc, 1)
            assert await future == 2
            for token in (None, b"guess"):
                hello = m.ClientHello(client.id, None, {}, True, [])
                word = m.Release([future.key])
                peer = await Peer.begin(scheduler.address, "client", hello, word, token=token)
                assert "another client" in await peer.refused()
            assert future.key in scheduler.tasks and await client.submit(inc, 5) == 6

    run(main())


def test_a_name_is_not_the_address_of_another_worker() -> None:
    async def main() -> None:
        async with (
            scheduler_at("tcp") as scheduler,
            Worker(scheduler.address, nthreads=1, name="one") as one,
        ):
            with pytest.raises(RuntimeError, match="is the address of another worker"):
                await Worker(scheduler.address, nthreads=1, name=one.address)
            assert scheduler.coerce_address(one.address) == one.address

    run(main())


def test_what_is_said_of_a_death_is_asked_of_the_nanny() -> None:
    async def main() -> None:
        async with (
            scheduler_at("tcp") as scheduler,
            Nanny(scheduler.address, nthreads=1) as nanny,
            Client(scheduler.address, asynchronous=True) as client,
        ):
            (ws,) = scheduler.state.workers.values()
            pid = ws.info.pid
            comm = await connect(scheduler.address)
            for address in (ws.address, "tcp://127.0.0.1:1"):
                await send_recv(comm, op="worker_died", address=address, reason="a lie")
            comm.abort()
            assert scheduler.state.workers[ws.address] is ws
            # Another worker says that this nanny is its own; `replace` would end the process here.
            for other in (pid, 1):
                lie = msgspec.structs.replace(
                    ws.info, address="tcp://127.0.0.1:1", name="liar", pid=other
                )
                peer = await Peer.begin(scheduler.address, "worker", lie)
                assert "has another worker" in await peer.refused()
            assert nanny.pid == pid and await client.submit(inc, 1) == 2

    run(main())


def test_who_says_too_much_meanwhile_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with (
            scheduler_at("tcp") as scheduler,
            Worker(scheduler.address, nthreads=1) as worker,
        ):
            never = asyncio.Event()
            monkeypatch.setattr("shoal.scheduler.claims._ask", lambda *args, **kwargs: never.wait())
            info = scheduler.state.workers[worker.address].info
            peer = await Peer.begin(scheduler.address, "worker", info)
            for _ in range(300):
                peer.stream.send([m.WorkerStatus("running")])
                await asyncio.sleep(0)
            await until(lambda: peer.closed)
            assert list(scheduler.state.workers) == [worker.address]

    run(main())
