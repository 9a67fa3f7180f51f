"""Code that cannot be interrupted: its process is replaced, and nothing else is lost or blamed."""

from __future__ import annotations

import re
import time
from typing import Any

import dask
import pytest
from helpers import wait_until

from shoal import Client, TaskTimeout

pytestmark = pytest.mark.process


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_a_process_is_replaced_and_its_other_tasks_are_not_blamed() -> None:
    settings = {"shoal.timeouts.grace": "300ms", "distributed.scheduler.allowed-failures": 0}
    with (
        dask.config.set(settings),
        Client(n_workers=1, threads_per_worker=3, dashboard_address=None) as client,
    ):
        [before] = client.run(lambda dask_worker: dask_worker.id).values()
        kept = client.submit(sleep, 0.0)
        beside = client.map(sleep, [1.0, 1.1, 1.2, 1.3])
        error = client.submit(sleep, 50, timeout="200ms").exception(timeout=30)
        assert isinstance(error, TaskTimeout) and "in sleep" in error.where
        assert client.gather(beside) == [1.0, 1.1, 1.2, 1.3]
        assert kept.result() == 0.0
        events = [event["action"] for _, event in client.get_events("interrupts")]
        assert events == ["task-interrupted", "worker-replaced"]
        ids: Any = lambda: client.run(lambda dask_worker: dask_worker.id).values()  # noqa: E731
        wait_until(lambda: [before] != [*ids()], timeout=30)
        assert client.submit(sleep, 0.01).result(timeout=30) == 0.01


def sleep_on_the_loop(seconds: float) -> Any:
    async def block() -> None:
        time.sleep(seconds)

    return block


def hold_the_interpreter() -> Any:
    return re.match("(a+)+$", "a" * 60 + "b")


@pytest.mark.parametrize("how", ["the loop", "the interpreter"])
def test_a_task_that_holds_its_process_is_ended_by_the_nanny(how: str) -> None:
    function = sleep_on_the_loop(60.0) if how == "the loop" else hold_the_interpreter
    settings = {"shoal.timeouts.grace": "300ms", "distributed.scheduler.allowed-failures": 0}
    with (
        dask.config.set(settings),
        Client(n_workers=1, threads_per_worker=2, dashboard_address=None) as client,
    ):
        beside = client.submit(sleep, 0.5)
        error = client.submit(function, timeout="300ms").exception(timeout=40)
        assert isinstance(error, TaskTimeout)
        assert beside.result(timeout=30) == 0.5
