"""shoal's own SlurmCluster on a real Slurm: arrays, pools, walltime, requeue."""

from __future__ import annotations

import pytest
from programs import Programs
from slurm_site import SlurmSite

pytestmark = pytest.mark.timeout(180)

_BEGIN = """
import time
from shoal import Client, SlurmCluster, get_worker


def until(condition, timeout=90):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.1)


def noted(x):
    with open("runs", "a") as file:
        file.write(f"{x}\\n")
    return x + 1


def runs():
    return len(open("runs").readlines())


def workers(client):
    return sorted(str(each["name"]) for each in client.scheduler_info()["workers"].values())


quiet = {"dashboard_address": ":0"}
small = {"cores": 1, "memory": "400 MiB", "walltime": "00:20:00"}
"""


def run(slurm: SlurmSite, programs: Programs, text: str) -> None:
    programs.run(_BEGIN + text, env=slurm.environment, under="")
    assert slurm.settles([])


def test_one_array_for_many_workers(slurm: SlurmSite, programs: Programs) -> None:
    run(
        slurm,
        programs,
        """
with SlurmCluster(**small, scheduler_options=quiet) as cluster, Client(cluster) as client:
    cluster.scale(4)
    client.wait_for_workers(4, timeout=60)
    jobs = {worker.job for worker in cluster.workers.values()}
    assert len({job.partition("_")[0] for job in jobs}) == 1, jobs
    kept = client.map(noted, range(40), pure=False)
    assert client.gather(kept) == list(range(1, 41))
    cluster.scale(1)
    until(lambda: len(workers(client)) == 1)
    assert client.gather(kept) == list(range(1, 41)) and runs() == 40
""",
    )


def test_one_job_of_several_nodes(slurm: SlurmSite, programs: Programs) -> None:
    run(
        slurm,
        programs,
        """
with SlurmCluster(**small, n_workers=3, one_job=True, scheduler_options=quiet) as cluster:
    with Client(cluster) as client:
        client.wait_for_workers(3, timeout=60)
        assert len({worker.job for worker in cluster.workers.values()}) == 1
        where = client.run(lambda: __import__("os").environ["SLURMD_NODENAME"])
        assert len(set(where.values())) == 3, where
        assert workers(client) == ["worker-0", "worker-1", "worker-2"]
""",
    )


def test_pools_scale_and_adapt_apart(slurm: SlurmSite, programs: Programs) -> None:
    run(
        slurm,
        programs,
        """
pools = {"cpu": small, "gpu": {**small, "gpus": 1}}
with SlurmCluster(pools, scheduler_options=quiet) as cluster, Client(cluster) as client:
    cluster.scale(1, pool="cpu")
    cluster.adapt(pool="gpu", maximum=2, interval="200ms")
    client.wait_for_workers(1, timeout=60)
    assert workers(client) == ["cpu-0"]
    where = client.submit(lambda: str(get_worker().name), resources={"GPU": 1})
    assert where.result(timeout=60).startswith("gpu-")
    assert client.submit(lambda: 1).result() == 1
    where.release()
    until(lambda: workers(client) == ["cpu-0"])
""",
    )


def test_the_end_of_the_walltime_is_known(slurm: SlurmSite, programs: Programs) -> None:
    """A worker leaves in time, with its data; another takes its place."""
    run(
        slurm,
        programs,
        """
brief = {**small, "walltime": "00:01:00"}
with SlurmCluster(**brief, n_workers=1, scheduler_options=quiet) as cluster:
    with Client(cluster) as client:
        client.wait_for_workers(1, timeout=60)
        left = client.run(lambda dask_worker: dask_worker.lifetime)
        assert 20 < min(left.values()) < 60, left
        kept = client.map(noted, range(10), pure=False)
        client.gather(kept)
        first = workers(client)
        cluster.scale(2)
        until(lambda: len(workers(client)) == 2)
        until(lambda: set(first) - set(workers(client)))
        assert client.gather(kept) == list(range(1, 11)) and runs() == 10
""",
    )


def test_a_requeued_job_comes_back(slurm: SlurmSite, programs: Programs) -> None:
    run(
        slurm,
        programs,
        """
import subprocess
with SlurmCluster(**small, n_workers=2, scheduler_options=quiet) as cluster:
    with Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        kept = client.map(noted, range(10), pure=False)
        client.gather(kept)
        job = cluster.workers["worker-0"].job
        subprocess.run(["scontrol", "requeue", job], check=True)
        until(lambda: "worker-0" not in workers(client))

        def hurried():  # Slurm lets a requeued job wait for two minutes
            subprocess.run(["scontrol", "update", f"jobid={job}", "starttime=now"])
            return "worker-0-restart-1" in workers(client)

        until(hurried)
        assert client.gather(kept) == list(range(1, 11)) and runs() == 10
        cluster.scale(1)
        until(lambda: len(workers(client)) == 1)
""",
    )
