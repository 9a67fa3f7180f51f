"""The command `shoal` and its list of commands."""

from __future__ import annotations

import importlib
import sys

import click

import shoal.config

__all__ = ["cli", "main"]

# Name -> (module and command, one line for the list of commands).
_COMMANDS = {
    "scheduler": ("shoal.cli.scheduler:scheduler", "Start a scheduler."),
    "worker": ("shoal.cli.worker:worker", "Start workers that connect to a scheduler."),
    "mpi": ("shoal.cli.ranks:mpi", "Be a cluster, and run a program, in mpiexec's processes."),
    "slurm": ("shoal.cli.ranks:slurm", "The same in the tasks of a step of Slurm."),
    "secret": ("shoal.cli.secret:secret", "Look at the cluster's secret, replace it, share it."),
    "top": ("shoal.cli.top:top", "Watch a cluster in the terminal."),
    "record": ("shoal.cli.record:record", "Record a cluster at work as one file to look at."),
    "token": ("shoal.cli.token:token", "Print what admits to the pages of the dashboard."),
    "cache": ("shoal.cli.cache:cache", "Look at results that were kept, and drop them."),
    "run": ("shoal.cli.distributed:run", "Run a program for which `distributed` is shoal."),
    "shim-path": ("shoal.cli.distributed:print_shim_path", "Print the folder that does that."),
}


class _LazyGroup(click.Group):
    """Imports a command's module when the command is used: a worker loads no scheduler."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(shoal.__version__, prog_name="shoal", message="%(prog)s %(version)s")
def cli() -> None:
    """Run Python functions and task graphs on many processes and machines."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; the entry point `shoal` and `python -m shoal`."""
    try:
        cli.main(arguments, prog_name="shoal", standalone_mode=False)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        # One line, and where to read on: usage and option lists are for --help.
        context = getattr(error, "ctx", None)
        where = context.command_path if context is not None else "shoal"
        click.echo(f"{where}: {error.format_message()}", err=True)
        if isinstance(error, click.UsageError):
            click.echo(f"See {where} --help", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
