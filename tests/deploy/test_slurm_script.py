"""Job scripts of `SlurmCluster`, and what a process knows of the end of its job."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from shoal._base.allocation import END, allocation_end, note_allocation_end, seconds_left
from shoal.deploy.slurm.cluster import SlurmCluster
from shoal.deploy.slurm.script import Pool, job_script, own_name, seconds_of
from shoal.worker.settings import Lifetime


def script(pool: Pool, names: list[str], one_job: bool = False) -> str:
    return job_script(
        "lake", pool, names, "tcp://1.2.3.4:5", log_directory="/logs", one_job=one_job
    )


def asked(text: str) -> set[str]:
    mark = "#SBATCH "
    return {line.removeprefix(mark) for line in text.splitlines() if line.startswith(mark)}


def test_an_array() -> None:
    pool = Pool(cores=4, memory="8 GiB", walltime="01:00:00", gpus=2, partition="fast", processes=2)
    text = script(pool, ["gpu-0", "gpu-3"])
    assert asked(text) >= {
        "--job-name=lake",
        "--array=0-1",
        "--cpus-per-task=4",
        "--mem=8192M",
        "--time=01:00:00",
        "--gres=gpu:2",
        "--partition=fast",
        "--requeue",
    }
    last = text.splitlines()[-1]
    assert "names=(gpu-0 gpu-3)" in last and "SLURM_ARRAY_TASK_ID" in last
    assert "--nthreads 2" in last and "--nworkers 2" in last and "GPU=1" in last


def test_one_job_of_several_nodes() -> None:
    text = script(Pool(), ["a-0", "a-1", "a-2"], one_job=True)
    assert asked(text) >= {"--nodes=3", "--ntasks=3", "--ntasks-per-node=1"}
    assert "--array" not in text and "SLURM_PROCID" in text


def test_the_script_is_shell(tmp_path: Path) -> None:
    """What the shell makes of it, with a stand-in for srun that says what it was given."""
    (tmp_path / "srun").write_text('#!/bin/bash\nwhile [ "$1" != bash ]; do shift; done; "$@"\n')
    (tmp_path / "python").write_text('#!/bin/bash\necho "$@"\n')
    for name in ("srun", "python"):
        (tmp_path / name).chmod(0o755)
    pool = Pool(python=str(tmp_path / "python"), worker_options={"local_directory": "/my disk"})
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_ARRAY_TASK_ID": "1"}
    for restarts, name in (("0", "a-7"), ("2", "a-7-restart-2")):
        done = subprocess.run(
            ["bash", "-c", script(pool, ["a-0", "a-7"])],
            env={**env, "SLURM_RESTART_COUNT": restarts},
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.stdout.strip().endswith(f"--local-directory /my disk --name {name}"), done
    assert own_name("a-7-restart-2") == "a-7"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"cores": 0}, "cores"),
        ({"processes": 2}, "processes"),
        ({"walltime": "soon"}, "soon"),
        ({"directives": "--exclusive"}, "directives"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Pool(**wrong)


def test_a_cluster_says_which_pools_it_has() -> None:
    with pytest.raises(TypeError, match="cores"):
        SlurmCluster({"cpu": {}}, cores=1)
    with pytest.raises(ValueError, match="'cpu', 'gpu'"):
        SlurmCluster({"cpu": {}, "gpu": {}}, n_workers=2)


def test_time_limits() -> None:
    assert seconds_of("2-00:00:30") == 172830
    assert seconds_left("1:00:00") == 3600
    assert seconds_left("INVALID") is None


def test_slurm_is_asked_for_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "squeue").write_text("#!/bin/bash\necho 10:00\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv(END, "")
    note_allocation_end()
    end = allocation_end()
    assert end is not None and 590 < end - time.time() <= 600


def test_a_worker_leaves_before_its_job_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(END, str(time.time() + 3600))
    found = Lifetime.read(None, None, True)
    assert found.seconds is not None and 3530 < found.seconds <= 3540
    assert not found.restart  # there is no time for another
    assert Lifetime.read("60s", None, True).seconds == 60
    monkeypatch.setenv(END, str(time.time() + 100))
    found = Lifetime.read(None, None, None)
    assert found.seconds is not None and 88 < found.seconds <= 90
