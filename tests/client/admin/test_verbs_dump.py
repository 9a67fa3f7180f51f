"""Dumps of the cluster's state, tables of versions, logs."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from helpers import run, until

from shoal import Client, DumpArtefact, Scheduler, Worker
from shoal.client.admin.versions import differences, table


def inc(x: int) -> int:
    return x + 1


def div(x: int, y: int) -> float:
    return x / y


GO, STARTED = threading.Event(), threading.Event()


def block() -> None:
    STARTED.set()
    GO.wait(20)


@pytest.mark.parametrize("format", ["msgpack", "yaml"])
def test_dump_and_read_back(tmp_path: Path, format: Any) -> None:
    async def main() -> None:
        GO.clear()
        STARTED.clear()
        async with (
            Scheduler(protocol="inproc") as s,
            Worker(s.address, nthreads=1) as a,
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            x = c.submit(inc, 1, key=("x", 0))
            bad = c.submit(div, 1, 0, key="bad")
            await x
            await bad.exception()
            blocked = c.submit(block, key="blocked")
            await until(STARTED.is_set)
            await c.log_event("news", {"a": [1, 2]})
            path = await c.dump_cluster_state(str(tmp_path / "dump"), format=format)
            assert path == str(tmp_path / "dump") + (".yaml" if format == "yaml" else ".msgpack.gz")
            dump = DumpArtefact.from_file(path)
            assert set(dump) == {"scheduler", "workers", "versions"}
            assert {t["key"] for t in dump.scheduler_tasks_in_state()} == {
                "('x', 0)",
                "bad",
                "blocked",
            }
            (processing,) = dump.scheduler_tasks_in_state("processing")
            assert processing["processing_on"] == a.address
            (erred,) = dump.scheduler_tasks_in_state("erred")
            assert "ZeroDivisionError" in erred["exception_text"]
            (running,) = dump.worker_tasks_in_state()
            assert (running["key"], running["worker"]) == ("blocked", a.address)
            story = dump.scheduler_story(("x", 0))["('x', 0)"]
            assert [entry[2] for entry in story] == ["waiting", "processing", "memory"]
            assert dump.missing_workers() == []
            assert dump["scheduler"]["events"]["news"][0][1] == {"a": [1, 2]}
            assert dump["workers"][a.address]["data"]["('x', 0)"]["nbytes"] == 28
            assert repr(dump) == "<DumpArtefact: 3 tasks, 1 workers>"
            assert DumpArtefact.from_url(f"file://{path}").dump == dump.dump
            small = await c.dump_cluster_state(str(tmp_path / "small"), exclude=["log", "who_has"])
            less = DumpArtefact.from_file(small)
            assert "log" not in less["workers"][a.address]
            assert all("who_has" not in t for t in less.scheduler_tasks_in_state())
            with pytest.raises(ValueError, match="format= is 'msgpack' or 'yaml', got 'xml'"):
                await c.dump_cluster_state("x", format="xml")  # type: ignore[arg-type]
            GO.set()
            await blocked

    run(main())


def test_an_unknown_ending_is_named(tmp_path: Path) -> None:
    (tmp_path / "dump.json").write_text("{}")
    with pytest.raises(ValueError, match=r"dump\.json' ends in none of"):
        DumpArtefact.from_file(tmp_path / "dump.json")


def place(**packages: str | None) -> dict[str, Any]:
    return {"packages": {"python": "3.11", **packages}}


def test_the_table_of_differing_versions() -> None:
    found = {
        "client": place(dask="2026.1", numpy="2.0"),
        "scheduler": place(dask="2026.2", numpy="2.0"),
        "workers": {
            "a": place(dask="2026.1", numpy="2.0", lz4="4"),
            "b": place(dask="2026.1", numpy=None, lz4="4"),
        },
    }
    assert table(differences(found)).splitlines() == [
        "+---------+--------+-----------+------------------------------+",
        "| Package | Client | Scheduler | Workers                      |",
        "+---------+--------+-----------+------------------------------+",
        "| dask    | 2026.1 | 2026.2    | 2026.1                       |",
        "| lz4     | -      | -         | 4                            |",
        "| numpy   | 2.0    | 2.0       | 2.0 (1 worker), - (1 worker) |",
        "+---------+--------+-----------+------------------------------+",
    ]


def test_get_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc") as s,
            Worker(s.address, nthreads=1) as a,
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            found = await c.get_versions(check=True, packages=["pytest", "no-such-thing"])
            assert found["workers"][a.address]["packages"]["pytest"] == pytest.__version__
            assert found["client"]["packages"]["no-such-thing"] is None
            other = {"packages": {"python": "2.7"}}
            monkeypatch.setattr("shoal.client.admin.versions.own_versions", lambda: other)
            with pytest.raises(ValueError, match=r"Mismatched versions found\n\n\+--.*\n.*Pack"):
                await c.get_versions(check=True)

    run(main())


def test_logs_of_scheduler_and_workers() -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc") as s,
            Worker(s.address, nthreads=1) as a,
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            logging.getLogger("shoal.scheduler").warning("a word to people")
            logging.getLogger("shoal.worker").warning("another word")
            level, text = (await c.get_scheduler_logs(n=2))[1]
            assert level == "WARNING" and "a word to people" in text
            ((_, text),) = (await c.get_worker_logs(n=1))[a.address]
            assert "another word" in text
            with pytest.raises(ValueError, match="have no nanny"):
                await c.get_worker_logs(nanny=True)
            assert await c.get_worker_logs(workers=[]) == {}

    run(main())
