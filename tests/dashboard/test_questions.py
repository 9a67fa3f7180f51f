"""What one viewer asks: tasks, workers, why the cluster waits, and what may be changed."""

from __future__ import annotations

import asyncio
from typing import Any

import dask
import pytest
from dashboard.conftest import PageViewer
from helpers import run, until

from shoal import Client, LocalCluster, Scheduler, Worker
from shoal.dashboard.questions import changes
from shoal.dashboard.questions.table import CHANGES, QUESTIONS


def double(x: int) -> int:
    return 2 * x


def fail(x: int) -> None:
    raise ValueError("on purpose")


class Cluster:
    """A scheduler with pages, one worker, a client and a viewer."""

    async def __aenter__(self) -> Cluster:
        self.scheduler = await Scheduler(protocol="inproc", dashboard_address=":0")
        self.worker = await Worker(self.scheduler.address, name="alice", nthreads=2)
        self.client = await Client(self.scheduler.address, asynchronous=True, set_as_default=False)
        self.viewer = await PageViewer.look(self.scheduler)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.viewer.leave()
        await self.client.close()
        await self.worker.close()
        await self.scheduler.close()


def test_every_question_is_answered_on_a_cluster_at_work() -> None:
    async def main() -> None:
        async with Cluster() as all_of_it:
            ask, c = all_of_it.viewer.ask, all_of_it.client
            x = c.submit(double, 1, key="x")
            y = c.submit(double, x, key="y")
            bad = c.submit(fail, 1, key="bad")
            await c.gather([x, y, bad], errors="skip")
            arguments: dict[str, dict[str, Any]] = {
                "task": {"key": "y"},
                "worker": {"address": all_of_it.worker.address},
            }
            for question in QUESTIONS:
                await ask(question, **arguments.get(question, {}))

    run(main())


def test_what_moves_between_workers_is_told() -> None:
    async def main() -> None:
        async with Cluster() as all_of_it:
            ask, c = all_of_it.viewer.ask, all_of_it.client
            assert await ask("fine") == []  # it is noted from now on
            other = await Worker(all_of_it.scheduler.address, name="bob")
            x = c.submit(bytes, 5000, key="x-1", workers=["alice"])
            moved = c.submit(len, x, key="shuffle-len-1", workers=["bob"])
            assert await moved == 5000
            spent = {(each["prefix"], each["action"]): each for each in await ask("fine")}
            assert spent["shuffle-len", "transfer"]["nbytes"] == 5000
            assert spent["x", "compute"]["count"] == 1
            rows = (await ask("around_tasks"))["rows"]
            assert [other.address, "transfer"] in [row[:2] for row in rows]
            assert (await ask("around_tasks", since=rows[-1][3]))["rows"] == []
            moving = await ask("shuffles")
            assert {each["name"] for each in moving["workers"]} == {"alice", "bob"}
            assert {"written_bytes", "read"} <= set(moving["workers"][0]["counters"])
            assert [group["size"] for group in moving["groups"]] == [1]
            await other.close()

    run(main())


def test_a_cluster_is_scaled_where_a_cluster_object_is() -> None:
    async def main() -> None:
        with dask.config.set({"shoal.dashboard.actions": True}):
            async with LocalCluster(
                n_workers=1,
                processes=False,
                dashboard_address=":0",
                asynchronous=True,
                scheduler_sync_interval=0.05,
            ) as cluster:
                viewer = await PageViewer.look(cluster.scheduler)
                adaptive = cluster.adapt(minimum=1, maximum=1)
                assert await viewer.ask("scale", n=2) == "2 workers"
                await until(lambda: len(cluster.scheduler.state.workers) == 2)
                assert cluster._adaptive is not adaptive
                for number in (-1, True, "3"):
                    with pytest.raises(PermissionError, match="number of workers"):
                        await viewer.ask("scale", n=number)
                await viewer.leave()

    run(main())


def test_nobody_is_there_to_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_PATIENCE", 0.05)

    async def main() -> None:
        with dask.config.set({"shoal.dashboard.actions": True}):
            async with Cluster() as all_of_it:
                with pytest.raises(PermissionError, match="no cluster object"):
                    await all_of_it.viewer.ask("scale", n=3)
                assert all_of_it.scheduler.identity()["scale_request"] is None

    run(main())


def test_a_task_is_explained() -> None:
    async def main() -> None:
        async with Cluster() as all_of_it:
            ask, c = all_of_it.viewer.ask, all_of_it.client
            x = c.submit(double, 1, key="x")
            y = c.submit(double, x, key="y")
            never = c.submit(double, 3, key="never", workers=["nobody"])
            bad = c.submit(fail, 1, key="bad-1")
            await c.gather([x, y, bad], errors="skip")
            told = await ask("task", key="y")
            assert (told["state"], told["dependencies"]) == ("memory", ["x"])
            assert told["holders"] == [all_of_it.worker.address]
            assert [step[1] for step in told["story"]][-1] == "memory"
            assert "nobody" in (await ask("task", key="never"))["why"]
            assert "not known" in (await ask("task", key="nothing"))["why"]
            why = {name: (count, some) for name, count, some in (await ask("why"))["states"]}
            assert why["no-worker"][0] == 1 and why["no-worker"][1][0][0] == "never"
            failures = await ask("exceptions")
            assert [(each["prefix"], each["count"]) for each in failures] == [("bad", 1)]
            assert "on purpose" in failures[0]["exception"]
            found = await ask("search", text="ad-", state="erred")
            assert [row[0] for row in found["tasks"]] == ["bad-1"]
            assert (await ask("search", worker="alice", prefix="x"))["tasks"][0][0] == "x"
            never.release()

    run(main())


def test_a_graph_is_drawn_unless_it_is_too_large() -> None:
    async def main() -> None:
        async with Cluster() as all_of_it:
            ask, c = all_of_it.viewer.ask, all_of_it.client
            x = c.submit(double, 1, key="x-1")
            y = c.submit(double, x, key="y-1")
            await y
            graph = await ask("graph")
            edge = [graph["keys"][i] for i in graph["edges"]]
            assert edge == ["x-1", "y-1"]
            groups = await ask("groups")
            names = [each["name"] for each in groups["groups"]]
            assert [names[i] for i in groups["edges"]] == ["x", "y"]
            with dask.config.set({"distributed.dashboard.graph-max-items": 1}):
                assert await ask("graph") == {"too_many": 2, "most": 1}

    run(main())


def test_a_worker_is_described_and_one_that_left_too() -> None:
    async def main() -> None:
        async with Cluster() as all_of_it:
            ask, c = all_of_it.viewer.ask, all_of_it.client
            x = c.submit(double, 1, key="x")
            await x
            told = await ask("worker", address=all_of_it.worker.address)
            assert told["name"] == "alice" and [row[0] for row in told["held"]] == ["x"]
            assert (await ask("worker", address="tcp://nowhere:1"))["gone"]

    run(main())


@pytest.mark.parametrize(
    ("question", "arguments", "said"),
    [
        ("nonsense", {}, "no question 'nonsense'"),
        ("task", {}, "'key'"),
        ("task", {"key": "x", "more": 1}, "'more'"),
        ("__class__", {}, "no question"),
    ],
)
def test_what_cannot_be_answered_is_said(
    question: str, arguments: dict[str, Any], said: str
) -> None:
    async def main() -> None:
        async with Cluster() as all_of_it:
            with pytest.raises(PermissionError, match=said):
                await all_of_it.viewer.ask(question, **arguments)
            await all_of_it.viewer.ask("counters")  # and the next one is answered

    run(main())


@pytest.mark.parametrize("text", ["nonsense", "[]", "{}", '{"number": "x", "question": "why"}'])
def test_who_speaks_nonsense_is_let_go(text: str) -> None:
    async def main() -> None:
        async with Cluster() as all_of_it:
            await all_of_it.viewer.send(text)
            await all_of_it.viewer.closed()

    run(main())


def test_nothing_changes_unless_it_is_allowed() -> None:
    async def main() -> None:
        async with Cluster() as all_of_it:
            for change in CHANGES:
                with pytest.raises(PermissionError, match=r"shoal\.dashboard\.actions"):
                    await all_of_it.viewer.ask(change)

    run(main())


def test_a_task_is_cancelled_and_a_worker_retired_where_it_is_allowed() -> None:
    async def main() -> None:
        with dask.config.set({"shoal.dashboard.actions": True}):
            async with Cluster() as all_of_it:
                ask, c, s = all_of_it.viewer.ask, all_of_it.client, all_of_it.scheduler
                never = c.submit(double, 3, key="never", workers=["nobody"])
                await until(lambda: "never" in s.state.tasks)
                assert await ask("cancel", key="never") == "never"
                await until(lambda: never.cancelled())
                gone = await ask("retire", worker=all_of_it.worker.address)
                assert gone == [all_of_it.worker.address]
                await until(lambda: not s.state.workers)

    run(main())


def test_many_questions_at_once_are_refused_not_queued() -> None:
    async def main() -> None:
        async with Cluster() as all_of_it:
            viewer = all_of_it.viewer
            for number in range(1000, 1040):
                await viewer.send(f'{{"number": {number}, "question": "hardware"}}')
            refused = 0
            for _ in range(40):
                while (message := await viewer.next())["kind"] != "answer":
                    pass
                refused += message["error"] == "too many questions at once"
            assert 0 < refused < 40
            await asyncio.sleep(0)

    run(main())
