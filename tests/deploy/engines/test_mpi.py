"""MPI: dask-mpi unchanged, and `shoal mpi` without it, under mpiexec; `shoal slurm` under srun."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from programs import Programs
from slurm_site import SlurmSite

pytestmark = pytest.mark.timeout(120)

_MPIEXEC = shutil.which("mpiexec", path=str(Path(sys.executable).parent)) or ""
needs_mpiexec = pytest.mark.skipif(
    not _MPIEXEC, reason="no mpiexec beside this Python; pip install mpich"
)

_WORK = """
total = sum(client.gather(client.map(lambda x: 2 * x, range(100))))
names = sorted(str(each["name"]) for each in client.scheduler_info()["workers"].values())
print("total", total, *names, flush=True)
"""


_OWN = """
from shoal import Client
client = Client()
client.wait_for_workers(2, timeout=60)
"""


def said(programs: Programs, *words: str, env: dict[str, str] | None = None) -> str:
    process = programs.command(*words, env=env)
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 0, out
    return out


@needs_mpiexec
def test_dask_mpi_unchanged(programs: Programs) -> None:
    (programs.folder / "program.py").write_text(
        """
from dask_mpi import initialize
initialize(nthreads=1, dashboard=False)
from dask.distributed import Client
import shoal
client = Client()
assert type(client) is shoal.Client
client.wait_for_workers(2, timeout=60)
"""
        + _WORK
    )
    python = [sys.executable, "-m", "shoal", "run", "program.py"]
    assert "total 9900" in said(programs, _MPIEXEC, "-n", "4", *python)


@needs_mpiexec
def test_shoal_mpi(programs: Programs) -> None:
    (programs.folder / "program.py").write_text(_OWN + _WORK)
    command = [sys.executable, "-m", "shoal", "mpi", "program.py"]
    assert "total 9900 rank-2 rank-3" in said(programs, _MPIEXEC, "-n", "4", *command)
    assert not list(programs.folder.glob("shoal-run-*"))


@needs_mpiexec
def test_the_programs_exit_code_is_that_of_all(programs: Programs) -> None:
    (programs.folder / "program.py").write_text("raise SystemExit(3)\n")
    command = [sys.executable, "-m", "shoal", "mpi", "program.py"]
    process = programs.command(_MPIEXEC, "-n", "3", *command)
    process.communicate(timeout=100)
    assert process.returncode == 3


def test_shoal_slurm(slurm: SlurmSite, programs: Programs) -> None:
    (programs.folder / "program.py").write_text(_OWN + _WORK)
    command = ["srun", "-n", "4", "-N", "2", "-t", "5", sys.executable, "-m", "shoal", "slurm"]
    out = said(programs, *command, "program.py", env=slurm.environment)
    assert "total 9900 rank-2 rank-3" in out


def test_slurm_runner_unchanged(slurm: SlurmSite, programs: Programs) -> None:
    """dask-jobqueue's SLURMRunner: each process of the step is what its rank says."""
    (programs.folder / "program.py").write_text(
        """
from dask_jobqueue.slurm import SLURMRunner
from dask.distributed import Client
import shoal
with SLURMRunner(scheduler_file="scheduler-{job_id}.json") as runner:
    with Client(runner) as client:
        assert type(client) is shoal.Client
        client.wait_for_workers(runner.n_workers, timeout=60)
"""
        + "\n".join(f"        {line}" for line in _WORK.splitlines())
    )
    command = ["srun", "-n", "4", "-t", "5", sys.executable, "-m", "shoal", "run", "program.py"]
    assert "total 9900" in said(programs, *command, env=slurm.environment)
