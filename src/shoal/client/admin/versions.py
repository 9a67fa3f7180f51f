"""Versions of Python and packages all over the cluster, and where they differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from shoal._base.versions import own_versions
from shoal.client.admin.requests import ask_workers, run_on_scheduler, run_on_workers

if TYPE_CHECKING:
    from shoal.client.session.context import ClientContext

__all__ = ["differences", "get_versions", "table"]

_MISSING = "-"


async def get_versions(
    client: ClientContext, check: bool, packages: Iterable[str]
) -> dict[str, Any]:
    """Return versions at the scheduler, the workers and here.

    Raises
    ------
    ValueError
        When `check` is true and they differ.
    """
    names = [packages] if isinstance(packages, str) else list(packages)
    await client
    found: dict[str, Any] = {
        "scheduler": await client.scheduler.versions(),
        "workers": await ask_workers(client, {"op": "versions"}),
        "client": own_versions(),
    }
    if names:
        found["client"]["packages"].update(_package_versions(names))
        extra = await run_on_scheduler(client, _package_versions, (names,), {})
        found["scheduler"]["packages"].update(extra)
        on_workers = await run_on_workers(client, _package_versions, (names,), {}) or {}
        for address, extra in on_workers.items():
            found["workers"][address]["packages"].update(extra)
    if check:
        rows = differences(found)
        if rows:
            raise ValueError(f"Mismatched versions found\n\n{table(rows)}")
    return found


def _package_versions(names: list[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def differences(found: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return (package, at the client, at the scheduler, at the workers) where versions differ.

    Workers that agree are told of once; others with how many have which.
    """
    client, scheduler = found["client"]["packages"], found["scheduler"]["packages"]
    workers = [each["packages"] for each in found["workers"].values()]
    names = {*client, *scheduler, *(name for each in workers for name in each)}
    rows = []
    for name in sorted(names, key=lambda name: (name != "python", name)):
        here, there = _said(client.get(name)), _said(scheduler.get(name))
        counts: dict[str, int] = {}
        for each in workers:
            number = _said(each.get(name))
            counts[number] = counts.get(number, 0) + 1
        if {here, there, *counts} == {here}:
            continue
        told = (
            ", ".join(counts)
            if len(counts) < 2
            else ", ".join(f"{number} ({n} worker{'s' * (n > 1)})" for number, n in counts.items())
        )
        rows.append((name, here, there, told or _MISSING))
    return rows


def _said(number: Any) -> str:
    return _MISSING if number is None else str(number)


def table(rows: Iterable[tuple[str, str, str, str]]) -> str:
    """Draw a table of differing versions."""
    lines = [("Package", "Client", "Scheduler", "Workers"), *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(4)]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    drawn = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
        for line in lines
    ]
    return "\n".join([rule, drawn[0], rule, *drawn[1:], rule])
