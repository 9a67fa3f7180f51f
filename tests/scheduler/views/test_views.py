"""What plugins and functions at the scheduler see: types and values of the documented names."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, KeysView
from contextlib import asynccontextmanager
from typing import Any

import dask
import pytest
from helpers import run, until

from shoal import SchedulerPlugin
from shoal.client.client import Client
from shoal.core import Status
from shoal.scheduler.scheduler import Scheduler
from shoal.scheduler.views.client import ClientState
from shoal.scheduler.views.group import TaskGroup, TaskPrefix
from shoal.scheduler.views.memory import MemoryState
from shoal.scheduler.views.task import TaskState
from shoal.scheduler.views.worker import WorkerState
from shoal.worker.worker import Worker


def inc(x: int) -> int:
    return x + 1


def fail(x: int) -> None:
    raise ValueError(f"no {x}")


def wait_for(name: str) -> int:
    from shoal import Event

    Event(name).wait()
    return 1


@asynccontextmanager
async def cluster(
    n: int = 2, **kwargs: Any
) -> AsyncIterator[tuple[Client, Scheduler, list[Worker]]]:
    async with Scheduler(protocol="inproc", validate=True) as scheduler:
        workers = [
            await Worker(scheduler.address, nthreads=1, name=str(i), **kwargs) for i in range(n)
        ]
        try:
            async with Client(scheduler.address, asynchronous=True) as client:
                yield client, scheduler, workers
        finally:
            for worker in workers:
                await worker.close()


def test_tasks_by_the_users_keys() -> None:
    async def main() -> None:
        async with cluster() as (c, s, _):
            x = c.submit(inc, 1, key="x")
            y = c.submit(inc, x, key=("y", 0))
            await y
            assert set(s.tasks) == {"x", ("y", 0)} and len(s.tasks) == 2
            assert ("y", 0) in s.tasks and ("y", 1) not in s.tasks and 3j not in s.tasks
            assert s.tasks["y", 0].key == ("y", 0)
            assert s.tasks["x"] is s.tasks["x"]
            assert s.tasks.get("z") is None
            with pytest.raises(KeyError, match="z"):
                s.tasks["z"]
            assert repr(s.tasks["x"]) == "<TaskState 'x' memory>"

    run(main())


def test_attributes_of_a_task() -> None:
    async def main() -> None:
        async with cluster() as (c, s, _):
            x = c.submit(inc, 1, key="x")
            y = c.submit(inc, x, key="y", priority=3, retries=2, workers=["0"])
            await y
            a, b = s.tasks["x"], s.tasks["y"]
            assert type(a) is TaskState
            assert a.dependents == {b} and b.dependencies == {a} and a.dependencies == set()
            assert a.waiters == set() and a.waiting_on is None
            assert a.who_wants == {s.clients[c.id]}
            assert a.who_has <= set(s.workers.values()) and len(a.who_has) >= 1
            assert b.who_has == {s.workers[s.aliases["0"]]}
            assert b.worker_restrictions == {s.aliases["0"]} and a.worker_restrictions is None
            assert b.host_restrictions is None and b.resource_restrictions is None
            assert not b.loose_restrictions and not b.actor
            assert b.annotations == {"workers": ["0"], "retries": 2, "priority": 3}
            assert a.annotations == {} and a.retries == 0 and b.retries == 2
            assert a.suspicious == 0 and a.processing_on is None
            assert a.nbytes == a.get_nbytes() == b.get_nbytes_deps() > 0
            assert a.type == "int" and a.metadata is None
            assert a.exception is None and a.exception_blame is None and a.erred_on is None
            assert not a.has_lost_dependencies
            spec = a.run_spec
            assert spec is not None and spec.key == "x"
            assert a.priority < b.priority or b.priority[0] == -3

    run(main())


def test_a_task_that_failed() -> None:
    async def main() -> None:
        async with cluster() as (c, s, _):
            x = c.submit(fail, 1, key="x")
            y = c.submit(inc, x, key="y")
            with pytest.raises(ValueError, match="no 1"):
                await y
            a, b = s.tasks["x"], s.tasks["y"]
            assert a.state == b.state == "erred"
            assert a.exception is not None
            assert str(a.exception.deserialize()).startswith("no 1")
            assert a.exception_text and "no 1" in a.exception_text
            assert a.traceback is not None and "fail" in (a.traceback_text or "")
            assert b.exception_blame is a and a.exception_blame is a
            assert a.erred_on and a.erred_on <= set(s.workers)

    run(main())


def test_tasks_that_run_and_wait() -> None:
    async def main() -> None:
        async with cluster(1) as (c, s, [w]):
            x = c.submit(wait_for, "go", key="x")
            y = c.submit(inc, x, key="y")
            await until(lambda: s.tasks.get("x") and s.tasks["x"].state == "processing")
            a, b = s.tasks["x"], s.tasks["y"]
            ws = s.workers[w.address]
            assert a.processing_on is ws and ws.processing >= {a} and a.run_id > 0
            assert a.waiting_on == set() and b.waiting_on == {a} and a.waiters == {b}
            assert s.processing[w.address] >= {"x"}
            assert s.total_occupancy >= 0 and not s.is_idle and s.idle_since is None
            assert s.check_idle() is None and ws.occupancy >= 0
            assert ws.task_prefix_count["x"] == 1
            z = c.submit(inc, 1, key="z", resources={"gpu": 1})
            await until(lambda: "z" in s.tasks and s.tasks["z"].state == "no-worker")
            (ts,) = s.unrunnable
            assert ts is s.tasks["z"] and abs(s.unrunnable[ts] - time.time()) < 30
            assert ts.resource_restrictions == {"gpu": 1}
            await c.cancel([z])
            before = time.time()
            from shoal import Event

            await Event("go", client=c).set()
            assert await y == 2
            await until(lambda: s.is_idle)
            assert s.idle_since is not None and before - 1 < s.idle_since <= time.time() + 0.1
            assert set(s.idle) == {w.address} and s.idle_task_count == {ws}

    run(main())


def test_attributes_of_a_worker() -> None:
    async def main() -> None:
        async with cluster(2, resources={"GPU": 2}, memory_limit="1 GiB") as (c, s, [a, _]):
            ws = s.workers[a.address]
            assert type(ws) is WorkerState and ws is s.workers[a.address]
            assert (ws.address, ws.name, ws.nthreads) == (a.address, "0", 1)
            assert ws.memory_limit == 2**30 and ws.local_directory == a.local_directory
            assert ws.resources == {"GPU": 2} and ws.used_resources == {"GPU": 0}
            assert ws.status is Status.running and ws.nanny is None and ws.server_id == a.id
            assert isinstance(ws.versions, dict) and isinstance(ws.services, dict)
            assert isinstance(ws.extra, dict) and ws.scheduler is s and ws.scheduler_ref() is s
            x = await c.scatter(5, workers=[a.address])
            ts = s.tasks[x.key]
            assert isinstance(ws.has_what, KeysView) and list(ws.has_what) == [ts]
            assert ts in ws.has_what and ws.has_what & {ts} == {ts} and len(ws.has_what) == 1
            assert ws.nbytes == ts.nbytes and ws.actors == set() and ws.long_running == set()
            assert ws.needs_what == {} and ws.executing == {}
            await until(lambda: ws.metrics)
            assert isinstance(ws.memory, MemoryState) and ws.memory.process > 2**20
            assert isinstance(s.memory, MemoryState) and s.memory.process >= ws.memory.process
            assert abs(ws.last_seen - time.time()) < 30 and abs(ws.time_delay) < 5
            assert ws.identity()["name"] == "0" and ws.bandwidth > 0
            assert s.resources == {"GPU": dict.fromkeys(s.workers, 2)}
            assert s.aliases == {"0": a.address, "1": s.workers_list(["1"])[0]}
            assert s.total_memory == 2**31 and s.total_nthreads == 2
            info = s.host_info[ws.host]
            assert info["addresses"] == set(s.workers) and info["nthreads"] == 2

    run(main())


def test_clients_groups_and_prefixes() -> None:
    async def main() -> None:
        async with cluster() as (c, s, _):
            xs = c.map(inc, range(3))
            await c.gather(xs)
            cs = s.clients[c.id]
            assert type(cs) is ClientState and cs.client_key == c.id and str(cs) == c.id
            assert cs.wants_what == {s.tasks[x.key] for x in xs}
            assert isinstance(cs.versions, dict) and abs(cs.last_seen - time.time()) < 30
            ts = s.tasks[xs[0].key]
            group, prefix = ts.group, ts.prefix
            assert type(group) is TaskGroup and s.task_groups[group.name] is group
            assert type(prefix) is TaskPrefix and s.task_prefixes["inc"] is prefix
            assert group.prefix is prefix and group in prefix.groups and ts.group_key == group.name
            assert group.states["memory"] == 3 == len(group) and prefix.states["memory"] == 3
            assert group.types == {"int"} == prefix.types and group.done
            assert group.nbytes_total == prefix.nbytes_total == 3 * ts.nbytes
            assert 0 < group.start <= group.stop <= time.time() + 0.1
            assert group.duration >= 0 and prefix.duration_average >= 0
            assert prefix.suspicious == 0
            y = c.submit(sum, xs, key="total-1")
            await y
            assert s.tasks["total-1"].group.dependencies == {group}

    run(main())


def test_computations_are_told_apart_by_time() -> None:
    async def main() -> None:
        async with cluster() as (c, s, _):
            assert s.computations == deque()
            xs = c.map(inc, range(3))
            y = c.submit(sum, xs)
            await y
            await until(lambda: s.is_idle)
            (one,) = s.computations
            assert {group.prefix.name for group in one.groups} == {"inc", "sum"}
            assert one.states["memory"] == 4 and one.stop >= one.start > 0
            z = c.submit(inc, 100, key="later-1")
            await z
            first, second = s.computations
            assert second.start >= first.stop
            assert {group.name for group in second.groups} == {"later"}

    run(main())


def test_computations_have_the_code_of_who_sent_them() -> None:
    async def main() -> None:
        with dask.config.set({"distributed.diagnostics.computations.nframes": 1}):
            async with cluster() as (c, s, _):
                plugin = Graphs()
                s.add_plugin(plugin, name="graphs")
                x = c.submit(inc, 1, key="x")
                y = c.compute(dask.delayed(inc)(2, dask_key_name="y"))
                assert await c.gather([x, y]) == [2, 3]
                code = [texts for one in s.computations for texts in one.code]
                assert len(code) == 1 and "dask_key_name" in code[0][0]
                assert s.tasks["x"].annotations == {} and plugin.seen == [{}, {}]
        async with cluster() as (c, s, _):
            assert await c.submit(inc, 1) == 2
            assert [one.code for one in s.computations] in ([], [[]])

    run(main())


class Graphs(SchedulerPlugin):
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def update_graph(self, scheduler: Any, *, annotations: Any, **kwargs: Any) -> None:
        self.seen.append(annotations)


def test_the_log_of_changes() -> None:
    async def main() -> None:
        async with cluster() as (c, s, _):
            await c.gather(c.map(inc, range(3), pure=False))
            x = c.submit(inc, 1, key=("x", 0))
            await x
            log = s.transition_log
            assert len(log) == len(list(log)) > 4
            assert log[-1] == list(log)[-1] and log[0] == next(iter(log))
            assert log[1:3] == list(log)[1:3]
            with pytest.raises(IndexError):
                log[len(log)]
            story = s.story(("x", 0))
            assert [(e[0], e[1], e[2]) for e in story] == [
                (("x", 0), "released", "waiting"),
                (("x", 0), "waiting", "processing"),
                (("x", 0), "processing", "memory"),
            ]
            assert story[-1][3] == {} and abs(story[-1][5] - time.time()) < 30
            assert s.story(s.tasks["x", 0]) == story
            assert story[-1] in s.story(story[-1][4])
            assert await s.get_story([("x", 0)]) == story

    run(main())


def test_views_that_are_sent_are_texts() -> None:
    async def main() -> None:
        async with cluster() as (c, _s, _):
            x = c.submit(inc, 1, key="x")
            await x
            got = await c.run_on_scheduler(lambda dask_scheduler: dask_scheduler.tasks["x"])
            assert got == "<TaskState 'x' memory>"

    run(main())


def test_settings_and_sums() -> None:
    async def main() -> None:
        async with Scheduler(protocol="inproc", idle_timeout="5 minutes", worker_ttl=7) as s:
            assert s.idle_timeout == 300 and s.worker_ttl == 7 and s.no_workers_timeout is None
            assert s.allowed_failures == 3 and not s.validate and not s.jupyter
            assert abs(s.time_started - time.time()) < 30 and s.bandwidth == 100e6
            assert s.n_tasks == 0 and s.running == set() and s.saturated == set()
            assert s.queued == [] and s.replicated_tasks == set() and s.services == {}
            assert s.task_groups.copy() == {} and repr(s.workers) == "{}"
            assert s.idle_since is not None and s.idle_since <= time.time()

    run(main())


def test_sums_under_documented_names() -> None:
    async def main() -> None:
        async with cluster() as (c, s, workers):
            a, b = (w.address for w in workers)
            before = s.transition_counter
            x = c.submit(bytes, 2_000_000, key="x", workers=[a])
            y = c.submit(len, x, key="y", workers=[b])
            assert await y == 2_000_000
            assert s.transition_counter >= before + 4 and s.transition_counter_max is False
            assert s.task_prefixes["x"].state_counts["memory"] == 1
            assert ("execute", "x", "compute", "seconds") in s.cumulative_worker_metrics
            assert set(workers[1].bandwidth_types) == {"bytes"}
            for worker in workers:
                await worker.heartbeat()
            await until(lambda: s.bandwidth_types.keys() == {"bytes"})
            fetching = s.cumulative_worker_metrics["gather-dep", "network", "seconds"]
            assert fetching > 0 and s.UNKNOWN_TASK_DURATION == 0.5
            [(id, comm)] = s.client_comms.items()
            assert id == c.id == comm.client_key and not comm.closed()
            assert comm.peer_address and comm.local_address and c.id in repr(comm)
            with pytest.raises(TypeError, match="log_event"):
                comm.send({"op": "hello"})
            assert s.http_server is None and workers[0].http_server is None

    run(main())
