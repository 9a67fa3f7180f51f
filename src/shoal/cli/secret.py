"""The command `shoal secret`: look at the cluster's secret, replace it, hand out a part of it."""

from __future__ import annotations

import os

import click

from shoal import config
from shoal.comm.certificates import export_role
from shoal.comm.keys import EXPORTED, keys_of
from shoal.comm.secret import (
    VARIABLE,
    cluster_secret,
    new_secret,
    secret_file,
    write_secret_file,
)

__all__ = ["secret"]


@click.group()
def secret() -> None:
    """Look at the cluster's secret, replace it, or hand out a part of it."""


@secret.command()
def new() -> None:
    """Print a new secret; nothing is changed."""
    click.echo(new_secret())


@secret.command()
def show() -> None:
    """Print the secret that processes started here use, and those that they accept, too."""
    try:
        found = cluster_secret()
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    for text in found.texts:
        click.echo(text)


@secret.command()
@click.option("--finish", is_flag=True, help="Accept the older ones no longer.")
def rotate(finish: bool) -> None:
    """Put a new secret first in the user's file; the older ones are still accepted.

    Listeners look at the file again when they are connected to, so nothing has to be stopped. When
    all hosts have the new file, run it with --finish.
    """
    if config.get("shoal.secret") or os.environ.get(VARIABLE):
        raise click.ClickException(
            f"the secret comes from 'shoal.secret' or {VARIABLE}, not from the file: put a new one "
            "('shoal secret new') in front of it, separated by a blank, and drop the old one later"
        )
    path = secret_file()
    try:
        texts = cluster_secret().texts
        write_secret_file(path, texts[:1] if finish else (new_secret(), *texts))
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    kept = 1 if finish else len(texts) + 1
    click.echo(f"{path}: {kept} secret{'s' if kept > 1 else ''}", err=True)


@secret.command()
@click.option("--role", type=click.Choice(EXPORTED), required=True, help="What it is good for.")
def export(role: str) -> None:
    """Print a secret that is good for one role only; no other can be made of it.

    The owner of the clients' key can use the cluster, but neither pose as a worker or as the
    scheduler, nor touch what other clients want. Give it as SHOAL_SECRET or shoal.secret.
    """
    try:
        keys = keys_of(cluster_secret())[0]
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if role not in keys.seeds or len(keys.seeds) == 1:
        raise click.ClickException("this is the secret of a role already: it takes the cluster's")
    click.echo(export_role(keys, role))
