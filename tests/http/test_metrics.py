"""Numbers for Prometheus: every family that dashboards know, with its labels and type."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from typing import Any

import dask
import pytest
from helpers import run

from shoal import Client, Scheduler, Semaphore, Worker
from shoal.diagnostics.loop_watch import LoopWatch
from shoal.http.exposition import CONTENT_TYPE, Families
from shoal.scheduler.observe import history, tally
from shoal.scheduler.observe.tally import OTHERS, Tally

# Family -> (type, names of labels).
SCHEDULER: dict[str, tuple[str, set[str]]] = {
    "dask_scheduler_clients": ("gauge", set()),
    "dask_scheduler_client_connections_added_total": ("counter", set()),
    "dask_scheduler_client_connections_removed_total": ("counter", set()),
    "dask_scheduler_desired_workers": ("gauge", set()),
    "dask_scheduler_workers": ("gauge", {"state"}),
    "dask_scheduler_workers_added_total": ("counter", set()),
    "dask_scheduler_workers_removed_total": ("counter", set()),
    "dask_scheduler_gil_contention_seconds_total": ("counter", set()),
    "dask_scheduler_gc_collection_seconds_total": ("counter", set()),
    "dask_scheduler_last_time_total": ("counter", set()),
    "dask_scheduler_tasks_suspicious_total": ("counter", {"task_prefix_name"}),
    "dask_scheduler_tasks_forgotten_total": ("counter", set()),
    "dask_scheduler_tasks": ("gauge", {"state"}),
    "dask_scheduler_task_groups": ("gauge", set()),
    "dask_scheduler_tasks_compute_seconds_total": ("counter", {"task_prefix_name"}),
    "dask_scheduler_tasks_transfer_seconds_total": ("counter", {"task_prefix_name"}),
    "dask_scheduler_tasks_output_bytes": ("gauge", {"task_prefix_name"}),
    "dask_scheduler_prefix_state_totals_total": ("counter", {"task_prefix_name", "state"}),
    "dask_scheduler_tick_duration_maximum_seconds": ("gauge", set()),
    "dask_scheduler_tick_count_total": ("counter", set()),
    "dask_semaphore_max_leases": ("gauge", {"name"}),
    "dask_semaphore_active_leases": ("gauge", {"name"}),
    "dask_semaphore_pending_leases": ("gauge", {"name"}),
    "dask_semaphore_acquire_total": ("counter", {"name"}),
    "dask_semaphore_release_total": ("counter", {"name"}),
    "dask_semaphore_average_pending_lease_time_s": ("gauge", {"name"}),
    "dask_stealing_request_count_total": ("counter", {"cost_multiplier"}),
    "dask_stealing_request_cost_total": ("counter", {"cost_multiplier"}),
}
WORKER: dict[str, tuple[str, set[str]]] = {
    "dask_worker_tasks": ("gauge", {"state"}),
    "dask_worker_threads": ("gauge", set()),
    "dask_worker_gil_contention_seconds_total": ("counter", set()),
    "dask_worker_gc_collection_seconds_total": ("counter", set()),
    "dask_worker_latency_seconds": ("gauge", set()),
    "dask_worker_memory_bytes": ("gauge", {"type"}),
    "dask_worker_transfer_incoming_bytes": ("gauge", set()),
    "dask_worker_transfer_incoming_count": ("gauge", set()),
    "dask_worker_transfer_incoming_count_total": ("counter", set()),
    "dask_worker_transfer_outgoing_bytes": ("gauge", set()),
    "dask_worker_transfer_outgoing_bytes_total": ("counter", set()),
    "dask_worker_transfer_outgoing_count": ("gauge", set()),
    "dask_worker_transfer_outgoing_count_total": ("counter", set()),
    "dask_worker_tick_count_total": ("counter", set()),
    "dask_worker_tick_duration_maximum_seconds": ("gauge", set()),
    "dask_worker_spill_bytes_total": ("counter", {"activity"}),
    "dask_worker_spill_count_total": ("counter", {"activity"}),
    "dask_worker_spill_time_seconds_total": ("counter", {"activity"}),
}
PROCESS: dict[str, tuple[str, set[str]]] = {
    "python_gc_objects_collected_total": ("counter", {"generation"}),
    "python_gc_objects_uncollectable_total": ("counter", {"generation"}),
    "python_gc_collections_total": ("counter", {"generation"}),
    "python_info": (
        "gauge",
        {"implementation", "major", "minor", "patchlevel", "version"},
    ),
    "process_virtual_memory_bytes": ("gauge", set()),
    "process_resident_memory_bytes": ("gauge", set()),
    "process_start_time_seconds": ("gauge", set()),
    "process_cpu_seconds_total": ("counter", set()),
    "process_open_fds": ("gauge", set()),
    "process_max_fds": ("gauge", set()),
}

LINE = re.compile(r"([a-z_]+)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')


def families(text: str) -> tuple[dict[str, str], dict[tuple[str, frozenset[Any]], float]]:
    """Return types by family, and numbers by name and labels."""
    types, numbers = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            types[name] = kind
        elif not line.startswith("#"):
            match = LINE.match(line)
            assert match, line
            name, labels, value = match.groups()
            numbers[name, frozenset(LABEL.findall(labels or ""))] = float(value)
    return types, numbers


def check(text: str, expected: dict[str, tuple[str, set[str]]]) -> Any:
    types, numbers = families(text)
    for name, (kind, labels) in expected.items():
        assert types.get(name) == kind, name
        for (each, of), _ in numbers.items():
            if each == name:
                assert {label for label, _ in of} == labels, name

    def value(family: str, /, **labels: str) -> float:
        return numbers[family, frozenset(labels.items())]

    return value


def inc(x: int) -> int:
    return x + 1


def fail() -> None:
    raise ValueError("no")


def test_every_family_is_there_and_says_what_happened(visitor: Any) -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc", dashboard_address=":0") as s,
            Worker(s.address, nthreads=2, dashboard_address=":0") as w,
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            futures = c.map(inc, range(5), pure=False)
            await c.gather(futures)
            gone = c.submit(inc, 100, key="gone-1")
            await gone
            del gone
            failed = c.submit(fail)
            with pytest.raises(ValueError, match="no"):
                await failed
            semaphore = await Semaphore(max_leases=2, name="two", client=c)
            assert await semaphore.acquire()
            await semaphore.release()
            assert await semaphore.acquire()
            while "gone-1" in s.state.tasks:
                await asyncio.sleep(0)
            answer = await visitor(s).ask("/metrics")
            assert answer.headers["Content-Type"] == CONTENT_TYPE
            value = check(answer.text, SCHEDULER | PROCESS)
            assert value("dask_scheduler_clients") == 1
            assert value("dask_scheduler_client_connections_added_total") >= 1
            assert value("dask_scheduler_workers_added_total") == 1
            assert value("dask_scheduler_workers", state="idle") == 1
            assert value("dask_scheduler_workers", state="paused") == 0
            assert value("dask_scheduler_tasks", state="memory") >= 5
            assert value("dask_scheduler_tasks", state="erred") == 1
            assert value("dask_scheduler_tasks_forgotten_total") >= 1
            totals = "dask_scheduler_prefix_state_totals_total"
            assert value(totals, task_prefix_name="fail", state="erred") == 1
            for state in ("processing", "memory"):
                assert value(totals, task_prefix_name="gone", state=state) == 1
                assert value(totals, task_prefix_name="inc", state=state) >= 5
            assert value(totals, task_prefix_name="gone", state="forgotten") == 1
            assert value("dask_scheduler_tasks_compute_seconds_total", task_prefix_name="gone") > 0
            assert value("dask_scheduler_tasks_output_bytes", task_prefix_name="inc") >= 5 * 28
            assert value("dask_semaphore_max_leases", name="two") == 2
            assert value("dask_semaphore_active_leases", name="two") == 1
            assert value("dask_semaphore_acquire_total", name="two") == 2
            assert value("dask_semaphore_release_total", name="two") == 1
            assert value("dask_stealing_request_count_total", cost_multiplier="1.03125") == 0
            assert value("dask_stealing_request_count_total", cost_multiplier="257") == 0
            assert value("process_resident_memory_bytes") > 1e6

            answer = await visitor(w).ask("/metrics")
            value = check(answer.text, WORKER | PROCESS)
            assert value("dask_worker_tasks", state="memory") >= 5
            assert value("dask_worker_tasks", state="disk") == 0
            assert value("dask_worker_threads") == 2
            assert value("dask_worker_memory_bytes", type="managed") == w.store.memory_bytes
            assert value("dask_worker_memory_bytes", type="unmanaged") > 1e6
            assert (await visitor(w).ask("/health")).text == "ok"
            assert "running" in (await visitor(w).ask("/status")).text
            assert (await visitor(w).ask("/json/identity.json")).json()["nthreads"] == 2
            assert s.workers[w.address].services == {"dashboard": w.services["dashboard"].port}
            before = value("dask_worker_tick_count_total")
            await asyncio.wait_for(ticked(w, before), 10)

    run(main())


async def ticked(w: Worker, before: float) -> None:
    while w.pages.loop_watch.count <= before:
        await asyncio.sleep(0)


def test_transfers_and_spilled_data_are_counted(visitor: Any, tmp_path: Any) -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="tcp", host="127.0.0.1", dashboard_address=":0") as s,
            Worker(s.address, name="a", dashboard_address=":0", local_directory=str(tmp_path)) as a,
            Worker(s.address, name="b", dashboard_address=":0", nthreads=1) as b,
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            x = c.submit(bytes, 100_000, workers="a", key="big-1")
            await c.submit(len, x, workers="b", key="length-1")
            await asyncio.to_thread(a.store.evict, 50_000)
            assert a.store.disk_count == 1
            value = check((await visitor(a).ask("/metrics")).text, WORKER)
            assert value("dask_worker_tasks", state="disk") == 1
            assert value("dask_worker_memory_bytes", type="spilled") > 90_000
            assert value("dask_worker_spill_count_total", activity="disk-write") == 1
            assert value("dask_worker_spill_bytes_total", activity="disk-write") > 90_000
            assert value("dask_worker_spill_time_seconds_total", activity="serialize") > 0
            assert value("dask_worker_transfer_outgoing_count_total") == 1
            assert value("dask_worker_transfer_outgoing_bytes_total") > 90_000
            assert value("dask_worker_transfer_outgoing_bytes") == 0
            assert len(await x) == 100_000
            value = check((await visitor(a).ask("/metrics")).text, WORKER)
            for activity in ("disk-read", "deserialize"):
                assert value("dask_worker_spill_bytes_total", activity=activity) > 90_000
            value = check((await visitor(b).ask("/metrics")).text, WORKER)
            assert value("dask_worker_transfer_incoming_count_total") == 1
            assert value("dask_worker_spill_count_total", activity="memory-read") >= 1
            await b.heartbeat()
            while not s.seen.transfer_seconds():
                await asyncio.sleep(0)
            value = check((await visitor(s).ask("/metrics")).text, SCHEDULER)
            name = "dask_scheduler_tasks_transfer_seconds_total"
            seconds = value(name, task_prefix_name="big")
            assert seconds > 0 and value("dask_scheduler_workers_removed_total") == 0
            await b.close()
            while s.seen.workers_removed == 0:
                await asyncio.sleep(0)
            value = check((await visitor(s).ask("/metrics")).text, SCHEDULER)
            assert value(name, task_prefix_name="big") == seconds  # that of workers that left

    run(main())


def test_hostile_names_stay_within_their_quotes(visitor: Any) -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc", dashboard_address=":0") as s,
            Worker(s.address),
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            await c.submit(inc, 1, key='a"} 1\nevil_metric 5\\-1')
            value = check((await visitor(s).ask("/metrics")).text, SCHEDULER)
            assert value("dask_scheduler_tasks", state="memory") >= 0
            text = (await visitor(s).ask("/metrics")).text
            assert "\nevil_metric" not in text

    run(main())


def test_the_namespace_is_a_setting(visitor: Any) -> None:
    async def main() -> None:
        with dask.config.set({"distributed.dashboard.prometheus.namespace": "lake"}):
            async with Scheduler(protocol="inproc", dashboard_address=":0") as s:
                text = (await visitor(s).ask("/metrics")).text
        assert "lake_scheduler_workers" in text and "dask_" not in text

    run(main())


def test_what_users_registered_with_the_library_is_told_too() -> None:
    pytest.importorskip("prometheus_client")
    code = """
from shoal.http.process_metrics import process_text
assert "process_cpu_seconds_total" in process_text()
import prometheus_client
prometheus_client.Counter("mine", "of the user").inc()
text = process_text()
assert "mine_total 1.0" in text and text.count("# TYPE process_cpu_seconds_total") == 1
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_library_of_prometheus_reads_it() -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    found = Families("a")
    found.gauge("b", "one\nline \\", [({"c": 'd"e\\f\ng'}, 1.5)])
    found.counter("n", "many", 3)
    one, two = parser.text_string_to_metric_families(found.text())
    assert (one.name, one.type, one.documentation) == ("a_b", "gauge", "one\nline \\")
    assert one.samples[0].labels == {"c": 'd"e\\f\ng'} and one.samples[0].value == 1.5
    assert (two.name, two.type) == ("a_n", "counter") and two.samples[0].name == "a_n_total"


def test_a_page_costs_the_same_however_many_prefixes_there_are(
    monkeypatch: pytest.MonkeyPatch, visitor: Any
) -> None:
    """The loop goes on between steps, sums are not taken again too soon, and few are shown."""
    monkeypatch.setattr(tally, "_STEP", 10)
    monkeypatch.setattr(tally, "_MOST", 50)

    async def main() -> None:
        async with Scheduler(protocol="inproc", dashboard_address=":0") as s:
            for n in range(1000):
                group = s.state.group(f"g{n}", f"p{n}")
                group.entered["memory"] = n
            taking = asyncio.create_task(Tally(s, shown=5).take())
            turns = 0
            while not taking.done():
                await asyncio.sleep(0)
                turns += 1
            assert turns >= 1000 * 2 // 10 / 2
            sums = taking.result()
            assert [each.name for each in sums.busiest] == ["p999", "p998", "p997", "p996", "p995"]
            assert sums.total.tasks["memory"] == 999 * 500
            assert len(sums.prefixes) == 51 and sums.prefixes[-1].name == OTHERS
            assert sums.prefixes[-1].tasks["memory"] == 999 * 500 - 49 * 25
            both = await asyncio.gather(s.seen.tally.take(), s.seen.tally.take())
            assert both[0] is both[1]  # taken once for all who ask at the same time
            counts = (await visitor(s).ask("/json/counts.json")).json()
            assert len(counts["prefixes"]) == 200 and counts["n_prefixes"] == 1000
            s.state.groups.clear()
            s.state.prefixes.clear()

    run(main())


def block() -> None:
    time.sleep(0.2)


def test_lateness_of_the_loop_is_measured_while_somebody_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        with dask.config.set({"distributed.admin.tick.interval": "1ms"}):
            watch = LoopWatch()
            assert watch._timer is None and watch.longest() == 0.0
            while watch.count < 3:
                await asyncio.sleep(0)
            block()
            before = watch.count
            while watch.count == before:
                await asyncio.sleep(0)
            assert watch.longest() > 0.1 > watch.longest()
            monkeypatch.setattr("shoal.diagnostics.loop_watch._WATCHED", 0.0)
            while watch._timer is not None:  # nobody asks any more
                await asyncio.sleep(0)
            watch.stop()

    run(main())


def test_the_history_looks_at_many_groups_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_AT_ONCE", 10)

    async def main() -> None:
        async with Scheduler(protocol="inproc") as s:
            for n in range(25):
                s.state.group(f"g{n}", f"p{n}").entered["memory"] = n
            recorded = history.History(lambda: s.state)
            found = [recorded._tasks(s.state) for _ in range(3)]
            assert found == [(0, 0, 0), (0, 0, 0), (0, 300, 0)]
            assert history.measure(s.state)["stored"] == 300
            s.state.groups.clear()
            s.state.prefixes.clear()

    run(main())
