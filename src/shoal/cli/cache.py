"""`shoal cache`: what is kept in a store, drop some of it, see whether it is whole."""

from __future__ import annotations

import time

import click
from dask.utils import format_bytes

from shoal.cache.store import Store

__all__ = ["cache"]


@click.group()
def cache() -> None:
    """Look at results that were kept with cache=, and drop them."""


@cache.command()
@click.argument("url")
@click.option("--function", help="Only results of this function.")
@click.option("--summary", is_flag=True, help="One line for each function.")
def ls(url: str, function: str | None, summary: bool) -> None:
    """List what is in the store at URL, a folder or an address."""
    entries = sorted(_store(url).ls(function), key=lambda entry: entry.created)
    if summary:
        functions = dict.fromkeys(entry.function for entry in entries)
        for name in functions:
            mine = [entry.nbytes for entry in entries if entry.function == name]
            click.echo(f"{name}  {len(mine)} results  {format_bytes(sum(mine))}")
        return
    for entry in entries:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry.created))
        version = f"  version {entry.version}" if entry.version else ""
        size = format_bytes(entry.nbytes)
        click.echo(f"{entry.name}  {when}  {size}  {entry.function}{version}")
    total = format_bytes(sum(entry.nbytes for entry in entries))
    click.echo(f"{len(entries)} results, {total}", err=True)


@cache.command()
@click.argument("url")
@click.argument("name", required=False)
@click.option("--function", help="All results of this function.")
@click.option("--older", help="All that are older than this: '30 days'.")
@click.option("--all", "everything", is_flag=True, help="All.")
def rm(
    url: str, name: str | None, function: str | None, older: str | None, everything: bool
) -> None:
    """Drop results from the store at URL: one by NAME, or as the options say."""
    if not (name or function or older or everything):
        raise click.UsageError("say what to drop: NAME, --function, --older or --all")
    try:
        count = _store(url).rm(name, function=function, older=older)
    except (KeyError, ValueError):
        raise click.UsageError(f"--older {older!r}: use '30 days' or '12 hours'") from None
    click.echo(f"dropped {count}")


@cache.command()
@click.argument("url")
@click.option("--remove", is_flag=True, help="Drop what is damaged.")
def verify(url: str, remove: bool) -> None:
    """Read everything in the store at URL, and say what does not fit its checksum."""
    bad = _store(url).verify(remove)
    for file in bad:
        click.echo(file)
    if bad and not remove:
        raise click.ClickException(f"{len(bad)} files are damaged; --remove drops them")
    click.echo(f"{len(bad)} dropped" if bad else "all is whole", err=True)


def _store(url: str) -> Store:
    try:
        store = Store(url)
        store.flush()
    except (ImportError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    return store
