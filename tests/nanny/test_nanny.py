"""Nannies with real processes: start, ends of every kind, and what they say of them."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import dask.config
import pytest
from helpers import run, until

from shoal import Client, Scheduler
from shoal.core import Server, rpc
from shoal.errors import StartError
from shoal.nanny.nanny import Nanny
from shoal.wire.pickling import dumps, loads

pytestmark = pytest.mark.process


@pytest.fixture(autouse=True)
def _targets(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


class FakeScheduler(Server):
    """Notes the deaths that nannies tell of."""

    def __init__(self):
        self.deaths = []
        super().__init__({"worker_died": self.died})

    def died(self, address, reason, running):
        self.deaths.append((address, reason, running))

    async def start_unsafe(self):
        await self.listen("tcp://127.0.0.1:0", role="scheduler")


def nanny_of(scheduler, kind="Idle", **kwargs):
    kwargs.setdefault("nthreads", 1)
    return Nanny(scheduler.address, worker_class=f"worker_targets.{kind}", **kwargs)


def test_a_worker_gets_what_the_nanny_was_given():
    async def main():
        async with (
            FakeScheduler() as scheduler,
            nanny_of(
                scheduler,
                name="w",
                memory_limit="100 MB",
                resources={"GPU": 1},
                env={"SHOAL_TEST_FISH": 3},
                lifetime="1h",
            ) as nanny,
            rpc(nanny.worker_address) as worker,
        ):
            options = await worker.options()
            assert options["nthreads"] == "1"
            assert options["memory_limit"] == "100000000"
            assert options["resources"] == "{'GPU': 1}"
            assert options["lifetime"] == "'1h'"
            assert await worker.env(name="SHOAL_TEST_FISH") == "3"
            assert await worker.env(name="OMP_NUM_THREADS") == os.environ.get(
                "OMP_NUM_THREADS", "1"
            )
            identity = await scheduler.rpc(nanny.address).identity()
            assert identity["worker"] == nanny.worker_address
            assert identity["pid"] == nanny.pid

    run(main())


def test_a_worker_that_dies_is_replaced_and_its_death_explained():
    async def main():
        async with FakeScheduler() as scheduler, nanny_of(scheduler) as nanny:
            address, pid = nanny.worker_address, nanny.pid
            os.kill(pid, signal.SIGKILL)
            told = await scheduler.rpc(nanny.address).death(pid=pid)
            assert "SIGKILL" in told["reason"]
            await until(lambda: nanny.pid != pid and nanny.worker_address)
            assert nanny.worker_address != address
            await until(lambda: scheduler.deaths)
            assert scheduler.deaths == [(address, told["reason"], [])]
            assert (await nanny.death(pid=pid)) == told
            assert (await nanny.death(pid=1))["reason"] is None
            assert any("SIGKILL" in line for _, line in nanny.logs())

    run(main())


@pytest.mark.parametrize("restart", [False, True])
def test_a_worker_that_closes_on_purpose_is_replaced_only_when_it_asks(restart):
    async def main():
        async with FakeScheduler() as scheduler, nanny_of(scheduler) as nanny:
            pid = nanny.pid
            await scheduler.rpc(nanny.worker_address).quit(reason="old age", restart=restart)
            if restart:
                await until(lambda: nanny.pid != pid and nanny.worker_address)
            else:
                await asyncio.wait_for(nanny.finished(), 10)
            assert "old age" in (await nanny.death(pid=pid))["reason"]
            assert scheduler.deaths == []

    run(main())


def test_a_worker_that_cannot_start_says_why_at_once():
    async def main():
        async with FakeScheduler() as scheduler:
            with pytest.raises(StartError, match="no module named 'fish'"):
                async with nanny_of(scheduler, "Refusing"):
                    pass

    run(main())


def test_a_worker_that_never_comes_up_is_given_up(monkeypatch):
    async def main():
        async with FakeScheduler() as scheduler:
            nanny = nanny_of(scheduler, "Crashing")
            nanny._policy.pauses = (0.0,)
            nanny._policy.attempts = 2
            with pytest.raises(StartError, match="exit code 7"):
                await nanny
            assert nanny.status == "failed"

    run(main())


def test_a_worker_that_is_starting_can_be_ended():
    async def main():
        async with FakeScheduler() as scheduler:
            nanny = nanny_of(scheduler, "Stuck")
            starting = asyncio.ensure_future(nanny.start())
            await until(nanny.is_alive)
            assert await nanny.kill() == "OK"
            with pytest.raises(StartError, match="asked to"):
                await starting
            await nanny.close()

    run(main())


def test_kill_instantiate_restart_and_terminate():
    async def main():
        async with FakeScheduler() as scheduler, nanny_of(scheduler) as nanny:
            remote = scheduler.rpc(nanny.address)
            first = nanny.pid
            assert await remote.kill() == "OK"
            assert not nanny.is_alive()
            assert await remote.instantiate() == "running"
            second = nanny.pid
            assert await remote.instantiate() == "running"
            assert nanny.pid == second != first
            assert await remote.restart() == "OK"
            assert nanny.is_alive()
            assert nanny.pid != second
            assert await remote.terminate(reason="enough") == "OK"
            await asyncio.wait_for(nanny.finished(), 10)
            assert not nanny.is_alive()

    run(main())


def test_restarts_at_once_and_a_close_meanwhile():
    async def main():
        async with FakeScheduler() as scheduler:
            nanny = await nanny_of(scheduler)
            first = nanny.pid
            assert await asyncio.gather(nanny.restart(), nanny.restart()) == ["OK", "OK"]
            assert nanny.is_alive()
            assert nanny.pid != first
            restarting = asyncio.ensure_future(nanny.restart())
            await asyncio.sleep(0)
            await asyncio.wait_for(nanny.close(), 10)
            with pytest.raises(StartError, match="its nanny closes"):
                await restarting
            assert not nanny.is_alive()  # the restart began no other

    run(main())


def test_too_much_memory_ends_the_process(monkeypatch):
    async def main():
        async with (
            FakeScheduler() as scheduler,
            nanny_of(scheduler, memory_limit="200 MiB") as nanny,
        ):
            pid = nanny.pid
            await scheduler.rpc(nanny.worker_address).grow(nbytes=250_000_000, reply=False)
            await until(lambda: nanny.pid != pid and nanny.worker_address)
            assert "memory limit of 200.00 MiB" in (await nanny.death(pid=pid))["reason"]

    run(main())


def test_functions_run_in_the_nannys_process():
    async def main():
        async with FakeScheduler() as scheduler, nanny_of(scheduler, name="n") as nanny:
            remote = scheduler.rpc(nanny.address)

            def here(x, dask_worker):
                return x, dask_worker.name, os.getpid()

            reply = await remote.run(function=dumps(here), args=dumps((1,)))
            assert loads(reply["result"]) == (1, "n", os.getpid())
            reply = await remote.run(function=dumps(lambda: 1 / 0))
            assert reply["status"] == "error"
            assert "ZeroDivisionError" in reply["text"]
            assert (await remote.versions())["packages"]["dask"]

    run(main())


def test_the_processes_configuration_and_seed_of_hashes():
    async def main():
        with dask.config.set({"mine.here": 1}):
            async with (
                Scheduler(host="127.0.0.1") as scheduler,
                Nanny(scheduler.address, nthreads=1, config={"mine.given": 2}),
                Client(scheduler.address, asynchronous=True) as client,
            ):
                assert await client.submit(dask.config.get, "mine") == {"here": 1, "given": 2}
                seed = await client.submit(os.getenv, "PYTHONHASHSEED")
                assert seed == os.environ.get("PYTHONHASHSEED", "6640")

    run(main())
