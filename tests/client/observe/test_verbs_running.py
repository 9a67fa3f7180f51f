"""What runs and ran: call stacks, profiles, task streams, and the pages that show them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dask
import pytest
from helpers import recorded_in, run, until

from shoal import Client, LocalCluster, Scheduler, Worker, get_task_stream
from shoal.diagnostics.profile import new_tree
from shoal.diagnostics.profile_page import profile_page
from shoal.diagnostics.stream_recording import stream_page

GATES: dict[str, threading.Event] = {}
BUSY: set[str] = set()


def inc(x: int) -> int:
    return x + 1


def div(x: int, y: int) -> float:
    return x / y


def block_inside(name: str) -> str:
    BUSY.add(name)
    assert GATES[name].wait(20)
    return name


def block(name: str) -> str:
    return block_inside(name)


def slow_spin(seconds: float) -> int:
    n, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        n += 1
    return n


@asynccontextmanager
async def cluster(n: int = 2) -> AsyncIterator[tuple[Scheduler, list[Worker], Client]]:
    async with Scheduler(host="127.0.0.1", validate=True) as scheduler:
        workers = [await Worker(scheduler.address, nthreads=1) for _ in range(n)]
        try:
            async with Client(scheduler.address, asynchronous=True, set_as_default=False) as client:
                yield scheduler, workers, client
        finally:
            await asyncio.gather(*(worker.close() for worker in workers))


def test_call_stack() -> None:
    async def main() -> None:
        GATES["stack"] = threading.Event()
        async with cluster() as (_, _, c):
            assert await c.call_stack() == {}
            future = c.submit(block, "stack", key=("b", 1))
            other = c.submit(inc, 1)
            await until(lambda: "stack" in BUSY)
            assert await other == 2
            for found in (
                await c.call_stack(),
                await c.call_stack([future]),
                await c.call_stack(keys=[("b", 1)]),
            ):
                ((lines,),) = (stacks.values() for stacks in found.values())
                text = "\n".join(lines)
                assert "in block_inside" in text and "in block\n" in text
                assert "GATES[name].wait(20)" in text
                assert "shoal/worker" not in text
            assert await c.call_stack([other]) == {}
            GATES["stack"].set()
            await future

    run(main())


def names(tree: dict[str, Any]) -> set[str]:
    found = {tree["description"]["name"]}
    for child in tree["children"].values():
        found |= names(child)
    return found


def test_profile(tmp_path: Path) -> None:
    async def main() -> None:
        with dask.config.set({"distributed.worker.profile.cycle": "20ms"}):
            async with cluster() as (_, workers, c):
                before = time.time()
                futures = [c.submit(slow_spin, 0.3, pure=False) for _ in range(2)]
                await c.gather(futures)
                GATES["p"] = threading.Event()
                blocked = c.submit(block, "p")
                await until(lambda: "p" in BUSY)

                async def seen() -> bool:
                    return "block_inside" in names(await c.profile())

                await until(seen)
                GATES["p"].set()
                await blocked
                tree = await c.profile(key="slow_spin")
                assert tree["count"] > 5 and "slow_spin" in names(tree)
                assert "block_inside" not in names(tree)
                assert (await c.profile(stop=before - 10))["count"] == 0
                assert (await c.profile(start=before, stop="0s"))["count"] > 5
                by_worker = await c.profile(merge_workers=False, workers=[workers[0].address])
                assert set(by_worker) == {workers[0].address}
                tree, page = await c.profile("slow_spin", filename=str(tmp_path / "p.html"))
                assert (tmp_path / "p.html").read_text() == page.html
                told = str(recorded_in(page.html)["answers"]["profile"])
                assert "slow_spin(seconds" in told or "while time.perf_counter" in told
                assert (await c.profile(server=True))["count"] >= 0
                assert (await c.profile(scheduler=True))["identifier"] == "root"

    run(main())


def dive(depth: int, seconds: float) -> int:
    return dive(depth - 1, seconds) if depth else slow_spin(seconds)


def test_profiles_of_deep_recursion_travel() -> None:
    async def main() -> None:
        with dask.config.set({"distributed.worker.profile.cycle": "10ms"}):
            async with cluster(1) as (_, _, c):
                await c.submit(dive, 400, 0.5)
                tree, depth = await c.profile("dive"), 0
                while tree["children"]:
                    (tree,) = tree["children"].values()
                    depth += 1
                assert tree["description"]["name"] == "dive" and depth >= 50

    run(main())


@pytest.mark.process
def test_profiles_of_servers() -> None:
    """What the loop of a worker, and that of the scheduler, is busy with."""

    async def on_scheduler(dask_scheduler: Any) -> None:
        slow_spin(0.2)

    async def on_worker(dask_worker: Any) -> None:
        slow_spin(0.2)

    with (
        dask.config.set({"distributed.worker.profile.cycle": "10ms"}),
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as own,
        Client(own, set_as_default=False) as c,
    ):
        c.run(on_worker)
        c.run_on_scheduler(on_scheduler)
        assert "on_worker" in names(c.profile(server=True))
        assert "on_scheduler" in names(c.profile(scheduler=True))
        assert "on_worker" not in names(c.profile())


def test_profiles_can_be_switched_off() -> None:
    async def main() -> None:
        with dask.config.set({"distributed.worker.profile.enabled": False}):
            async with cluster(1) as (_, _, c):
                await c.submit(slow_spin, 0.1)
                assert (await c.profile())["count"] == 0
                threads = [t.name for t in threading.enumerate()]
                assert "shoal-profile" not in threads

    run(main())


def test_task_stream(tmp_path: Path) -> None:
    async def main() -> None:
        async with cluster() as (s, [a, b], c):
            await c.submit(inc, 0)
            assert not s.stream_record.on
            assert await c.get_task_stream() == []
            start = time.time()
            # A number would come with the task: nothing would be transferred.
            x = c.submit(list, range(1000), key=("x", 1), workers=[a.address])
            y = c.submit(len, x, key="y", workers=[b.address])
            bad = c.submit(div, 1, 0, key="bad", workers=[b.address])
            await y
            await asyncio.wait([asyncio.ensure_future(bad.exception())])
            records = {record["key"]: record for record in await c.get_task_stream()}
            assert set(records) == {("x", 1), "y", "bad"}
            assert records[("x", 1)]["worker"] == a.address
            assert records["y"]["type"] == "builtins.int" or records["y"]["type"] == "int"
            assert records["y"]["thread"] and records["y"]["status"] == "OK"
            assert records["bad"]["status"] == "error"
            actions = [span["action"] for span in records["y"]["startstops"]]
            assert actions[0] == "transfer" and actions[-1] == "compute"
            assert records["y"]["startstops"][0]["source"] == a.address
            assert len(await c.get_task_stream(count=2)) == 2
            assert len(await c.get_task_stream(start=start)) == 3
            assert await c.get_task_stream(start=start - 60, stop="50s") == []
            async with Worker(s.address, nthreads=1) as late:
                await c.submit(inc, 5, key="late", workers=[late.address])
                (record,) = await c.get_task_stream(count=1)
                assert record["key"] == "late" and record["thread"]
            (record,) = await c.get_task_stream(count=1)
            assert record["key"] == "late"  # without its worker's notes
            path = tmp_path / "t.html"
            records, page = await c.get_task_stream(plot="save", filename=str(path))
            assert path.read_text() == page.html
            (stream,) = recorded_in(page.html)["frames"][0]["streams"]
            assert "y" in stream["keys"]
            with pytest.raises(TypeError, match="async with"), get_task_stream(c):
                pass
            async with get_task_stream(c) as ts:
                await c.submit(inc, 7, key="in the block")
            assert [record["key"] for record in ts.data] == ["in the block"]

    run(main())


def test_task_stream_of_a_sync_client(tmp_path: Path) -> None:
    with Client(processes=False, n_workers=1, dashboard_address=None) as client:
        path = tmp_path / "ts.html"
        with get_task_stream(plot="save", filename=str(path)) as ts:
            client.gather(client.map(inc, range(5)))
        assert len(ts.data) == 5
        assert ts.figure.html == path.read_text()
        assert "iframe" in ts.figure._repr_html_()


@pytest.mark.parametrize("page", [profile_page(new_tree()), stream_page([])])
def test_pages_of_nothing(page: Any) -> None:
    assert "</html>" in page.html
