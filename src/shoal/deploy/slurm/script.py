"""Job scripts: what a pool of workers asks of Slurm, as text. Pure: nothing is submitted here."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dask.utils import parse_bytes

from shoal.deploy.ssh import as_options

__all__ = ["Pool", "job_script", "own_name", "seconds_of"]

_MIB = 2**20


@dataclass(frozen=True)
class Pool:
    """One kind of workers of a `SlurmCluster`.

    Attributes
    ----------
    cores : int
        Processors of each job, which are the threads of its workers together.
    memory : str or int
        Memory of each job, such as ``"4 GiB"``.
    processes : int
        Workers in each job.
    walltime : str, optional
        Time limit of each job as Slurm writes it, such as ``"01:00:00"``; None: the partition's.
    gpus : int
        Graphics cards of each job; its workers offer them together as the resource ``GPU``.
    partition, account, qos, constraint : str, optional
        As for ``sbatch``.
    directives : list of str
        More options of ``sbatch``, such as ``"--exclusive"``.
    prologue : list of str
        Lines of shell that run before the workers, such as ``"module load gcc"``.
    resources : dict
        What else each worker offers to tasks.
    worker_options : dict
        Options of ``shoal worker``: ``{"death_timeout": 60}``.
    python : str
        The Python there; by default the path of this one.
    requeue : bool
        Whether Slurm may run a job again whose node was lost or taken by others.

    Examples
    --------
    >>> Pool(cores=4, memory="8 GiB", gpus=1).offers()
    {'GPU': 1.0}
    """

    cores: int = 1
    memory: str | int = "2 GiB"
    processes: int = 1
    walltime: str | None = None
    gpus: int = 0
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    directives: Sequence[str] = ()
    prologue: Sequence[str] = ()
    resources: Mapping[str, float] = field(default_factory=dict)
    worker_options: Mapping[str, Any] = field(default_factory=dict)
    python: str = sys.executable
    requeue: bool = True

    def __post_init__(self) -> None:
        for name in ("cores", "processes"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name}= is a whole number of at least 1, not {value!r}")
        if self.cores < self.processes:
            raise ValueError(
                f"{self.processes} processes need a processor each: cores={self.cores} is too few"
            )
        parse_bytes(self.memory)
        if self.walltime is not None:
            seconds_of(self.walltime)
        if isinstance(self.directives, str) or isinstance(self.prologue, str):
            raise ValueError("directives= and prologue= are lists, of one line each")

    def offers(self) -> dict[str, float]:
        """Return the resources that each worker offers."""
        cards = {"GPU": self.gpus / self.processes} if self.gpus else {}
        return {**cards, **self.resources}


def seconds_of(walltime: str) -> float:
    """Return the seconds of a time limit as Slurm writes it.

    Raises
    ------
    ValueError
        When it is none.

    Examples
    --------
    >>> seconds_of("01:30:00"), seconds_of("90"), seconds_of("1-12"), seconds_of("2:30")
    (5400.0, 5400.0, 129600.0, 150.0)
    """
    days, dash, rest = walltime.rpartition("-")
    try:
        parts = [int(part) for part in rest.split(":")]
        day = int(days) if dash else 0
    except ValueError:
        parts, day = [], 0
    if not 1 <= len(parts) <= 3:
        raise ValueError(
            f"walltime={walltime!r} is none of Slurm's: minutes, minutes:seconds, "
            "hours:minutes:seconds, days-hours or days-hours:minutes:seconds"
        )
    if dash:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        hours, (minutes, seconds) = 0, [*parts, 0][:2]
    return float(((day * 24 + hours) * 60 + minutes) * 60 + seconds)


def own_name(name: str) -> str:
    """Return the name of a worker's job, for that of a worker that may have been requeued.

    Examples
    --------
    >>> own_name("cpu-3"), own_name("cpu-3-restart-1"), own_name("cpu-3-restart-1-0")
    ('cpu-3', 'cpu-3', 'cpu-3-0')
    """
    first, restart, rest = name.partition("-restart-")
    _, dash, process = rest.partition("-")
    return first + dash + process if restart else name


def job_script(
    job_name: str,
    pool: Pool,
    names: Sequence[str],
    scheduler: str,
    *,
    log_directory: str,
    one_job: bool,
) -> str:
    """Return the script of a submission: one job array, or one job of several nodes.

    Parameters
    ----------
    job_name : str
        Name of the job.
    pool : Pool
        What each worker's job has.
    names : list of str
        Names of the workers, one for each element of the array or node of the job.
    scheduler : str
        The scheduler's address.
    log_directory : str
        Where the jobs write.
    one_job : bool
        Whether they are one job, whose nodes begin together, and no array.
    """
    count = len(names)
    ask = [
        f"--job-name={job_name}",
        f"--output={log_directory}/{job_name}-{'%j' if one_job else '%A_%a'}.out",
        f"--cpus-per-task={pool.cores}",
        f"--mem={max(1, parse_bytes(pool.memory) // _MIB)}M",
        "--requeue" if pool.requeue else "--no-requeue",
        "--open-mode=append",
    ]
    if one_job:
        ask += [f"--nodes={count}", f"--ntasks={count}", "--ntasks-per-node=1"]
    else:
        ask += [f"--array=0-{count - 1}", "--ntasks=1"]
    for option in ("partition", "account", "qos", "constraint"):
        value = getattr(pool, option)
        if value is not None:
            ask.append(f"--{option}={value}")
    if pool.walltime is not None:
        ask.append(f"--time={pool.walltime}")
    if pool.gpus:
        ask.append(f"--gres=gpu:{pool.gpus}")
    ask += pool.directives
    which = "SLURM_PROCID" if one_job else "SLURM_ARRAY_TASK_ID"
    # A requeued job's worker has a name of its own: the scheduler may not yet know that the first
    # is gone.
    choose = (
        f"names=({shlex.join(names)}); name=${{names[${which}]}}; "
        "[ ${SLURM_RESTART_COUNT:-0} = 0 ] || name=$name-restart-$SLURM_RESTART_COUNT; "
        f'exec {_worker(pool, scheduler)} --name "$name"'
    )
    # By srun in any case: the steps of a job are what Slurm sends its signals to.
    run = (
        f"exec srun --kill-on-bad-exit=0 --cpus-per-task={pool.cores} bash -c {shlex.quote(choose)}"
    )
    lines = ["#!/bin/bash", *(f"#SBATCH {each}" for each in ask), *pool.prologue, run]
    return "\n".join(lines) + "\n"


def _worker(pool: Pool, scheduler: str) -> str:
    options: dict[str, Any] = {
        "nthreads": max(1, pool.cores // pool.processes),
        "nworkers": pool.processes if pool.processes > 1 else None,
        "memory_limit": int(parse_bytes(pool.memory) * 0.95) // pool.processes,
        "death_timeout": 60,
        **pool.worker_options,
    }
    offers = " ".join(f"{name}={amount:g}" for name, amount in pool.offers().items())
    options["resources"] = offers or None
    return shlex.join([pool.python, "-m", "shoal", "worker", scheduler, *as_options(options)])
