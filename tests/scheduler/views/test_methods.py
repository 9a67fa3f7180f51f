"""What plugins and functions at the scheduler have it do, by the documented names."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from helpers import run, until

from shoal import SchedulerPlugin
from shoal.client.admin.dump import DumpArtefact
from shoal.client.client import Client
from shoal.scheduler.scheduler import Scheduler
from shoal.worker.worker import Worker

from .test_views import cluster, fail, inc


def test_retire_workers() -> None:
    async def main() -> None:
        async with cluster(3) as (c, s, [a, b, d]):
            x = await c.scatter(1, workers=[a.address])
            told = await s.retire_workers([s.workers[a.address]])
            assert set(told) == {a.address} and told[a.address]["name"] == "0"
            await until(lambda: a.address not in s.workers)
            assert await x == 1
            told = await s.retire_workers(names=["1"], remove=False)
            assert set(told) == {b.address} and b.address in s.workers
            with pytest.raises(TypeError, match="n beside"):
                await s.retire_workers([d.address], n=1)

    run(main())


def test_workers_to_close() -> None:
    async def main() -> None:
        never = dict.fromkeys(("target", "spill", "pause"), False)
        fractions = {f"memory_{name}_fraction": never[name] for name in never}
        async with cluster(4, memory_limit="100 MB", **fractions) as (c, s, [a, b, d, e]):
            assert set(s.workers_to_close(minimum=3)) <= set(s.workers)
            assert len(s.workers_to_close(minimum=3)) == 1
            assert len(s.workers_to_close(n=2)) == 2 and s.workers_to_close(n=0) == []
            assert len(s.workers_to_close(target=1, attribute="name")) == 3
            assert set(s.workers_to_close(target=0, attribute="name")) == {"0", "1", "2", "3"}
            await c.scatter(b"x" * 60_000_000, workers=[a.address])
            assert a.address not in s.workers_to_close(target=1)
            # Twice as much room as data stays: two workers, or more with a larger ratio.
            assert len(s.workers_to_close()) == 2 and len(s.workers_to_close(memory_ratio=4)) == 1
            pair = {a.address: 0, b.address: 0, d.address: 1, e.address: 1}
            closed = s.workers_to_close(key=lambda ws: pair[ws.address])
            assert set(closed) == {d.address, e.address}

            class Keeper(SchedulerPlugin):
                def valid_workers_downscaling(self, scheduler: Any, workers: Any) -> Any:
                    return [ws for ws in workers if ws.address != e.address]

            s.add_plugin(Keeper(), name="keeper")
            assert e.address not in s.workers_to_close(n=3)
            assert s.adaptive_target() >= 0 and s.adaptive_target(target_duration="1s") >= 0

    run(main())


def test_remove_worker_and_close_worker() -> None:
    async def main() -> None:
        async with cluster(3) as (c, s, [a, b, d]):
            assert await s.remove_worker(a.address, stimulus_id="test") == "OK"
            assert await s.remove_worker(a.address, stimulus_id="test") == "already-removed"
            assert a.address not in s.workers
            s.close_worker(b.address)
            await until(lambda: set(s.workers) == {d.address})
            assert await c.submit(inc, 1) == 2

    run(main())


def test_broadcast_and_proxy() -> None:
    async def main() -> None:
        async with cluster() as (_, s, [a, b]):
            told = await s.broadcast(msg={"op": "identity"})
            assert set(told) == {a.address, b.address}
            told = await s.broadcast(msg={"op": "echo", "data": 5}, workers=["0"])
            assert told == {a.address: 5}
            assert await s.proxy(msg={"op": "echo", "data": 7}, worker="1") == 7
            told = await s.broadcast(msg={"op": "nonsense"}, on_error="return")
            assert all(answer["status"] == "error" for answer in told.values())

    run(main())


def test_names_of_workers() -> None:
    async def main() -> None:
        async with cluster() as (c, s, [a, b]):
            assert s.workers_list(None) == [a.address, b.address]
            assert s.workers_list(["1"]) == [b.address]
            assert s.coerce_address("0") == a.address == s.coerce_address(a.address)
            assert s.coerce_address("127.0.0.1:80") == "tcp://127.0.0.1:80"
            assert s.coerce_hostname("0") == s.workers[a.address].host
            assert s.coerce_hostname("somewhere") == "somewhere"
            assert s.get_worker_service_addr(a.address, "nothing") is None
            x = await c.scatter(b"x" * 1_000_000, workers=["0"])
            y = c.submit(len, x, key="y", workers=["0"])
            await y
            ts, here, there = s.tasks["y"], s.workers[a.address], s.workers[b.address]
            assert s.get_comm_cost(ts, here) == 0 and 0.01 <= s.get_comm_cost(ts, there) < 1
            assert s.worker_objective(ts, here) < s.worker_objective(ts, there)
            assert s.valid_workers(ts) == {here} and s.valid_workers(s.tasks[x.key]) is None

    run(main())


def test_data_from_the_scheduler() -> None:
    async def main() -> None:
        async with cluster() as (c, s, [a, b]):
            keys = await s.scatter({("v", 0): 5}, None, c.id)
            assert keys == [("v", 0)]
            answer = await s.gather([("v", 0)])
            assert answer["status"] == "OK" and set(answer["data"]) == {("v", 0)}
            answer = await s.gather(["nobody's"])
            assert answer == {"status": "error", "keys": ["nobody's"]}
            await s.replicate([("v", 0)], n=2)
            assert s.replicated_tasks == {s.tasks["v", 0]} and len(s.tasks["v", 0].who_has) == 2
            assert (await s.rebalance())["status"] == "OK"
            assert set(s.get_who_has()["v", 0]) == {a.address, b.address}
            assert s.get_has_what()[a.address] == [("v", 0)]
            assert s.get_nbytes(summary=False)["v", 0] == s.get_nbytes()["v"] > 0
            assert s.get_ncores() == s.get_ncores_running() == {a.address: 1, b.address: 1}
            s.request_remove_replicas(b.address, [("v", 0)])
            await until(lambda: len(s.tasks["v", 0].who_has) == 1)
            s.request_acquire_replicas(b.address, [("v", 0)])
            await until(lambda: len(s.tasks["v", 0].who_has) == 2)
            s.client_releases_keys([("v", 0)], c.id)
            await until(lambda: ("v", 0) not in s.tasks)

    run(main())


def test_tasks_for_a_client() -> None:
    async def main() -> None:
        async with cluster() as (c, s, _):
            x = c.submit(fail, 1, key="x")
            with pytest.raises(ValueError, match="no 1"):
                await x
            assert s.stimulus_retry(["x", "unknown"], c.id) == ("x",)
            await until(lambda: s.tasks["x"].state == "erred")
            assert [e[2] for e in s.story("x")].count("erred") == 2
            assert s.get_task_status(["x", "y"]) == {"x": "erred", "y": None}
            assert s.get_task_prefix_states()["x"]["erred"] == 1
            s.stimulus_cancel(["x"], c.id)
            await until(lambda: "x" not in s.tasks)
            with pytest.raises(ValueError, match="no client 'nobody'"):
                s.client_desires_keys(["x"], "nobody")
            async with Client(s.address, asynchronous=True) as other:
                assert other.id in s.clients
                s.remove_client(other.id)
                assert other.id not in s.clients

    run(main())


def test_events_notes_and_logs() -> None:
    async def main() -> None:
        async with cluster() as (_, s, [a, _b]):
            s.log_event("topic", {"a": 1})
            s.log_event(["topic", "other"], 2)
            s.log_worker_event(a.address, "topic", {"b": 3})
            events = s.get_events("topic")
            assert [message for _, message in events] == [  # type: ignore[str-unpack]
                {"a": 1},
                2,
                {"b": 3, "worker": a.address},
            ]
            assert s.get_events()["other"][0][1] == 2 and len(s.events["topic"]) == 3  # type: ignore[call-overload]
            s.set_metadata(["a", "b"], 5)
            assert s.get_metadata(["a", "b"]) == 5 == s.task_metadata["a"]["b"]
            assert s.get_metadata(["a", "c"], default=None) is None
            with pytest.raises(KeyError):
                s.get_metadata(["a", "c"])
            logging.getLogger("shoal.test").warning("said by a test")
            assert s.get_logs()[0][0] == "WARNING" and "said by a test" in s.get_logs()[0][1]
            start = time.time() + 1
            assert s.get_logs(start=start) == []
            assert len(s.get_logs(n=1, timestamps=True)[0]) == 3
            assert set(await s.get_worker_logs()) == set(s.workers)
            assert s.versions(["pytest"])["packages"]["pytest"] == pytest.__version__

    run(main())


def test_what_runs() -> None:
    async def main() -> None:
        async with cluster() as (c, s, _):
            assert await s.get_call_stack() == {}
            assert await s.get_task_stream() == []
            x = c.submit(inc, 1, key="x")
            await x
            assert [row["key"] for row in await s.get_task_stream()] == ["x"]
            assert "count" in await s.get_profile()
            assert set(await s.get_profile(merge_workers=False)) == set(s.workers)
            monitors = await s.get_worker_monitor_info(recent=True)
            assert set(monitors) == set(s.workers)
            assert all(found["memory"] > 0 for found in monitors.values())
            assert s.monitor.recent()["memory"] == s.monitor.quantities["memory"][-1]

    run(main())


def test_dumps(tmp_path: Path) -> None:
    async def main() -> None:
        async with cluster() as (c, s, _):
            x = c.submit(inc, 1, key="x")
            await x
            state = await s.get_cluster_state()
            assert "x" in state["scheduler"]["tasks"] and len(state["workers"]) == 2
            await s.dump_cluster_state_to_url(str(tmp_path / "dump"), format="msgpack")
            found = DumpArtefact.from_file(tmp_path / "dump.msgpack.gz")
            assert "x" in found["scheduler"]["tasks"]
            await s.dump_cluster_state_to_url((tmp_path / "two").as_uri(), format="yaml")
            assert (tmp_path / "two.yaml").exists()

    run(main())


def test_plugins_by_method() -> None:
    async def main() -> None:
        started = []

        class Plugin(SchedulerPlugin):
            name = "one"

            async def start(self, scheduler: Scheduler) -> None:
                started.append(scheduler)

            async def close(self) -> None:
                started.clear()

        async with cluster() as (_, s, [a, _b]):
            s.add_plugin(Plugin(), name="plain")
            assert "plain" in s.plugins and not started
            first = s.plugins["plain"]
            s.add_plugin(Plugin(), name="plain", idempotent=True)
            assert s.plugins["plain"] is first
            await s.register_scheduler_plugin(Plugin())
            assert started == [s] and "one" in s.plugins
            s.remove_plugin("plain")
            await until(lambda: not started)
            await s.unregister_scheduler_plugin("one")
            assert not s.plugins

            from shoal import WorkerPlugin

            class OnWorker(WorkerPlugin):
                pass

            await s.register_worker_plugin(None, OnWorker(), name="mine")
            assert "mine" in a.plugins and "mine" in s.worker_plugins and not s.nanny_plugins
            await s.unregister_worker_plugin(None, "mine")
            assert "mine" not in a.plugins

    run(main())


def test_plugins_and_extensions_as_arguments() -> None:
    async def main() -> None:
        started = []

        class Plugin(SchedulerPlugin):
            async def start(self, scheduler: Scheduler) -> None:
                started.append(scheduler.status)

        class Extension:
            def __init__(self, scheduler: Scheduler) -> None:
                self.scheduler = scheduler

        async with Scheduler(
            protocol="inproc", plugins=[Plugin()], extensions={"mine": Extension}
        ) as s:
            assert len(started) == 1 and len(s.plugins) == 1
            assert s.extensions["mine"].scheduler is s
            assert s.extensions["amm"] is s.memory_manager
            folder = Path(s.local_directory)
            answer = await s.upload_file("uploaded_to_scheduler.py", "value = 5")
            assert answer["status"] == "OK"
            import uploaded_to_scheduler  # type: ignore[import-not-found]

            assert uploaded_to_scheduler.value == 5
        assert not folder.exists()

    run(main())


def test_what_is_plain_and_what_is_awaited() -> None:
    coroutines = (
        "retire_workers remove_worker restart restart_workers broadcast proxy gather scatter "
        "replicate rebalance get_call_stack get_profile get_task_stream get_worker_logs get_story "
        "get_worker_monitor_info get_cluster_state dump_cluster_state_to_url upload_file "
        "register_worker_plugin register_nanny_plugin register_scheduler_plugin "
        "unregister_worker_plugin unregister_nanny_plugin unregister_scheduler_plugin run_function"
    )
    plain = (
        "add_plugin remove_plugin workers_to_close adaptive_target check_idle close_worker "
        "log_event get_events story get_logs get_metadata set_metadata get_who_has get_has_what "
        "get_nbytes get_ncores get_processing get_task_status remove_client coerce_address "
        "coerce_hostname workers_list get_comm_cost valid_workers stop identity"
    )
    for name in coroutines.split():
        assert inspect.iscoroutinefunction(getattr(Scheduler, name)), name
    for name in plain.split():
        assert not inspect.iscoroutinefunction(getattr(Scheduler, name)), name


def test_operations_of_deployments() -> None:
    async def main() -> None:
        async with cluster(2) as (_, s, [a, b]):
            ask = s.rpc(s.address)
            assert isinstance(await ask.adaptive_target(), int)
            assert set(await ask.workers_to_close(n=2, attribute="name")) == {"0", "1"}
            assert set(await ask.workers_to_close()) <= {a.address, b.address}
            await until(lambda: s.is_idle)
            assert await ask.check_idle() <= time.time()
            assert isinstance(await ask.get_logs(), (list, tuple))
            assert (await ask.scheduler_info())["address"] == s.address
            assert set(await ask.metrics()) == set(s.workers)
            told = await ask.retire_workers(n=1)
            assert len(told) == 1

    run(main())


def test_restart() -> None:
    async def main() -> None:
        async with cluster(1) as (c, s, _):
            x = c.submit(inc, 1, key="x")
            await x
            restarting = asyncio.ensure_future(s.restart(timeout=10, wait_for_workers=False))
            await restarting
            await until(lambda: not s.tasks)
            worker = await Worker(s.address)
            assert await c.submit(inc, 3) == 4
            await worker.close()

    run(main())
