"""Spans for OpenTelemetry: of submits, tasks and transfers, in one tree; nothing when off."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import dask
import pytest
from helpers import run, until

from shoal import Client, Scheduler, Worker, telemetry
from shoal.wire.annotations import TRACE

trace = pytest.importorskip("opentelemetry.trace")
sdk = pytest.importorskip("opentelemetry.sdk.trace")
export = pytest.importorskip("opentelemetry.sdk.trace.export")
in_memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")

ON = {"shoal.tracing": True}


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What OpenTelemetry was given, in a provider of this test's own."""
    exporter = in_memory.InMemorySpanExporter()
    provider = sdk.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    monkeypatch.setattr(telemetry, "tracer", lambda: provider.get_tracer("shoal"))
    yield exporter
    provider.shutdown()


def named(spans: Any, name: str) -> list[Any]:
    return [span for span in spans.get_finished_spans() if span.name == name]


def inc(x: int) -> int:
    return x + 1


def inside() -> str:
    """What users' code sees of its own span."""
    return f"{trace.get_current_span().get_span_context().span_id:x}"


def fail() -> None:
    raise ValueError("no fish")


async def later(x: int) -> int:
    return x


def test_tasks_and_transfers_have_the_submit_for_a_parent(spans: Any) -> None:
    async def main() -> None:
        with dask.config.set(ON):
            async with (
                Scheduler(protocol="tcp", host="127.0.0.1") as s,
                Worker(s.address, name="a") as a,
                Worker(s.address, name="b") as b,
                Client(s.address, asynchronous=True, set_as_default=False) as c,
            ):
                x = c.submit(bytes, 50_000, workers="a", key="big-1")
                await x
                assert s.tasks["big-1"].annotations == {"workers": ["a"]}  # of users' own only
                assert TRACE in s.state.tasks["big-1"].options.annotations
                assert await c.submit(len, x, workers="b", key="length-1") == 50_000
                seen = await c.submit(inside, key="inside-1")
                with pytest.raises(ValueError, match="no fish"):
                    await c.submit(fail, key="fail-1")
                assert await c.submit(later, 3, key="later-1") == 3
                await c.gather(c.map(inc, range(3), key="many"))
                await until(lambda: len(named(spans, "task many")) == 3)

                submits = {span.context.span_id: span for span in named(spans, "submit calls")}
                assert len(submits) == 6
                for name in ("big", "length", "inside", "fail", "later"):
                    (task,) = named(spans, f"task {name}")
                    assert task.parent.span_id in submits, name
                    assert task.context.trace_id == submits[task.parent.span_id].context.trace_id
                many = named(spans, "task many")
                assert len({task.parent.span_id for task in many}) == 1
                (task,) = named(spans, "task inside")
                assert f"{task.context.span_id:x}" == seen
                (failed,) = named(spans, "task fail")
                assert failed.status.status_code is trace.StatusCode.ERROR
                assert "no fish" in failed.attributes["exception.message"]
                assert failed.attributes["shoal.key"] == "fail-1"
                (big,) = named(spans, "task big")
                assert big.attributes["shoal.outcome"] == "ok"
                assert big.attributes["shoal.worker"] == a.address
                assert big.attributes["shoal.type"] == "bytes"
                assert 0 < big.end_time - big.start_time < 20e9
                (length,) = named(spans, "task length")
                (transfer,) = named(spans, "transfer")
                assert transfer.parent.span_id == length.parent.span_id
                assert transfer.attributes["shoal.worker"] == b.address
                assert transfer.attributes["shoal.peer"] == a.address
                assert transfer.attributes["shoal.nbytes"] >= 50_000

    run(main(), timeout=40)


def test_a_graph_has_one_submit_below_the_span_of_the_user(spans: Any) -> None:
    async def main() -> None:
        with dask.config.set(ON):
            async with (
                Scheduler(protocol="inproc") as s,
                Worker(s.address),
                Client(s.address, asynchronous=True, set_as_default=False) as c,
            ):
                one = dask.delayed(inc)(1, dask_key_name="one")
                two = dask.delayed(inc)(one, dask_key_name="two")
                with telemetry.tracer().start_as_current_span("of the user"):
                    future = c.compute(two)
                assert await future == 3
                (submit,) = named(spans, "submit graph")
                (outer,) = named(spans, "of the user")
                assert submit.parent.span_id == outer.context.span_id
                await until(lambda: named(spans, "task two"))
                tasks = named(spans, "task two")
                assert [task.parent.span_id for task in tasks] == [submit.context.span_id]

    run(main())


def test_off_there_is_nothing_of_it() -> None:
    code = """
import asyncio, sys
from shoal import Client, Scheduler, Worker
async def main():
    async with Scheduler(protocol="inproc") as s, Worker(s.address) as w:
        async with Client(s.address, asynchronous=True) as c:
            assert await c.submit(abs, -1, key="x") == 1
            assert s.state.tasks["x"].options.annotations is None if "x" in s.state.tasks else True
        assert "_run" not in vars(w.pool) and not w.exchange.traces
    assert not [m for m in sys.modules if m.startswith("opentelemetry")]
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


def test_where_it_is_not_installed_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    telemetry._library.cache_clear()
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)

    async def main() -> None:
        async with Scheduler(protocol="inproc") as s:
            with dask.config.set(ON), pytest.raises(ImportError, match=r"shoal\[tracing\]"):
                await Worker(s.address)
            with dask.config.set(ON), pytest.raises(ImportError, match=r"shoal\[tracing\]"):
                await Client(s.address, asynchronous=True, set_as_default=False)

    asyncio.run(main())
    monkeypatch.undo()
    telemetry._library.cache_clear()
