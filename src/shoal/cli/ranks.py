"""The commands `shoal mpi` and `shoal slurm`: a whole cluster in processes that others started.

What starts the processes (mpiexec, srun) tells each its rank. Rank 0 is the scheduler; where there
is a program, rank 1 runs it; all others are workers. They find each other by a file, so the folder
in which they run is to be one that all hosts see. No MPI library is needed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

__all__ = ["Place", "mpi", "place", "slurm"]

_PATIENCE = 120.0  # seconds until the scheduler's file is there
_STEP = 0.05
_RANKS = (
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("PMIX_RANK", "PMIX_SIZE"),
)
# Each is the same in all processes of a run, and another one in other runs.
_RUNS = ("PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid", "PMI_JOBID", "PBS_JOBID", "LSB_JOBID")


@dataclass(frozen=True)
class Place:
    """Where a process stands among those that were started together.

    Attributes
    ----------
    rank, size : int
        Its number, and how many there are.
    run : str
        What names the run.
    """

    rank: int
    size: int
    run: str


def place(environment: Mapping[str, str], slurm_first: bool = True) -> Place:
    """Return this process's place, by what mpiexec or srun put into its environment.

    Raises
    ------
    click.UsageError
        When nothing of the kind started it.

    Examples
    --------
    >>> place({"SLURM_PROCID": "2", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "7"})
    Place(rank=2, size=4, run='7')
    """
    for rank, size in _RANKS if slurm_first else (*_RANKS[1:], _RANKS[0]):
        if rank in environment and size in environment:
            break
    else:
        raise click.UsageError(
            "nothing says which rank this process has: start it by mpiexec, mpirun or srun, "
            "as in mpiexec -n 4 shoal mpi program.py"
        )
    if rank.startswith("SLURM"):
        names = ("SLURM_JOB_ID", "SLURM_STEP_ID")
        run = ".".join(environment[name] for name in names if name in environment)
    else:
        # One host's processes are children of the same daemon of mpiexec.
        run = next((environment[name] for name in _RUNS if name in environment), "")
        run = run.replace("/", "_") or str(os.getppid())
    return Place(int(environment[rank]), int(environment[size]), run)


def _options(command: Any) -> Any:
    for option in (
        click.option("--scheduler-file", type=click.Path(), help="By which ranks find each other."),
        click.option("--interface", default=None, help="Network interface, such as ib0."),
        click.option("--protocol", default=None, help="tcp or tls."),
        click.option("--nthreads", type=click.IntRange(min=1), default=1, show_default=True),
        click.option("--memory-limit", default="auto", show_default=True, help="Of each worker."),
        click.option("--local-directory", type=click.Path(), default=None, help="For files."),
        click.option("--dashboard-address", default=":0", help="Where to show the pages."),
        click.option("--nanny/--no-nanny", default=True, help="Workers in watched processes."),
        click.argument("program", nargs=-1, type=click.UNPROCESSED, metavar="[PROGRAM [ARGS]...]"),
    ):
        command = option(command)
    return command


_SETTINGS = {"allow_interspersed_args": False, "ignore_unknown_options": False}


@click.command(context_settings=_SETTINGS)
@_options
def mpi(**options: Any) -> None:
    """Run a cluster in the processes of mpiexec, and PROGRAM with it.

    In `mpiexec -n 8 shoal mpi program.py` rank 0 is the scheduler, rank 1 runs the program, where
    Client() finds it, and six are workers; all end with the program. Without a program all but rank
    0 are workers, until the scheduler is shut down. MPICH on several hosts names no run: give
    --scheduler-file there.
    """
    sys.exit(_play(place(os.environ, slurm_first=False), options))


@click.command(context_settings=_SETTINGS)
@_options
def slurm(**options: Any) -> None:
    """Run a cluster in the tasks of a step of Slurm, and PROGRAM with it.

    In a job script, or an allocation: `srun -n 8 shoal slurm program.py`. As with `shoal mpi`, rank
    0 is the scheduler, rank 1 runs the program, and the others are workers.
    """
    sys.exit(_play(place(os.environ), options))


def _play(at: Place, options: dict[str, Any]) -> int:
    """Be what the rank says, to the end; return the exit code."""
    program: Sequence[str] = options.pop("program")
    least = 3 if program else 2
    if at.size < least:
        raise click.UsageError(
            f"{at.size} process(es) are too few: a scheduler, "
            + ("the program and a worker are 3" if program else "and a worker are 2")
        )
    given = options.pop("scheduler_file")
    folder = None if given else Path(f"shoal-run-{at.run}").absolute()
    file = Path(given).absolute() if folder is None else folder / "scheduler.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    if at.rank == 0:
        file.unlink(missing_ok=True)
        try:
            return _run(_scheduler(file, options), {})
        finally:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)
    if at.rank == 1 and program:
        return _program(file, program, at.size - 2)
    return _run(_worker(file, at.rank, options), {})


def _words(options: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    chosen = {name: options[name] for name in names if options[name] is not None}
    return [word for k, v in chosen.items() for word in (f"--{k.replace('_', '-')}", str(v))]


def _scheduler(file: Path, options: Mapping[str, Any]) -> list[str]:
    names = ("interface", "protocol", "dashboard_address")
    words = ["-m", "shoal", "scheduler", "--port", "0", "--scheduler-file", str(file)]
    return [sys.executable, *words, *_words(options, names)]


def _worker(file: Path, rank: int, options: Mapping[str, Any]) -> list[str]:
    names = ("interface", "protocol", "nthreads", "memory_limit", "local_directory")
    words = ["-m", "shoal", "worker", "--scheduler-file", str(file), "--name", f"rank-{rank}"]
    words += ["--death-timeout", "60", "--nanny" if options["nanny"] else "--no-nanny"]
    return [sys.executable, *words, *_words(options, names)]


def _program(file: Path, program: Sequence[str], workers: int) -> int:
    deadline = time.monotonic() + _PATIENCE
    while not file.exists():
        if time.monotonic() > deadline:
            raise click.ClickException(f"no scheduler wrote {file} within {_PATIENCE:.0f} s")
        time.sleep(_STEP)
    found = json.loads(file.read_text())
    environment = {"DASK_SCHEDULER_ADDRESS": found["address"]}
    if found.get("secret"):
        environment["SHOAL_SECRET"] = found["secret"]
    try:
        return _run([sys.executable, *program], environment)
    finally:
        _shut_down(file, workers)


def _shut_down(file: Path, workers: int) -> None:
    # Only the rank of the program loads a client.
    module = importlib.import_module("shoal.client.client")
    try:
        client = module.Client(scheduler_file=str(file), timeout=10, set_as_default=False)
        # A worker that came later would look for the scheduler until its patience ends.
        with contextlib.suppress(TimeoutError):
            client.wait_for_workers(workers, timeout=20)
        client.shutdown()
    except (OSError, TimeoutError) as error:
        click.echo(f"the cluster could not be shut down: {error}", err=True)


def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command with the signals of this process; return its exit code."""
    process = subprocess.Popen(command, env={**os.environ, **environment})
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, lambda signum, frame: process.send_signal(signum))
    return process.wait()  # ends with the command
