"""The verbs where they meet the world: workers in processes, restarts, late workers."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import pytest
from helpers import wait_until

from shoal import Client, LocalCluster, WorkerPlugin, get_task_stream


class Mark(WorkerPlugin):
    name = "mark"

    def setup(self, worker: Any) -> None:
        worker.marked = os.getpid()


def answer_of(name: str) -> Any:
    return importlib.import_module(name).answer()


def marked(dask_worker: Any) -> tuple[bool, bool]:
    return dask_worker.marked == os.getpid(), "mark" in dask_worker.plugins


@pytest.mark.process
def test_plugins_and_files_are_there_after_a_restart_and_on_late_workers(tmp_path: Path) -> None:
    source = tmp_path / "uploaded_for_processes.py"
    source.write_text("def answer(): return 6\n")
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.register_plugin(Mark())
        client.upload_file(str(source))
        assert client.submit(answer_of, "uploaded_for_processes").result() == 6
        (pid,) = client.run(os.getpid).values()
        client.restart()
        assert list(client.run(os.getpid).values()) != [pid]
        assert list(client.run(marked).values()) == [(True, True)]
        assert client.submit(answer_of, "uploaded_for_processes").result() == 6

        cluster.scale(2)
        client.wait_for_workers(2)
        assert list(client.run(marked).values()) == [(True, True)] * 2
        with get_task_stream(client) as stream:
            futures = client.map(str, range(20), workers=list(client.nthreads()))
            client.gather(futures)
        assert {record["worker"] for record in stream.data} <= set(client.nthreads())
        assert all(record["thread"] for record in stream.data)

        (data,) = client.scatter([bytes(200_000)])
        client.replicate([data])
        assert len(client.who_has([data])[data.key]) == 2
        assert client.gather(data) == bytes(200_000)

        pids = client.run(os.getpid)
        (first, _) = client.nthreads()
        assert client.restart_workers([first]) == {first: "OK"}
        wait_until(lambda: len(client.nthreads()) == 2)
        assert len(set(client.run(os.getpid).values()) & set(pids.values())) == 1
        logs = client.get_worker_logs(nanny=True)
        assert len(logs) == 2
