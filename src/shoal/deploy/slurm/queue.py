"""Slurm's commands: submit, cancel, and see which jobs there still are."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
from collections.abc import Iterable

__all__ = ["cancel", "jobs_named", "submit"]

_PATIENCE = 60.0  # seconds for a command; a busy controller takes its time


async def submit(script: str, environment: dict[str, str], extra: Iterable[str] = ()) -> str:
    """Submit a job script and return the number of the job.

    Raises
    ------
    RuntimeError
        When Slurm refuses it, with its words.
    """
    out = await _run(["sbatch", "--parsable", *extra], script, environment)
    return out.strip().partition(";")[0]


async def cancel(jobs: Iterable[str]) -> None:
    """End jobs, or elements of arrays (``"17_3"``); those that are gone already do not matter."""
    given = list(jobs)
    if given:
        await _run(["scancel", *given])


async def jobs_named(name: str) -> dict[str, str]:
    """Return the state of each of one's jobs of a name, by its number (``"17_3"``, or ``"17"``)."""
    command = ["squeue", "-h", "-r", "-u", getpass.getuser(), "-n", name, "-o", "%i|%T"]
    lines = (await _run(command)).splitlines()
    return dict(line.split("|", 1) for line in lines if "|" in line)


async def _run(
    command: list[str], text: str = "", environment: dict[str, str] | None = None
) -> str:
    if shutil.which(command[0]) is None:
        raise RuntimeError(f"there is no {command[0]} here: Slurm's commands are not installed")
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            out, err = await process.communicate(text.encode())
    except TimeoutError:
        process.kill()
        raise RuntimeError(f"{command[0]} did not answer within {_PATIENCE:g} s") from None
    if process.returncode:
        said = (err or out).decode(errors="replace").strip()
        raise RuntimeError(f"{command[0]} failed: {said}")
    return out.decode(errors="replace")
