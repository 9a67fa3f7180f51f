"""What tasks, plugins and monitoring find on a worker, and what its keywords do."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dask
import pytest
from helpers import run, until

from shoal import Event, WorkerPlugin, get_worker
from shoal.client.client import Client
from shoal.scheduler.scheduler import Scheduler
from shoal.worker.worker import Worker


def inc(x: int) -> int:
    return x + 1


@asynccontextmanager
async def cluster(
    n: int = 1, **kwargs: Any
) -> AsyncIterator[tuple[Client, Scheduler, list[Worker]]]:
    async with Scheduler(protocol="inproc", validate=True) as scheduler:
        workers = [
            await Worker(scheduler.address, nthreads=1, name=str(i), validate=True, **kwargs)
            for i in range(n)
        ]
        try:
            async with Client(scheduler.address, asynchronous=True) as client:
                yield client, scheduler, workers
        finally:
            for worker in workers:
                await worker.close()


def test_in_a_task() -> None:
    async def main() -> None:
        async with cluster() as (c, s, [w]):

            def look() -> Any:
                worker = get_worker()
                name = threading.current_thread().name
                return worker.get_current_task(), name, worker.active_keys, worker.client.id

            key, name, active, client = await c.submit(look, key=("look", 0))
            assert key == ("look", 0) and active == {("look", 0)}
            assert name.startswith("Dask-Default-Threads")
            assert client in s.clients
            with pytest.raises(ValueError, match="only in tasks"):
                w.get_current_task()

    run(main())


def test_attributes() -> None:
    async def main() -> None:
        async with Scheduler(host="127.0.0.1", port=0) as s:
            async with Worker(s.address, nthreads=2, death_timeout="1 minute") as w:
                assert w.worker_address == w.address and w.ip == w.host == "127.0.0.1"
                assert (await w.scheduler.identity())["id"] == s.id
                assert w.services == {} and w.lifetime is None and not w.lifetime_restart
                assert w.death_timeout == 60 and w.heartbeat_interval > 0 and w.latency > 0
                assert w.executor is w.executors["default"] and "offload" in w.executors
                assert w.executor.submit(inc, 1).result() == 2
                assert w.monitor.get_process_memory() > 2**20
                assert "memory" in w.get_monitor_info(recent=True)
                assert len(w.get_monitor_info()["memory"]) == w.get_monitor_info()["count"]
                assert w.bandwidth == 100e6 and w.bandwidth_workers == {}
                assert w.extensions == {} and w.metrics == {} and w.startup_information == {}
                assert Path(w.local_directory).parent.name.startswith("dask-scratch-space")
                assert "shoal" in w.versions()["packages"] and isinstance(w.get_logs(), list)
                assert w.profile_recent["count"] >= 0 and await w.get_profile()
                w.digest_metric("mine", 2)
                w.digest_metric("mine", 3)
                assert w.digests_total["mine"] == 5 and w.digests_max["mine"] == 3
                manager = w.memory_manager
                assert manager.memory_limit == w.memory_limit and manager.data is w.data
                assert manager.memory_target_fraction == 0.6
                assert manager.memory_pause_fraction == 0.8
                assert manager.memory_spill_fraction == 0.7 and manager.max_spill is False
            assert w.executor.submit  # still there, and shut down
            with pytest.raises(RuntimeError):
                w.executor.submit(inc, 1)

    run(main())


def test_the_state_of_tasks() -> None:
    async def main() -> None:
        # So short that the worker gets what waits for it, too.
        with dask.config.set({"distributed.scheduler.unknown-task-duration": "100us"}):
            await look()

    async def look() -> None:
        async with cluster(resources={"GPU": 1}) as (c, _, [w]):

            def block(name: str) -> int:
                get_worker()._test_gates[name].wait(20)
                return 1

            w._test_gates = {"a": threading.Event()}  # type: ignore[attr-defined]
            a = c.submit(block, "a", key="a")
            await until(lambda: {ts.key for ts in w.state.executing} == {"a"})
            b = c.submit(inc, 1, key=("b", 0))
            d = c.submit(inc, a, key="d")
            await until(lambda: "d" in w.state.tasks and ("b", 0) in w.state.tasks)
            state = w.state
            assert state.tasks["a"].state == "executing" and state.tasks["a"] in state.executing
            assert state.tasks["b", 0].state == "ready" and [ts.key for ts in state.ready] == [
                ("b", 0)
            ]
            assert state.tasks["d"].state == "waiting" and state.waiting == {state.tasks["d"]}
            assert state.tasks["d"].dependencies == {state.tasks["a"]}
            assert state.tasks["a"].dependents == {state.tasks["d"]}
            assert state.tasks["d"].waiting_for_data == {state.tasks["a"]}
            assert state.task_counts == {"executing": 1, "ready": 1, "waiting": 1}
            assert state.executing_count == 1 and state.running and len(state.tasks) == 3
            assert "nobody's" not in state.tasks and 3j not in state.tasks
            with pytest.raises(KeyError):
                state.tasks["nobody's"]
            assert w.stateof("a")["executing"] and w.stateof(("b", 0))["heap"]
            assert list(w.get_call_stack()) == ["a"]
            w._test_gates["a"].set()  # type: ignore[attr-defined]
            assert await c.gather([a, b, d]) == [1, 2, 2]
            ts = state.tasks["a"]
            assert ts.state == "memory" and ts.type == "int" and ts.nbytes == ts.get_nbytes() > 0
            assert ts.done and ts.prefix == "a" and ts.run_id == -1 and ts.coming_from is None
            assert state.nbytes == 3 * ts.get_nbytes() and set(w.keys()) == {"a", ("b", 0), "d"}
            assert w.stateof("a")["data"] and state.data is w.data
            assert state.total_resources == state.available_resources == {"GPU": 1}
            assert state.in_flight_tasks == set() and state.in_flight_workers == {}
            assert state.long_running == set() and state.actors == {} and state.has_what == {}

    run(main())


def test_the_story_of_what_came_to_a_worker() -> None:
    async def main() -> None:
        async with cluster(2) as (c, _, [a, b]):
            x = await c.scatter(b"x", workers=["0"])
            y = await c.submit(inc, 1, key="y", workers=["0"])
            assert await c.submit(len, x, key="z", workers=["1"]) == 1 and y == 2
            (first, last) = a.state.story(x.key)
            assert first[:3] == (x.key, "receive-from-scatter", None)
            assert last[:2] == (x.key, "memory") and first[-1] < last[-1]
            assert [entry[1] for entry in b.state.story(x.key)] == ["receive-dep", "memory"]
            assert b.state.story(x.key)[0][2] == a.address
            everything = a.state.story()
            assert {entry[0] for entry in everything} >= {x.key}
            assert a.state.story(a.state.tasks[x.key])[0][:2] == first[:2]
            key = x.key
            del x
            await until(lambda: key not in a.data)
            # For a minute it is told of, as released.
            assert a.state.tasks[key].state == "released" and a.state.story("nobody's") == []

    run(main())


def test_transfers_are_noted() -> None:
    async def main() -> None:
        async with cluster(2) as (c, _, [a, b]):
            x = await c.scatter(b"x" * 2_000_000, workers=["0"])
            assert await c.submit(len, x, workers=["1"]) == 2_000_000
            (entry,) = b.transfer_incoming_log
            assert entry["who"] == a.address and entry["keys"].keys() == {x.key}
            assert entry["total"] >= 2_000_000 and entry["stop"] >= entry["start"]
            assert b.bandwidth_workers.keys() == {a.address} and b.bandwidth > 0
            assert len(a.transfer_outgoing_log) == 1 == a.transfer_outgoing_count_total
            assert a.transfer_outgoing_bytes_total >= 2_000_000
            assert b.state.transfer_incoming_count_total == 1
            assert b.state.transfer_incoming_count == a.transfer_outgoing_count == 0

    run(main())


def test_what_a_worker_tells() -> None:
    async def main() -> None:
        async def later(worker: Worker) -> str:
            return str(worker.name)

        def broken(worker: Worker) -> None:
            raise ValueError("not to be had")

        told = {"n": lambda worker: 5, "name": later, "broken": broken}
        told["transfer"] = told["cpu"] = later  # names of the worker's own, and no numbers
        async with cluster(metrics=told, startup_information=told) as (_, s, [w]):
            ws = s.workers[w.address]
            assert ws.extra.items() >= {"n": 5, "name": "0"}.items()
            await until(lambda: "n" in ws.metrics)
            assert ws.metrics["name"] == "0" and "broken" not in ws.metrics
            assert (await w.get_metrics())["n"] == 5
            assert (await w.get_startup_information())["name"] == "0"
            assert ws.metrics["cpu"] >= 0 and "incoming_count" in ws.metrics["transfer"]
            w.metrics["n"] = lambda worker: 6
            await w.heartbeat()
            await until(lambda: ws.metrics["n"] == 6)
            assert 0 <= ws.metrics["unmanaged_old"] <= ws.metrics["memory"]
            assert ws.memory.unmanaged_old + ws.memory.unmanaged_recent == ws.memory.unmanaged

    run(main())


def test_plugins_and_extensions_as_arguments() -> None:
    async def main() -> None:
        class Plugin(WorkerPlugin):
            name = "mine"

            def setup(self, worker: Worker) -> None:
                self.worker = worker

        class Extension:
            def __init__(self, worker: Worker) -> None:
                self.worker = worker

        async with cluster(plugins=[Plugin()], extensions={"e": Extension}) as (c, _, [w]):
            assert w.plugins["mine"].worker is w and w.extensions["e"].worker is w
            assert await c.submit(lambda: get_worker().plugins["mine"].name) == "mine"
            assert (await w.plugin_remove("mine"))["status"] == "OK"
            assert (await w.plugin_add(Plugin()))["status"] == "OK" and "mine" in w.plugins

            class Bad(WorkerPlugin):
                def setup(self, worker: Worker) -> None:
                    raise ValueError("no")

            assert (await w.plugin_add(Bad()))["status"] == "error"
            with pytest.raises(ValueError, match="no"):
                await w.plugin_add(Bad(), catch_errors=False)

    run(main())


class Kept(dict[Any, Any]):
    evicted = 0
    closed = False

    def evict(self) -> int:
        self.evicted += 1
        return -1

    def close(self) -> None:
        self.closed = True


def test_values_in_a_mapping_of_the_users() -> None:
    async def main() -> None:
        kept = Kept()
        async with cluster(data=kept) as (c, _, [w]):
            assert w.data is kept
            x = c.submit(inc, 1, key=("x", 0))
            assert await x == 2
            assert kept == {("x", 0): 2}
            assert await c.submit(inc, x, key="y") == 3
            assert w.store.evict(100) == 0 and kept.evicted == 1
            del x
            await until(lambda: ("x", 0) not in kept)
        assert kept.closed

        made: list[str] = []

        def make(worker_local_directory: str, size: int) -> MutableMapping[Any, Any]:
            made.append(worker_local_directory)
            return {}

        async with cluster(data=(make, {"size": 1})) as (c, _, [w]):
            assert made == [w.local_directory] and await c.submit(inc, 1) == 2
        with pytest.raises(TypeError, match="mutable mapping"):
            async with cluster(data=5):
                pass

    run(main())


def test_executors_by_name() -> None:
    async def main() -> None:
        with ThreadPoolExecutor(1, thread_name_prefix="foo") as pool:
            async with cluster(executor={"foo": pool}) as (c, _, [w]):
                assert w.executors["foo"] is pool
                with dask.annotate(executor="foo"):
                    future = c.submit(lambda: threading.current_thread().name, pure=False)
                assert (await future).startswith("foo")

    run(main())


def test_a_start_that_takes_too_long_is_an_error() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError, match="did not start within"):
            await Worker("tcp://127.0.0.1:1", timeout="200 ms")

    run(main())


def test_resources_that_change() -> None:
    async def main() -> None:
        async with cluster() as (c, s, [w]):
            x = c.submit(inc, 1, key="x", resources={"GPU": 2})
            await until(lambda: "x" in s.tasks and s.tasks["x"].state == "no-worker")
            await w.set_resources(GPU=1)
            await until(lambda: s.workers[w.address].resources == {"GPU": 1})
            assert s.tasks["x"].state == "no-worker"
            await w.set_resources(GPU=2)
            assert await x == 2
            assert w.state.available_resources == {"GPU": 2}

    run(main())


def test_messages_to_stream_handlers() -> None:
    async def main() -> None:
        async with cluster() as (_, s, [w]):
            got: list[Any] = []
            s.stream_handlers["note"] = lambda x, worker: got.append((x, worker))
            w.stream_handlers["back"] = lambda x: got.append(x)
            for i in range(3):
                w.batched_stream.send({"op": "note", "x": i})
            await until(lambda: len(got) == 3)
            assert got == [(i, w.address) for i in range(3)]
            w.batched_send({"op": "note", "x": 3})
            w.batched_send({"op": "unknown"})
            s.worker_send(w.address, {"op": "back", "x": 4})
            await until(lambda: len(got) == 5)
            with pytest.raises(TypeError, match="handler"):
                w.batched_send({"x": 3})

    run(main())


def test_data_by_hand() -> None:
    async def main() -> None:
        async with cluster(2) as (c, s, [a, b]):
            x = await c.scatter(5, workers=["0"])
            assert await b.gather({x.key: [a.address]}) == {"status": "OK"}
            assert b.data[x.key] == 5
            await until(lambda: len(s.tasks[x.key].who_has) == 2)
            answer = await b.gather({"nobody's": [a.address]})
            assert answer == {"status": "partial-fail", "keys": ("nobody's",)}
            assert a.update_data({x.key: 5})["nbytes"][x.key] > 0
            answer = await a.upload_file("uploaded_to_worker.py", "value = 7", load=False)
            assert answer["nbytes"] == 9
            assert await c.submit(lambda: __import__("uploaded_to_worker").value, workers="0") == 7

    run(main())


def test_run_by_method() -> None:
    async def main() -> None:
        async with cluster() as (_, _s, [w]):
            from shoal.wire.pickling import loads

            answer = await w.run(None, lambda x, dask_worker: (dask_worker.name, x), args=(5,))
            assert answer["status"] == "OK", answer["text"]
            assert loads(answer["result"]) == ("0", 5)

    run(main())


def test_what_is_plain_and_what_is_awaited() -> None:
    coroutines = "get_metrics get_startup_information heartbeat gather get_profile upload_file run"
    coroutines += " plugin_add plugin_remove set_resources wait_until_closed close close_gracefully"
    for name in coroutines.split():
        assert inspect.iscoroutinefunction(getattr(Worker, name)), name
    plain = "keys stateof get_call_stack get_monitor_info update_data batched_send get_current_task"
    for name in plain.split():
        assert not inspect.iscoroutinefunction(getattr(Worker, name)), name


def test_tasks_that_seceded_are_long_running() -> None:
    async def main() -> None:
        async with cluster() as (c, _, [w]):

            def wait() -> int:
                Event("go").wait()
                return 1

            x = c.submit(wait, key="x")
            await until(lambda: {ts.key for ts in w.state.long_running} == {"x"})
            assert w.state.all_running_tasks == w.state.long_running
            await Event("go", client=c).set()
            assert await asyncio.wait_for(x, 10) == 1

    run(main())


def test_threads_at_work_and_settings_of_profiles() -> None:
    def look() -> tuple[dict[int, Any], dict[Any, int], int]:
        worker = get_worker()
        return worker.active_threads, worker.threads, threading.get_ident()

    async def main() -> None:
        async with cluster(1) as (c, _s, [w]):
            active, threads, own = await c.submit(look, key=("look", 1))
            assert active == {own: ("look", 1)} and threads == {("look", 1): own}
            assert w.active_threads == w.threads == {} and w.low_level_profiler is False
            assert w.transfer_outgoing_bytes == 0 and w.transfer_outgoing_count_limit is None
        async with Scheduler(protocol="inproc") as s:
            async with Worker(s.address, profile_cycle_interval="5s") as w:
                assert w.profiler.tasks._cycle == 5
            with pytest.raises(ValueError, match="py-spy"):
                Worker(s.address, low_level_profiler=True)
            with pytest.raises(ValueError, match="profile_cycle_interval='x'"):
                Worker(s.address, profile_cycle_interval="x")

    run(main())
