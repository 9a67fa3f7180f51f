"""dask-jobqueue's SLURMCluster, unchanged, on a real Slurm and on shoal."""

from __future__ import annotations

import pytest
from programs import Programs
from slurm_site import SlurmSite

pytestmark = pytest.mark.timeout(180)

_CLUSTER = """
import os
import time
from dask_jobqueue import SLURMCluster
from dask.distributed import Client

import shoal


def until(condition, timeout=60):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.1)


def cluster(**options):
    options = {"walltime": "00:10:00", "job_extra_directives": ["--no-requeue"], **options}
    return SLURMCluster(cores=1, processes=1, memory="400MB",
                        scheduler_options={"dashboard_address": ":0"}, **options)


def noted(x):
    with open("runs", "a") as file:
        file.write(f"{x}\\n")
    return x + 1


def runs():
    return len(open("runs").readlines())
"""


def test_start_scale_and_retire(slurm: SlurmSite, programs: Programs) -> None:
    programs.run(
        _CLUSTER
        + """
with cluster() as c, Client(c) as client:
    assert type(client) is shoal.Client
    c.scale(3)
    client.wait_for_workers(3, timeout=60)
    kept = client.map(noted, range(30), pure=False)
    assert client.gather(kept) == list(range(1, 31))
    assert len([keys for keys in client.has_what().values() if keys]) == 3
    c.scale(1)
    until(lambda: len(client.scheduler_info()["workers"]) == 1)
    assert client.gather(kept) == list(range(1, 31))
    assert runs() == 30  # data moved: nothing was computed again
    c.scale(2)
    client.wait_for_workers(2, timeout=60)
""",
        env=slurm.environment,
    )
    assert slurm.settles([])


def test_adapts_and_comes_to_rest(slurm: SlurmSite, programs: Programs) -> None:
    programs.run(
        _CLUSTER
        + """
with cluster() as c, Client(c) as client:
    c.adapt(minimum=1, maximum=3, interval="200ms")
    client.wait_for_workers(1, timeout=60)
    def slow(x):
        time.sleep(1)
        return noted(x)
    kept = client.map(slow, range(40), pure=False)
    until(lambda: len(client.scheduler_info()["workers"]) == 3)
    assert client.gather(kept) == list(range(1, 41))
    until(lambda: len(client.scheduler_info()["workers"]) == 1)
    assert client.gather(kept) == list(range(1, 41))
    assert runs() == 40, sorted(open("runs"))
""",
        env=slurm.environment,
    )
    assert slurm.settles([])
