"""A task that ends its process, next to others: it fails, and names how; the others do not."""

from __future__ import annotations

import os
import signal
import time

import pytest

from shoal import Client, KilledWorker

pytestmark = pytest.mark.process


def die_by_signal() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def slow_identity(x: int) -> int:
    time.sleep(0.05)
    return x


def test_a_task_that_kills_is_blamed_and_the_others_finish() -> None:
    with Client(n_workers=2, threads_per_worker=2, dashboard_address=None) as client:
        others = client.map(slow_identity, range(30))
        killer = client.submit(die_by_signal, pure=False)
        error = killer.exception(timeout=40)
        assert isinstance(error, KilledWorker)
        assert "die_by_signal" in str(error) and "SIGKILL" in str(error)
        assert "on host" in str(error)
        assert client.gather(others) == list(range(30))
