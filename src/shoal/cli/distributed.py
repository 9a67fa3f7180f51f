"""The commands `shoal run` and `shoal shim-path`: programs for which `distributed` is shoal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import click

from shoal.compat.switch import shim_path

__all__ = ["environment", "print_shim_path", "run"]


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="SCRIPT|-m MODULE [ARGS]...")
def run(arguments: Sequence[str]) -> None:
    """Run a Python program that finds shoal when it imports `distributed` or `dask.distributed`.

    Processes that it starts find it too. Further arguments are as for the command `python`: a
    script, `-m module` or `-c code`, and their arguments.
    """
    if not arguments:
        raise click.UsageError("say what to run: a script, or -m and a module")
    if arguments[0] in ("-I", "-E"):
        raise click.UsageError(f"with {arguments[0]} Python would not look at PYTHONPATH")
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    command = [sys.executable, *flags, *arguments]
    env = environment()
    if sys.platform == "win32":  # where exec would end this process before the other has begun
        sys.exit(subprocess.call(command, env=env))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, command, env)


def environment() -> dict[str, str]:
    """Return this process's environment with the shim first in ``PYTHONPATH``."""
    shim = shim_path()
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    path = [shim, *(each for each in others if each not in (shim, ""))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


@click.command()
def print_shim_path() -> None:
    """Print the folder that makes `distributed` shoal, when it is first in PYTHONPATH.

    For job scripts and Makefiles: PYTHONPATH=$(shoal shim-path) python script.py
    """
    click.echo(shim_path())
