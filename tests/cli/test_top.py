"""`shoal top`: what it shows of a cluster, and what it says where it cannot."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from click.testing import CliRunner, Result
from helpers import run
from rich.console import Console

from shoal import Client, Scheduler, Worker
from shoal.cli.main import cli
from shoal.cli.top_view import view

HOSTILE = "[red]no markup[/red]"


def double(x: int) -> int:
    return 2 * x


def fail(x: int) -> None:
    raise ValueError(x)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["top", *arguments])


def drawn(told: dict[str, Any], height: int = 40) -> str:
    console = Console(width=120, height=height, force_terminal=False)
    with console.capture() as captured:
        console.print(view(told, "tcp://here:8786", 12.0, height))
    return captured.get()


def test_a_cluster_is_shown() -> None:
    async def main() -> str:
        async with (
            Scheduler(protocol="tcp", host="127.0.0.1") as s,
            Worker(s.address, name=HOSTILE, nthreads=3),
            Client(s.address, asynchronous=True, set_as_default=False) as c,
        ):
            kept = c.map(double, range(7))
            failed = c.submit(fail, 1)
            await c.gather([*kept, failed], errors="skip")
            result = await asyncio.to_thread(invoke, s.address, "--once")
            assert result.exit_code == 0, result.output
            told = await c.scheduler.cluster_summary()
            assert drawn(told).splitlines()[1].startswith("1 workers, 3 threads, 1 clients")
            return result.output

    text = run(main())
    assert "7 stored, 0 processing, 0 waiting" in text and "1 failed" in text
    assert "[red]no markup" in text  # a name is text, whatever is in it
    assert "double" in text and "came" in text


def test_what_does_not_fit_is_counted() -> None:
    tasks = dict.fromkeys(
        ("waiting", "queued", "memory", "processing", "no-worker", "erred", "released"), 1
    )
    metrics = {"cpu": 1, "memory": 1, "managed_bytes": 0, "spilled_bytes": 0, "executing": 0}
    told = {
        "n_workers": 300,
        "threads": 300,
        "clients": 1,
        "cpu": 5,
        "memory": 10,
        "limit": 0,
        "tasks": tasks,
        "prefixes": [{"name": f"p{i}", "tasks": tasks, "duration": None} for i in range(50)],
        "workers": [
            {
                "name": str(i),
                "status": "running",
                "processing": 1,
                "stored": 1,
                "limit": 0,
                "metrics": metrics,
            }
            for i in range(200)
        ],
        "faults": [(0.0, {"action": "remove-worker", "worker": "w", "reason": "killed"})],
    }
    text = drawn(told, height=24)
    assert len(text.splitlines()) <= 24
    assert "w left: killed" in text and "1 without a worker" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "ADDRESS or --scheduler-file"),
        (["tcp://127.0.0.1:9", "--scheduler-file", "x"], "ADDRESS or --scheduler-file"),
        (["tcp://127.0.0.1:9", "--interval", "0"], "--interval"),
    ],
)
def test_what_is_missing_is_said(arguments: list[str], said: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2 and said in result.output


def test_a_scheduler_that_is_not_there_is_named() -> None:
    result = invoke("tcp://127.0.0.1:9", "--once")
    assert result.exit_code == 1
    assert "127.0.0.1:9" in result.output and "Traceback" not in result.output
