"""Values between workers and clients of one host: mapped where that is possible, sent where not."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import dask.config
import numpy as np
import pytest
from helpers import run, until

from shoal.client.client import Client
from shoal.core import rpc
from shoal.scheduler.scheduler import Scheduler
from shoal.shared_memory import SharedBlob, blob, host_identity
from shoal.worker.worker import Worker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")

SIZE = 2 << 20


@asynccontextmanager
async def cluster(**kwargs: Any) -> AsyncIterator[tuple[Worker, Worker, Client]]:
    """Two workers and a client, all in this loop, connected by sockets."""
    async with (
        Scheduler(host="127.0.0.1", validate=True) as scheduler,
        Worker(scheduler.address, name="a", nthreads=1, validate=True, **kwargs) as a,
        Worker(scheduler.address, name="b", nthreads=1, validate=True, **kwargs) as b,
        Client(scheduler.address, asynchronous=True) as client,
    ):
        yield a, b, client


@pytest.fixture(autouse=True)
def _no_file_stays_open() -> Iterator[None]:
    before = segments()
    with dask.config.set({"shoal.shared-memory.pool-idle": "50ms"}):
        yield
    assert segments() == before


def segments() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            link = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if "memfd:shoal" in link:
            found.append(f"{name}: {link}")
    return found


def ones(n: int = SIZE) -> Any:
    return np.ones(n, "u1")


def full(value: int) -> Any:
    return np.full(SIZE, value, "u1")


def inodes(worker: Worker, key: str) -> list[int]:
    copy = worker.store.shared(key)
    assert copy is not None
    pid, files = copy.reference()["pid"], copy.reference()["files"]
    return [os.stat(f"/proc/{pid}/fd/{number}").st_ino for number in files]


def write(array: Any, value: int) -> int:
    assert array.flags.writeable
    array[:] = value
    return int(array.sum())


def total(array: Any) -> int:
    return int(array.sum())


def same(value: Any) -> Any:
    return value


def test_readers_write_and_nobody_sees_it() -> None:
    async def main() -> None:
        async with cluster() as (a, b, client):
            x = client.submit(ones, workers=["a"], key="x")
            assert await client.submit(write, x, 3, workers=["b"]) == 3 * SIZE
            assert b.store.shared("x") is not None  # for others who ask b
            result = await x
            result[:] = 5
            assert total(a.store.get("x")) == SIZE
            assert total(await x) == SIZE
            assert await client.submit(total, x, workers=["a"], pure=False) == SIZE

    run(main())


def test_all_readers_share_one_copy_whomever_they_ask() -> None:
    async def main() -> None:
        async with cluster() as (a, b, client):
            x = client.submit(ones, workers=["a"], key="x")
            await client.submit(total, x, workers=["b"])
            mine = host_identity()
            for worker in (a, b):
                async with rpc(worker.address) as remote:
                    answer = await remote.get_data(keys=["x", "y"], host=mine)
                assert answer["data"] == {} and answer["missing"] == ["y"]
                copy = SharedBlob.open(answer["shared"]["x"])
                inode = os.fstat(copy._segment._descriptors[0]).st_ino
                copy.close()
                if worker is a:
                    first = inode
            assert inode == first
            assert a.store.shared_bytes == SIZE and b.store.shared_bytes == 0
            assert a.memory()["process"] - a.report.own()["memory"] >= SIZE // 2

    run(main())


def test_a_released_value_frees_its_memory() -> None:
    async def main() -> None:
        async with cluster() as (a, b, client):
            x = client.submit(ones, workers=["a"], key="x")
            y = client.submit(total, x, workers=["b"])
            await y
            assert segments()
            x.release()
            y.release()
            await until(lambda: not segments())
            assert a.store.shared_bytes == b.store.shared_bytes == 0

    run(main())


def test_the_memory_of_a_released_value_is_used_for_the_next() -> None:
    async def main() -> None:
        async with cluster() as (a, _, client):
            first = client.submit(ones, workers=["a"], key="first")
            mine = await first
            mine[:5] = 7
            (inode,) = inodes(a, "first")
            first.release()
            await until(lambda: a.store.pool.files == 1)
            second = client.submit(ones, workers=["a"], key="second")
            kept = await second  # the first is still mapped here
            assert inodes(a, "second") != [inode] and mine.sum() == SIZE + 30
            second.release()
            await until(lambda: a.store.pool.files == 2)
            del kept, mine
            third = client.submit(full, 3, workers=["a"], key="third")
            assert await client.submit(write, third, 2, workers=["b"]) == 2 * SIZE
            assert total(await third) == 3 * SIZE == total(a.store.get("third"))
            assert len(segments()) == 3  # one of the two, twice: a has it, and b who lends it on
            assert a.store.pool.files == 1

    with dask.config.set({"shoal.shared-memory.pool-idle": "60s"}):
        run(main())


def test_a_reference_that_is_too_old_costs_another_request() -> None:
    async def main() -> None:
        async with cluster() as (a, b, client):
            first = client.submit(ones, workers=["a"], key="first")
            await first
            lend, asked = a.exchange._lend, []
            stale = await lend(["first"])
            first.release()
            await until(lambda: a.store.pool.files == 1)
            second = client.submit(full, 5, workers=["a"], key="second")
            await second

            async def lend_late(keys: list[str]) -> dict[str, Any]:
                asked.append(keys)
                return dict.fromkeys(keys, stale["first"])

            a.exchange._lend = lend_late  # type: ignore[method-assign]
            assert await client.submit(total, second, workers=["b"]) == 5 * SIZE
            assert asked == [["second"]] and b.store.shared("second") is None

    with dask.config.set({"shoal.shared-memory.pool-idle": "60s"}):
        run(main())


def test_without_a_pool_memory_is_given_back_at_once() -> None:
    async def main() -> None:
        async with cluster() as (a, _, client):
            x = client.submit(ones, workers=["a"], key="x")
            await x
            assert segments() and a.store.pool.max_bytes == 0
            x.release()
            await until(lambda: "x" not in a.store)
            assert segments() == []

    with dask.config.set({"shoal.shared-memory": {"pool": 0, "pool-idle": "60s"}}):
        run(main())


def test_scattered_values_are_written_into_the_memory_of_others_that_are_gone() -> None:
    async def main() -> None:
        async with cluster() as (a, b, client):
            for value in range(1, 4):
                x = await client.scatter(full(value), broadcast=True)
                assert total(a.store.get(x.key)) == total(b.store.get(x.key)) == value * SIZE
                assert len(segments()) == 3  # one memory: the client has it, and both workers
                del x
                await until(lambda: len(segments()) == 1)
            await client.close()
            assert segments() == []

    with dask.config.set({"shoal.shared-memory.pool-idle": "60s"}):
        run(main())


def test_room_is_made_of_the_pool() -> None:
    async def main() -> None:
        async with cluster(memory_limit="20 GiB") as (a, _, client):
            x = client.submit(ones, workers=["a"], key="x")
            await x
            x.release()
            await until(lambda: a.store.pool.files == 1)
            spill = a.machine.state.settings.memory_spill
            used = {"process": int(spill * 20 * 2**30) - SIZE // 2, "limit": 20 * 2**30}  # type: ignore[operator]
            a.memory = lambda: used  # type: ignore[method-assign]
            y = client.submit(ones, workers=["a"], key="y")
            await y
            assert a.store.pool.files == 0 and a.store.shared("y") is not None
            used["process"] += SIZE
            z = client.submit(ones, workers=["a"], key="z")
            assert total(await z) == SIZE
            assert a.store.shared("z") is None

    with dask.config.set({"shoal.shared-memory.pool-idle": "60s"}):
        run(main())


@pytest.mark.parametrize("size", [1 << 10, 900_000])
def test_small_values_are_sent(size: int) -> None:
    async def main() -> None:
        async with cluster() as (_, _, client):
            x = client.submit(ones, size, workers=["a"], key="x")
            assert await client.submit(write, x, 2, workers=["b"]) == 2 * size
            assert segments() == []

    run(main())


def test_values_that_the_configuration_keeps_from_it_are_sent() -> None:
    async def main(changes: dict[str, Any]) -> None:
        with dask.config.set(changes):
            async with cluster() as (_, _, client):
                x = client.submit(ones, workers=["a"], key="x")
                assert await client.submit(write, x, 2, workers=["b"]) == 2 * SIZE
                (await x)[:] = 7
                y = await client.scatter(ones(), workers=["a"], hash=False)
                assert await client.submit(total, y, workers=["b"]) == SIZE
                assert segments() == []

    run(main({"shoal.shared-memory.from": None}))
    run(main({"shoal.shared-memory.from": "10 MiB"}))


def test_without_room_values_are_sent() -> None:
    async def main(changes: dict[str, Any], **kwargs: Any) -> None:
        with dask.config.set(changes):
            async with cluster(**kwargs) as (_, _, client):
                x = client.submit(ones, workers=["a"], key="x")
                assert await client.submit(write, x, 2, workers=["b"]) == 2 * SIZE
                assert segments() == []

    run(main({"shoal.shared-memory.keep": 0}))
    run(main({"shoal.shared-memory.keep": 1e-4}, memory_limit="1 GiB"))
    # So little that this process is above it already: what would be copied would go to disk.
    run(main({}, memory_limit="50 MiB", memory_pause_fraction=False, memory_target_fraction=False))


@pytest.mark.parametrize("problem", [PermissionError(13, "no"), ValueError("not it")])
def test_what_cannot_be_opened_is_sent(problem: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(reference: Any) -> Any:
        raise problem

    monkeypatch.setattr(blob.Segment, "open", refuse)

    async def main() -> None:
        async with cluster() as (_, b, client):
            x = client.submit(ones, workers=["a"], key="x")
            assert await client.submit(write, x, 2, workers=["b"]) == 2 * SIZE
            assert b.store.shared("x") is None
            assert total(await x) == SIZE
            y = await client.scatter(ones(), workers=["a"], hash=False)
            assert await client.submit(total, y, workers=["b"]) == SIZE

    run(main())


def test_what_cannot_be_copied_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "memfd_create", fail)
    test_what_cannot_be_opened_is_sent(PermissionError(13, "no"), monkeypatch)


def test_who_is_elsewhere_gets_bytes() -> None:
    async def main() -> None:
        async with cluster() as (a, _, client):
            x = client.submit(ones, workers=["a"], key="x")
            await client.submit(same, x, workers=["b"])
            for host in (None, "another"):
                async with rpc(a.address) as remote:
                    answer = await remote.get_data(keys=["x"], host=host)
                assert answer["shared"] == {} and answer["data"]["x"].nbytes() > SIZE

    run(main())


def test_many_who_ask_at_once_wait_for_one_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    write_blob = SharedBlob.write

    def counted(value: Any, pool: Any) -> SharedBlob:
        made.append(value)
        return write_blob(value, pool)

    monkeypatch.setattr(SharedBlob, "write", counted)

    async def main() -> None:
        async with cluster() as (a, _, client):
            await client.submit(ones, workers=["a"], key="x")
            x = client.submit(ones, workers=["a"], key="x")
            await x
            made.clear()
            a.store._shared_copies.close()
            async with rpc(a.address) as one, rpc(a.address) as two:
                await asyncio.gather(
                    *(r.get_data(keys=["x"], host=host_identity()) for r in (one, two))
                )
            assert len(made) == 1

    run(main())


def test_a_value_on_disk_is_read_and_sent() -> None:
    async def main() -> None:
        async with cluster() as (a, _, client):
            x = client.submit(ones, workers=["a"], key="x")
            y = client.submit(total, x, workers=["b"], key="y")
            await y
            await asyncio.to_thread(a.store.evict, 10 * SIZE)
            assert a.store.is_on_disk("x")
            result = await x
            result[:] = 3
            assert total(result) == 3 * SIZE
            assert total(a.store.get("x")) == SIZE

    run(main())


def test_scattered_values_are_mapped_by_all_workers() -> None:
    async def main() -> None:
        async with cluster() as (a, b, client):
            mine = ones()
            x = await client.scatter({"x": mine, "small": 5}, broadcast=True)
            mine[:] = 9
            assert await client.submit(write, x["x"], 3, workers=["a"]) == 3 * SIZE
            assert total(b.store.get("x")) == SIZE and b.store.get("small") == 5
            # The client's own copy is gone; both workers have the memory open, and lend it on.
            await until(lambda: len(segments()) == 2)
            assert a.store.shared_bytes == b.store.shared_bytes == 0
            del x
            await until(lambda: not segments())

    run(main())


def test_scattering_to_a_worker_that_dies_is_an_error_and_leaves_nothing() -> None:
    async def main() -> None:
        async with cluster() as (a, _, client):

            async def hang_up(comm: Any, **_: Any) -> None:
                comm.abort()

            a.handlers["update_data"] = hang_up
            with pytest.raises(OSError):
                await client.scatter(ones(), workers=["a"], direct=True)
            await until(lambda: not segments())

    run(main())


def test_within_one_process_objects_are_handed_over() -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc") as scheduler,
            Worker(scheduler.address, name="a", nthreads=1),
            Client(scheduler.address, asynchronous=True) as client,
        ):
            await client.scatter(ones(), hash=False)
            assert total(await client.submit(ones)) == SIZE
            assert segments() == []

    run(main())
