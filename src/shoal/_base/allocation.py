"""When the batch job that this process runs in ends, by its environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping

__all__ = ["END", "allocation_end", "note_allocation_end"]

# Unix time; processes that this one starts inherit it.
END = "SHOAL_ALLOCATION_END"
_SLURM_END = "SLURM_JOB_END_TIME"  # of Slurm 22.05 and later, where its site passes it on
_PATIENCE = 20.0


def allocation_end(environment: Mapping[str, str] | None = None) -> float | None:
    """Return the Unix time at which the batch system ends this process; None: not known.

    Examples
    --------
    >>> allocation_end({"SLURM_JOB_END_TIME": "1796083200"})
    1796083200.0
    """
    environment = os.environ if environment is None else environment
    for name in (END, _SLURM_END):
        try:
            return float(environment[name])
        except (KeyError, ValueError):
            continue
    return None


def note_allocation_end() -> None:
    """Ask Slurm, once, when the job of this process ends, where its environment does not say."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or allocation_end() is not None or shutil.which("squeue") is None:
        return
    command = ["squeue", "-h", "-j", job, "-o", "%L"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return
    left = seconds_left(done.stdout.strip())
    if left is not None:
        os.environ[END] = str(time.time() + left)


def seconds_left(told: str) -> float | None:
    """Return the seconds of a time that squeue writes; None where there is no limit.

    Examples
    --------
    >>> seconds_left("1-02:03:04"), seconds_left("9:59"), seconds_left("UNLIMITED")
    (93784.0, 599.0, None)
    """
    days, _, clock = told.rpartition("-")
    try:
        parts = [int(part) for part in clock.split(":")]
        day = int(days or 0)
    except ValueError:
        return None
    hours, minutes, seconds = [0, 0, 0, *parts][-3:]
    return float(((day * 24 + hours) * 60 + minutes) * 60 + seconds)
