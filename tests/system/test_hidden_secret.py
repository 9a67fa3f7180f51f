"""The cluster's secret is in no task's environment, command line, log or dump."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dask
import pytest

from shoal import Client, LocalCluster, get_client

pytestmark = pytest.mark.process

SECRET = "0123456789abcdef0123456789abcdef00"


def look() -> dict[str, Any]:
    """Return what a task sees of its process."""
    child = subprocess.run(
        [sys.executable, "-c", "import os; print(dict(os.environ))"], capture_output=True, text=True
    )
    seen = [str(dict(os.environ)), child.stdout, json.dumps(dask.config.config, default=str)]
    for name in ("environ", "cmdline"):
        path = Path("/proc/self", name)
        if path.exists():
            seen.append(path.read_bytes().decode(errors="replace"))
    return {"pid": os.getpid(), "seen": "\n".join(seen)}


def ask_again() -> int:
    """Use the cluster from a task, which needs the secret."""
    found: int = get_client().submit(sum, [1, 2]).result()
    return found


@pytest.mark.parametrize("how", ["environment", "configuration"])
def test_tasks_do_not_see_it_and_clusters_work(
    how: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if how == "environment":
        monkeypatch.setenv("SHOAL_SECRET", SECRET)
    with (
        dask.config.set({"shoal.secret": SECRET if how == "configuration" else None}),
        LocalCluster(
            n_workers=1, threads_per_worker=2, protocol="tcp", dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        seen = client.submit(look).result()
        assert seen["pid"] != os.getpid() and SECRET not in seen["seen"]
        assert client.submit(ask_again).result() == 3
        client.dump_cluster_state(str(tmp_path / "dump"), format="yaml")
        written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert written and SECRET.encode() not in written
        assert SECRET not in repr(client.connection_args) + repr(client.security) + repr(cluster)
        assert SECRET not in str(client.get_worker_logs()) + str(client.get_scheduler_logs())
    assert SECRET not in caplog.text
