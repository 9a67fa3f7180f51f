"""The command `spec`: servers of any class, as a specification says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from shoal.cli.serving import run_servers
from shoal.compat.inspection import import_term
from shoal.core import Server

__all__ = ["spec"]


@click.command()
@click.argument("args", nargs=-1)
@click.option("--spec", "text", default="", help='As JSON: {"cls": "shoal.Worker", "opts": {...}}.')
@click.option("--spec-file", type=click.Path(exists=True), default=None, help="The same in YAML.")
def spec(args: tuple[str, ...], text: str, spec_file: str | None) -> None:
    """Start servers of the classes that a specification names, with ARGS before their options.

    It is one ``{"cls": ..., "opts": {...}}``, or several of these by name.
    """
    if bool(text) == (spec_file is not None):
        raise click.UsageError("give --spec or --spec-file, and not both")
    found = _read(text, spec_file)
    specs: list[dict[str, Any]] = [found] if "cls" in found else list(found.values())

    def make() -> Sequence[Server]:
        return [import_term(one["cls"])(*args, **one.get("opts", {})) for one in specs]

    run_servers(make)


def _read(text: str, path: str | None) -> dict[str, Any]:
    try:
        found = yaml.safe_load(Path(path).read_text()) if path is not None else json.loads(text)
    except (ValueError, yaml.YAMLError) as error:
        raise click.UsageError(f"the specification cannot be read: {error}") from error
    if not isinstance(found, dict) or not found:
        raise click.UsageError("a specification is a mapping that is not empty")
    for one in [found] if "cls" in found else found.values():
        if not isinstance(one, dict) or "cls" not in one:
            raise click.UsageError(f"each part of a specification names a class in 'cls': {one!r}")
    return found
