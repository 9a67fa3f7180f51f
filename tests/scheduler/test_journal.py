"""A scheduler that begins from a journal, in this process and killed in one of its own."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import run, until, wait_until

from shoal.client.client import Client
from shoal.coordination.event import Event
from shoal.coordination.lock import Lock
from shoal.coordination.queue import Queue
from shoal.coordination.semaphore import Semaphore
from shoal.coordination.variable import Variable
from shoal.deploy.local import LocalCluster
from shoal.errors import JournalError
from shoal.plugins import SchedulerPlugin, WorkerPlugin
from shoal.scheduler.journal import disk as disks
from shoal.scheduler.scheduler import Scheduler
from shoal.worker.worker import Worker


async def scheduler(folder: Path, **more: Any) -> Scheduler:
    return await Scheduler(host="127.0.0.1", port=0, journal=str(folder), **more)


async def client_of(server: Scheduler) -> Client:
    return await Client(server.address, asynchronous=True, set_as_default=False)


@pytest.mark.parametrize("sync", ["always", "turn", "never"])
def test_what_was_answered_is_there_for_the_next_scheduler(tmp_path: Path, sync: str) -> None:
    async def main() -> None:
        first = await scheduler(tmp_path, journal_sync=sync)
        async with first, await client_of(first) as client:
            queue = await Queue("q", client=client)
            for n in range(5):
                await queue.put(n)
            assert await queue.get() == 0
            await (await Variable("v", client=client)).set(("a", {1}))
            await (await Event("e", client=client)).set()
            await client.set_metadata(["n", "m"], 1.5)
            await client.log_event("topic", {"x": 1})
            await client.publish_dataset(d=[1, 2])
        async with await scheduler(tmp_path) as second, await client_of(second) as client:
            queue = await Queue("q", client=client)
            assert await queue.get(batch=True) == [1, 2, 3, 4]
            assert await (await Variable("v", client=client)).get() == ("a", {1})
            assert await (await Event("e", client=client)).is_set()
            assert await client.get_metadata(["n", "m"]) == 1.5
            ((when, message),) = await client.get_events("topic")
            assert message == {"x": 1}
            assert abs(when - second.wall_time(second._clock())) < 30
            assert await client.get_dataset("d") == [1, 2]

    run(main())


class Marks(SchedulerPlugin):
    def start(self, scheduler: Any) -> None:
        self.on = scheduler


class Refuses(SchedulerPlugin):
    def start(self, scheduler: Any) -> None:
        if scheduler.state.notes.plugins:
            raise RuntimeError("not twice")


class Says(WorkerPlugin):
    def setup(self, worker: Any) -> None:
        self.on = worker.address


def test_plugins_of_clients_are_there_for_the_next_scheduler(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with await scheduler(tmp_path) as first, await client_of(first) as client:
            for plugin, name in [
                *[(Refuses(), "refuses"), (Marks(), "marks")],
                *[(Says(), "says"), (Says(), "gone"), (Marks(), "closed")],
            ]:
                await client.register_plugin(plugin, name)
            await client.unregister_worker_plugin("gone")
            await client.unregister_scheduler_plugin("closed")
        async with await scheduler(tmp_path) as second:
            assert list(second.plugins) == ["marks"] and second.plugins["marks"].on is second
            assert "Plugin 'refuses', which the journal says there was" in caplog.text
            async with Worker(second.address) as worker:
                assert list(worker.plugins) == ["says"]
                assert worker.plugins["says"].on == worker.address

    run(main())


def test_a_torn_end_is_cut_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with await scheduler(tmp_path) as first, await client_of(first) as client:
            await (await Variable("v", client=client)).set(1)
        with tmp_path.joinpath("journal").open("ab") as file:
            file.write(b"half of a record")
        with caplog.at_level(logging.WARNING, "shoal.scheduler.journal"):
            async with await scheduler(tmp_path) as second, await client_of(second) as client:
                assert await (await Variable("v", client=client)).get() == 1
        assert "its last 16 bytes are no whole record" in caplog.text
        assert tmp_path.joinpath("journal.torn").read_bytes().endswith(b"half of a record")

    run(main())


def test_what_cannot_be_read_is_said_and_left(tmp_path: Path) -> None:
    async def main() -> None:
        tmp_path.joinpath("journal").write_bytes(b"somebody's own file, not a journal")
        with pytest.raises(JournalError, match="is no journal of shoal"):
            await scheduler(tmp_path)
        assert tmp_path.joinpath("journal").read_bytes().startswith(b"somebody's")

    run(main())


def test_a_full_disk_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        first = await scheduler(tmp_path, journal_sync="always")
        async with first, await client_of(first) as client:
            variable = await Variable("v", client=client)
            await variable.set(1)
            write = disks._write

            def full(fd: int, data: bytes) -> None:
                os.write(fd, data[:10])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            monkeypatch.setattr(disks, "_RETRY", 0.05)
            monkeypatch.setattr(disks, "_write", full)
            await variable.set(2)
            await variable.set(3)
            assert first.journal is not None and first.journal.writer is not None
            assert first.journal.writer.suspended
            assert "the cluster goes on" in caplog.text
            monkeypatch.setattr(disks, "_write", write)
            await until(lambda: not first.journal.writer.suspended)  # type: ignore[union-attr]
            assert "is written again" in caplog.text
        async with await scheduler(tmp_path) as second, await client_of(second) as client:
            assert await (await Variable("v", client=client)).get() == 3

    run(main())


def test_one_scheduler_writes_and_a_standby_waits(tmp_path: Path) -> None:
    async def main() -> None:
        first = await scheduler(tmp_path)
        with pytest.raises(JournalError, match="another scheduler writes the journal"):
            await scheduler(tmp_path)
        waits = asyncio.ensure_future(scheduler(tmp_path, standby=True))
        async with await client_of(first) as client:
            await (await Variable("v", client=client)).set(1)
        assert not waits.done()
        await first.close()
        async with await waits as second, await client_of(second) as client:
            assert await (await Variable("v", client=client)).get() == 1

    run(main())


def test_a_scheduler_that_lost_its_lease_answers_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        first = await scheduler(tmp_path)
        async with await client_of(first) as client:
            variable = await Variable("v", client=client)
            await variable.set(1)
            monkeypatch.setattr("shoal.scheduler.journal.lease._UNSURE", -1.0)
            taken = json.dumps({"owner": "another", "host": "elsewhere", "count": 1})
            tmp_path.joinpath("lease").write_text(taken.ljust(512), encoding="ascii")
            setting = asyncio.ensure_future(variable.set(2))
            await first.finished()
            assert not setting.done()
            setting.cancel()

    run(main())


def test_a_journal_beside_the_scheduler_file_goes_with_it(tmp_path: Path) -> None:
    async def main() -> None:
        file = tmp_path / "scheduler.json"
        more = {"host": "127.0.0.1", "scheduler_file": str(file), "journal": True}
        async with Scheduler(**more) as first, await client_of(first) as client:
            await (await Variable("v", client=client)).set(1)
            assert (tmp_path / "scheduler.json.journal" / "journal").exists()
        assert not list(tmp_path.iterdir())

    run(main())


def test_where_a_journal_is(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name a folder"):
        Scheduler(journal=True)
    with pytest.raises(ValueError, match="a standby goes on from"):
        Scheduler(standby=True)
    with pytest.raises(ValueError, match="journal_sync is one of"):
        Scheduler(journal=str(tmp_path), journal_sync="sometimes")


def double(x: int) -> int:
    return 2 * x


def write(path: str, x: int) -> None:
    Path(path).write_text(str(x), encoding="ascii")


@pytest.mark.process
@pytest.mark.timeout(120)
def test_a_standby_takes_over_from_a_killed_scheduler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOAL_SECRET", secrets.token_hex(16))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "log"

    def start(*words: str) -> subprocess.Popen[bytes]:
        place = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
        command = [sys.executable, "-m", "shoal", "scheduler", *place, *words]
        with log.open("ab") as file:
            return subprocess.Popen([*command, "--journal", str(tmp_path / "j")], stderr=file)

    first = start()
    wait_until(lambda: "Scheduler at" in log.read_text(encoding="utf-8"), 30)
    second = start("--standby")
    third = start("--standby")
    try:
        wait_until(lambda: log.read_text(encoding="utf-8").count("Standby: waiting") == 2, 30)
        third.send_signal(signal.SIGINT)
        third.wait(20)
        with Client(f"tcp://127.0.0.1:{port}", set_as_default=False) as client:
            queue = Queue("q", client=client)
            for n in range(10):
                queue.put(n)
            first.kill()
            assert [queue.get(timeout=60) for _ in range(10)] == list(range(10))
        second.send_signal(signal.SIGINT)
        assert second.wait(20) == 0
    finally:
        for process in (first, second, third):
            process.kill()
            process.wait()


@pytest.mark.process
@pytest.mark.timeout(120)
def test_a_killed_scheduler_knows_all_again(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    with LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, journal=str(folder)
    ) as cluster:
        with Client(cluster) as other:
            future = other.submit(double, 21, key="answer")
            scattered = other.scatter([1, 2, 3])
            other.publish_dataset(tasks=future, data=scattered)
            Queue("futures", client=other).put(other.submit(double, 4))
        with Client(cluster) as client:
            queue = Queue("q", client=client)
            for n in range(20):
                queue.put(n)
            lock, semaphore = Lock("l", client=client), Semaphore(2, "s", client=client)
            assert lock.acquire()
            assert semaphore.acquire()
            pid = client.run_on_scheduler(os.getpid)
            os.kill(pid, signal.SIGKILL)
            assert [queue.get() for _ in range(20)] == list(range(20))
            assert client.get_dataset("tasks").result() == 42
            assert client.gather(client.get_dataset("data")) == [1, 2, 3]
            assert Queue("futures", client=client).get().result() == 8
            assert lock.locked()
            assert semaphore.get_value() == 1
            lock.release()
            semaphore.release()
            wait_until(lambda: not lock.locked())
