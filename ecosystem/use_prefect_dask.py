"""prefect-dask: a flow whose tasks run on a cluster, and one with a client in its tasks."""

from __future__ import annotations

import os
import tempfile

from harness import Report, quick

# Prefect keeps a server with a database for its runs: one of our own, that nobody else sees.
HOME = tempfile.TemporaryDirectory()
os.environ.update(
    PREFECT_HOME=HOME.name,
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_LOGGING_LEVEL="ERROR",
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="120",
    DO_NOT_TRACK="1",
)

from prefect import flow, task  # noqa: E402
from prefect_dask import DaskTaskRunner, get_dask_client  # noqa: E402

TASKS = 5 if quick() else 40


@task
def inc(x: int) -> int:
    return x + 1


@task
def add(*numbers: int) -> int:
    return sum(numbers)


@task
def with_dask(n: int) -> int:
    import dask.array as da

    with get_dask_client() as client:
        return int(client.compute(da.arange(n, chunks=10).sum()).result())


def main() -> None:
    report = Report("prefect-dask", f"DaskTaskRunner: a flow of {TASKS} tasks, their sum, a client")
    runner = DaskTaskRunner(
        cluster_kwargs={"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    )

    @flow(task_runner=runner)
    def work() -> tuple[int, int]:
        numbers = inc.map(range(TASKS))
        total = add.submit(*numbers)
        return total.result(), with_dask.submit(100).result()

    total, of_array = report.timed(work)
    assert total == TASKS * (TASKS + 1) // 2
    assert of_array == 4950
    report.done()


if __name__ == "__main__":
    main()
