"""dask-jobqueue: its own local cluster, real worker processes started by a generated job script."""

from __future__ import annotations

import sys
import tempfile

from dask_jobqueue.local import LocalCluster
from harness import Report, quick

TASKS = 50 if quick() else 500


def where(x: int) -> tuple[int, int]:
    import os

    return x + 1, os.getpid()


def main() -> None:
    from distributed import Client

    report = Report("dask-jobqueue", f"LocalCluster: 2 jobs up, {TASKS} tasks, scaled down to 1")

    def work(folder: str) -> list[tuple[int, int]]:
        options = {"cores": 1, "processes": 1, "memory": "500 MB", "local_directory": folder}
        with (
            LocalCluster(
                **options,
                python=sys.executable,
                scheduler_options={"dashboard_address": ":0"},
                silence_logs="error",
            ) as cluster,
            Client(cluster) as client,
        ):
            script = cluster.job_script()
            assert "distributed.cli.dask_worker" in script, script
            cluster.scale(jobs=2)
            client.wait_for_workers(2, timeout=60)
            found = client.gather(client.map(where, range(TASKS)))
            cluster.scale(jobs=1)
            while len(client.scheduler_info()["workers"]) > 1:
                client.submit(where, 0, pure=False).result()
            assert client.submit(where, 1, pure=False).result()[0] == 2
            return found

    with tempfile.TemporaryDirectory() as folder:
        found = report.timed(lambda: work(folder))
    assert [x for x, _ in found] == list(range(1, TASKS + 1))
    assert len({pid for _, pid in found}) == 2
    report.done()


if __name__ == "__main__":
    main()
