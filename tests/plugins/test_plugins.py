"""Plugins of schedulers and workers: their hooks, names, latecomers, and those that raise."""

# mypy: disable-error-code="attr-defined"
# Plugins of the tests leave what they saw on the worker.

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from helpers import run, until

from shoal import Client, Scheduler, SchedulerPlugin, Worker, WorkerPlugin, wait


@asynccontextmanager
async def cluster(
    n: int = 1, **kwargs: Any
) -> AsyncIterator[tuple[Scheduler, list[Worker], Client]]:
    async with Scheduler(host="127.0.0.1", validate=True) as scheduler:
        workers = [await Worker(scheduler.address, nthreads=1, **kwargs) for _ in range(n)]
        try:
            async with Client(scheduler.address, asynchronous=True, set_as_default=False) as client:
                yield scheduler, workers, client
        finally:
            await asyncio.gather(*(worker.close() for worker in workers))


def inc(x: int) -> int:
    return x + 1


def div(x: int, y: int) -> float:
    return x / y


class Recorder(SchedulerPlugin):
    """Keeps all that it is told, in the order of the calls."""

    name = "recorder"

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    async def start(self, scheduler: Scheduler) -> None:
        self.calls.append(("start", scheduler.id))

    async def before_close(self) -> None:
        self.calls.append(("before_close",))

    async def close(self) -> None:
        self.calls.append(("close",))

    def update_graph(self, scheduler: Scheduler, **kwargs: Any) -> None:
        self.calls.append(("update_graph", kwargs))

    def restart(self, scheduler: Scheduler) -> None:
        self.calls.append(("restart",))

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        self.calls.append(("transition", key, start, finish, kwargs.get("worker")))

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        assert worker in scheduler.workers
        self.calls.append(("add_worker", worker))

    def remove_worker(self, scheduler: Scheduler, worker: str, **kwargs: Any) -> None:
        self.calls.append(("remove_worker", worker, kwargs["expected"]))

    def add_client(self, scheduler: Scheduler, client: str) -> None:
        self.calls.append(("add_client", client))

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        self.calls.append(("remove_client", client))

    def log_event(self, topic: str, msg: Any) -> None:
        self.calls.append(("log_event", topic, msg))

    def of(self, *kinds: str) -> list[tuple[Any, ...]]:
        return [call for call in self.calls if call[0] in kinds]


def test_a_scheduler_plugin_hears_of_everything() -> None:
    async def main() -> None:
        plugin = Recorder()
        async with cluster() as (scheduler, [a], client):
            await scheduler.register_scheduler_plugin(plugin)
            assert scheduler.plugins == {"recorder": plugin}
            x = client.submit(inc, 1, key=("x", 0), priority=3)
            y = client.submit(inc, x, key="y")
            assert await y == 3
            bad = client.submit(div, 1, 0, key="bad", retries=1)
            await wait(bad)
            async with (
                Worker(scheduler.address, nthreads=1) as b,
                Client(scheduler.address, asynchronous=True, set_as_default=False) as other,
            ):
                pass
            await until(lambda: plugin.of("remove_client"))
            await client.log_event("news", {"a": 1})
            graphs = [call[1] for call in plugin.of("update_graph")]
            assert graphs[0]["tasks"] == [("x", 0), "y"] or graphs[1]["tasks"] == ["y"]
            assert graphs[0]["client"] == client.id
            assert graphs[0]["priority"][("x", 0)][0] == -3
            assert graphs[0]["annotations"]["priority"] == {("x", 0): 3}
            del x, y
            await until(
                lambda: ("transition", ("x", 0), "memory", "forgotten", None) in plugin.calls
            )
        moves = [call[2:] for call in plugin.of("transition") if call[1] == ("x", 0)]
        assert moves == [
            ("released", "waiting", None),
            ("waiting", "processing", a.address),
            ("processing", "memory", a.address),
            ("memory", "forgotten", None),
        ]
        moves = [call[2:4] for call in plugin.of("transition") if call[1] == "bad"]
        assert (
            moves[:6]
            == [
                ("released", "waiting"),
                ("waiting", "processing"),
                ("processing", "waiting"),  # tried again
                ("waiting", "processing"),
                ("processing", "erred"),
                ("erred", "forgotten"),
            ][: len(moves)]
        )
        assert ("processing", "erred") in moves
        assert plugin.of("add_worker") == [("add_worker", b.address)]
        assert plugin.of("remove_worker")[0] == ("remove_worker", b.address, True)
        assert plugin.of("add_client") == [("add_client", other.id)]
        assert ("remove_client", other.id) in plugin.calls
        assert ("log_event", "news", {"a": 1}) in plugin.calls
        assert plugin.calls[0] == ("start", scheduler.id)
        assert plugin.of("before_close", "close") == [("before_close",), ("close",)]

    run(main())


def test_without_plugins_the_core_notes_nothing() -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc") as scheduler,
            Worker(scheduler.address, nthreads=1) as a,
        ):
            state = scheduler.core.state
            assert state.watch is None and not a.plugin_host.watching
            scheduler.add_plugin(Recorder())
            assert state.watch is not None
            scheduler.remove_plugin("recorder")
            assert state.watch is None
            with pytest.raises(ValueError, match="no scheduler plugin 'recorder'; there are: none"):
                scheduler.remove_plugin("recorder")

    run(main())


class Failing(SchedulerPlugin):
    name = "clumsy"

    def transition(self, *args: Any, **kwargs: Any) -> None:
        raise ValueError("no luck")

    async def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        raise KeyError("neither here")

    def update_graph(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("nor there")


def test_a_scheduler_plugin_that_raises_is_named_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with cluster() as (scheduler, _, client):
            await client.register_plugin(Failing())
            assert await client.submit(inc, 1) == 2
            async with Worker(scheduler.address, nthreads=1):
                await until(lambda: "add_worker" in caplog.text)

    with caplog.at_level(logging.ERROR, "shoal"):
        run(main())
    for hook in ("transition", "add_worker", "update_graph"):
        assert f"Plugin 'clumsy' failed in {hook}()" in caplog.text
    assert "no luck" in caplog.text


class Unwilling(SchedulerPlugin):
    def start(self, scheduler: Scheduler) -> None:  # type: ignore[override]
        raise ValueError("not today")


def test_registering_from_a_client() -> None:
    async def main() -> None:
        async with cluster() as (scheduler, _, client):
            await client.register_plugin(Recorder())
            first = scheduler.plugins["recorder"]
            await client.register_plugin(Recorder(), idempotent=True)
            assert scheduler.plugins["recorder"] is first
            await client.register_scheduler_plugin(Recorder)  # a class will do
            assert scheduler.plugins["recorder"] is not first
            assert ("close",) in first.calls
            await client.register_plugin(Recorder(), name="two")
            assert set(scheduler.plugins) == {"recorder", "two"}
            with pytest.raises(ValueError, match="not today"):
                await client.register_plugin(Unwilling())
            assert set(scheduler.plugins) == {"recorder", "two"}
            with pytest.raises(TypeError, match=r"a plugin is a SchedulerPlugin, .*dict"):
                await client.register_plugin({})

    run(main())


class Local(WorkerPlugin):
    """Keeps all that it is told on its worker."""

    def __init__(self, value: int = 0) -> None:
        self.value = value
        self.calls: list[tuple[Any, ...]] = []

    async def setup(self, worker: Worker) -> None:
        self.calls.append(("setup", worker.name))
        worker.seen = self.calls  # type: ignore[attr-defined]

    def teardown(self, worker: Worker) -> None:
        self.calls.append(("teardown",))

    def transition(self, key: Any, start: str, finish: str, **kwargs: Any) -> None:
        self.calls.append((key, start, finish))

    def release_key(self, key: Any, state: str, cause: Any, reason: Any, report: Any) -> None:
        self.calls.append(("release", key, state))


def test_a_worker_plugin_hears_of_tasks() -> None:
    async def main() -> None:
        async with cluster(2) as (_, [a, b], client):
            answers = await client.register_worker_plugin(Local(7), name="local")
            assert answers == {w.address: {"status": "OK"} for w in (a, b)}
            assert a.plugins["local"].value == 7
            # Smaller inputs would come with the task.
            x = client.submit(list, range(1000), key=("x", 0), workers=[a.address])
            y = client.submit(len, x, key="y", workers=[b.address])
            assert await y == 1000
            bad = client.submit(div, 1, 0, key="bad", workers=[a.address])
            await wait(bad)
            del x, y
            await until(lambda: ("release", ("x", 0), "memory") in a.seen)
            await until(lambda: ("release", ("x", 0), "memory") in b.seen)
            assert [c for c in a.seen if c[0] == ("x", 0)] == [
                (("x", 0), "released", "waiting"),
                (("x", 0), "waiting", "ready"),
                (("x", 0), "ready", "executing"),
                (("x", 0), "executing", "memory"),
                (("x", 0), "memory", "released"),
            ]
            assert (("x", 0), "flight", "memory") in b.seen
            assert ("bad", "executing", "error") in a.seen
            await client.unregister_worker_plugin("local")
            assert a.plugins == {} and not a.plugin_host.watching
            assert a.seen[-1] == ("teardown",)
            with pytest.raises(ValueError, match="no worker plugin 'local'"):
                await client.unregister_worker_plugin("local")

    run(main())


def test_workers_that_come_later_have_plugins_before_tasks() -> None:
    async def main() -> None:
        async with cluster(0) as (scheduler, _, client):
            await client.register_plugin(Local(1), name="local")
            await client.register_plugin(Local(2), name="local")
            future = client.submit(inc, 1)
            async with Worker(scheduler.address, nthreads=1) as late:
                assert await future == 2
                assert late.plugins["local"].value == 2
                assert late.seen[0][0] == "setup" and len(late.seen) > 1
            assert late.seen[-1] == ("teardown",)

    run(main())


def test_a_plugin_that_is_registered_while_a_worker_joins_reaches_it() -> None:
    async def main() -> None:
        async with cluster(0) as (scheduler, _, client):
            await client.register_plugin(Local(1), name="old")
            asked = scheduler.handlers["worker_plugins"]

            async def overtaken(**kwargs: Any) -> Any:
                known = asked(**kwargs)
                await scheduler.plugin_registry(False).remove("old")
                await client.register_plugin(Local(2), name="new")
                return known

            scheduler.handlers["worker_plugins"] = overtaken
            async with Worker(scheduler.address, nthreads=1) as late:
                await until(lambda: set(late.plugins) == {"new"})

    run(main())


class BadSetup(WorkerPlugin):
    name = "bad setup"

    def setup(self, worker: Worker) -> None:
        raise ValueError("no room here")


def test_a_worker_plugin_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with cluster() as (scheduler, [a], client):
            with pytest.raises(ValueError, match="no room here"):
                await client.register_plugin(BadSetup())
            assert a.plugins == {}
            async with Worker(scheduler.address, nthreads=1) as late:
                assert late.plugins == {}
                assert await client.submit(inc, 1, workers=[late.address]) == 2

    with caplog.at_level(logging.ERROR, "shoal"):
        run(main())
    assert "Plugin 'bad setup' failed in setup()" in caplog.text


def test_worker_callbacks() -> None:
    async def main() -> None:
        async with cluster() as (scheduler, [a], client):

            def mark(dask_worker: Worker) -> None:
                dask_worker.marked = True  # type: ignore[attr-defined]

            def plain() -> None:
                calls.append(1)

            calls: list[int] = []
            await client.register_worker_callbacks(mark)
            await client.register_worker_callbacks(setup=plain)
            async with Worker(scheduler.address, nthreads=1) as late:
                assert a.marked and late.marked
            with pytest.raises(TypeError, match="setup= must be a function"):
                await client.register_worker_callbacks(None)

    run(main())


def test_another_scheduler_takes_no_plugins_away() -> None:
    async def main() -> None:
        async with cluster() as (scheduler, [a], client):
            await client.register_plugin(Local(1), name="old")
            known = scheduler.plugin_registry(False).known()
            await a.plugin_host.sync(known["plugins"], known["change"])
            blob = known["plugins"]["old"]
            await a.plugin_host.sync({"new": blob}, "another-scheduler/1")
            assert set(a.plugins) == {"old", "new"}
            await a.plugin_host.sync({}, "another-scheduler/2")
            assert set(a.plugins) == set()

    run(main())


class BadEnd(WorkerPlugin):
    name = "bad end"

    def teardown(self, worker: Worker) -> None:
        raise ValueError("stuck")


class BadClose(SchedulerPlugin):
    name = "bad close"

    async def close(self) -> None:
        raise ValueError("stuck as well")


def test_plugins_whose_end_fails_are_gone_and_say_so() -> None:
    async def main() -> None:
        async with cluster() as (scheduler, [a], client):
            await client.register_plugin(BadEnd())
            await client.register_plugin(BadEnd())  # in its place: the old one's error is logged
            with pytest.raises(ValueError, match="stuck"):
                await client.unregister_worker_plugin("bad end")
            assert a.plugins == {}
            await client.register_plugin(BadClose())
            await client.register_plugin(BadClose())
            with pytest.raises(ValueError, match="stuck as well"):
                await client.unregister_scheduler_plugin("bad close")
            assert scheduler.plugins == {}
            await client.register_plugin(BadEnd())  # and closing goes on

    run(main())


def test_arguments_of_a_plugin_that_is_made_already_are_refused() -> None:
    async def main() -> None:
        async with cluster() as (_, [a], client):
            with pytest.raises(TypeError, match="'nonsense' are arguments of a plugin's class"):
                await client.register_worker_plugin(Local(), name="x", nonsense=True)
            assert a.plugins == {}
            await client.register_worker_plugin(Local, name="x", value=3)
            assert a.plugins["x"].value == 3

    run(main())
