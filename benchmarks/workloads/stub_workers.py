"""Workers that do nothing: they answer at once, many in one process, over real connections.

`python -m workloads.stub_workers ADDRESS NUMBER` connects so many to a scheduler of shoal's, prints
a line when all are registered, and serves until it is killed. A worker's side of the protocol is
spoken, but nothing is unpickled, run or stored: every result is the pickle of `None`.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
import time

from shoal.comm.base import connect
from shoal.comm.stream import MessageStream
from shoal.security import Security
from shoal.wire import messages as m
from shoal.wire.codec import BatchCodec

RESULT = pickle.dumps(None)


class StubWorker:
    """One worker's stream to the scheduler."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.address = f"tcp://stub:{number + 1}"
        self.welcome = asyncio.get_running_loop().create_future()

    async def join(self, scheduler: str) -> None:
        """Connect, and register."""
        comm = await connect(scheduler, 30, **Security().get_connection_args("worker"))
        await comm.write({"op": "stream", "edge": "worker", "reply": False})
        self.stream = MessageStream(
            comm, sends=BatchCodec(m.WorkerToScheduler), receives=BatchCodec(m.SchedulerToWorker)
        )
        self.stream.start(self.receive, lambda reason: None)
        registration = m.RegisterWorker(
            address=self.address,
            name=f"stub-{self.number}",
            nthreads=1,
            memory_limit=0,
            resources={},
            pid=0,
            host="stub",
            nanny=None,
            status="running",
            server_id=self.address,
            versions={},
            local_directory="",
        )
        self.stream.send([registration])
        await self.welcome

    def receive(self, messages: list[object]) -> None:
        """Answer a batch: what is to be run is done."""
        done = m.Finished([], [], [], [], [], [], [])
        now = time.time()
        for message in messages:
            if type(message) in (m.Compute, m.ComputeMany):
                keys, runs = asked_for(message)
                done.keys += keys
                done.runs += runs
                done.values += [RESULT if message.wanted else None] * len(keys)  # type: ignore[attr-defined]
            elif type(message) is m.Steal:
                self.stream.send([m.StealReply([], [], message.keys)])
            elif type(message) is m.WorkerWelcome:
                self.welcome.set_result(None)
        count = len(done.keys)
        if count:
            done.nbytes, done.types = [16] * count, ["NoneType"] * count
            done.starts, done.stops = [now] * count, [now] * count
            self.stream.send([done])


def asked_for(message: m.Compute | m.ComputeMany) -> tuple[list[str], list[int]]:
    """Return the keys and the runs that a message asks for."""
    if isinstance(message, m.Compute):
        return [message.key], [message.run]
    count = len(message.keys)
    return message.keys, list(range(message.first_run, message.first_run + count))


async def serve(scheduler: str, number: int) -> None:
    """Connect all, and stay."""
    workers = [StubWorker(i) for i in range(number)]
    for worker in workers:
        await worker.join(scheduler)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
