"""Recordings of a cluster at work, and pages of journals."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers import recorded_in, run

from shoal import Client, Scheduler, Worker
from shoal.cli.main import cli
from shoal.dashboard.journal_page import journal_page
from shoal.dashboard.recorder import record
from shoal.errors import JournalError

HOSTILE = "</script><script>alert(1)</script>"


def double(x: int) -> int:
    return 2 * x


def test_a_cluster_is_recorded() -> None:
    async def main() -> str:
        async with (
            Scheduler(protocol="inproc", dashboard_address=":0") as s,
            Worker(s.address, name=HOSTILE, nthreads=2),
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            looking = record(s.dashboard_link, asyncio.Event(), 1.0, 2**20)
            recording = asyncio.create_task(looking)
            futures = c.map(double, range(10))
            await c.gather(futures)
            return (await recording).html

    html = run(main())
    found = recorded_in(html)
    assert html.count("</script>") == 2
    first, *rest = found["frames"]
    assert first["kind"] == "full" and {frame["kind"] for frame in rest} == {"delta"}
    assert first["workers"][0]["name"] == HOSTILE
    assert {"why", "profile", "profile own=true", "monitors"} <= set(found["answers"])
    assert "status" in found["pages"]


def test_a_journal_opens_as_a_page(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            Scheduler(protocol="inproc", dashboard_address=None, journal=str(tmp_path)) as s,
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            async with Worker(s.address):
                await c.submit(double, 1)
            await c.log_event("mine", HOSTILE)

    run(main())
    output = tmp_path / "page.html"
    result = CliRunner().invoke(
        cli, ["record", "--journal", str(tmp_path), "--output", str(output)]
    )
    assert result.exit_code == 0, result.output
    found = recorded_in(output.read_text())
    assert ["mine", HOSTILE] in [event[1:] for event in found["answers"]["events"]["last"]]
    (frame,) = found["frames"]
    assert {"add-worker", "remove-worker"} <= {fault["action"] for fault in frame["faults"]}
    assert dict(found["answers"]["summary"]["facts"])["Damage"] == "none"
    (tmp_path / "journal").write_bytes(b"nothing of this kind")
    with pytest.raises(JournalError, match="no journal"):
        journal_page(tmp_path)


def test_one_thing_is_recorded() -> None:
    result = CliRunner().invoke(cli, ["record"])
    assert result.exit_code != 0 and "say what to record" in result.output
