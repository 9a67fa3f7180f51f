"""Whole clusters in processes that mpiexec or srun started: who is what."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from shoal.cli.ranks import Place, mpi, place


def test_who_says_the_rank() -> None:
    assert place({"PMI_RANK": "1", "PMI_SIZE": "3", "PMI_JOBID": "a/b"}) == Place(1, 3, "a_b")
    ompi = {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2", "PMIX_NAMESPACE": "n"}
    assert place(ompi) == Place(0, 2, "n")
    step = {"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "1"}
    assert place(step) == Place(3, 4, "7.1")


def test_mpiexec_in_a_job_of_slurm() -> None:
    """The batch step's own rank is 0 in all that mpiexec starts there."""
    found = {"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "PMI_RANK": "2", "PMI_SIZE": "4"}
    assert place(found, slurm_first=False).rank == 2


def test_nobody_started_it() -> None:
    with pytest.raises(click.UsageError, match="mpiexec"):
        place({})


def test_too_few() -> None:
    done = CliRunner().invoke(mpi, ["program.py"], env={"PMI_RANK": "0", "PMI_SIZE": "2"})
    assert done.exit_code == 2
    assert "the program and a worker are 3" in done.output
