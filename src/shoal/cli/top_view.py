"""The screen of `shoal top`: a summary of the cluster, as rich draws it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from dask.utils import format_bytes, format_time
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

__all__ = ["Summary", "view"]

Summary: TypeAlias = dict[str, Any]

_HEAD = 4  # lines
_FAULTS = 5
_STYLES = {"running": "green", "paused": "yellow", "retiring": "cyan"}


def view(told: Summary, address: str, rate: float, height: int) -> RenderableType:
    """Draw a summary.

    Parameters
    ----------
    told : dict
        The answer of the operation ``cluster_summary``.
    address : str
        Of the scheduler.
    rate : float
        Tasks a second.
    height : int
        Lines of the terminal; what does not fit is counted.
    """
    faults = told["faults"][-_FAULTS:]
    room = max(4, height - _HEAD - len(faults) - 8)
    half = max(2, room // 2)
    return Group(
        _head(told, address, rate),
        _prefixes(told["prefixes"], half),
        _workers(told["workers"], told["n_workers"], half),
        *_faults(faults),
    )


def _head(told: Summary, address: str, rate: float) -> Text:
    tasks = told["tasks"]
    waiting = tasks["waiting"] + tasks["queued"]
    limit = f" of {format_bytes(told['limit'])}" if told["limit"] else ""
    text = Text()
    text.append("shoal ", style="bold").append(f"{address}\n")
    text.append(
        f"{told['n_workers']} workers, {told['threads']} threads, {told['clients']} clients; "
        f"processor {told['cpu']:.0f} %, memory {format_bytes(told['memory'])}{limit}\n"
    )
    text.append(
        f"{tasks['memory']} stored, {tasks['processing']} processing, {waiting} waiting, {rate:.0f}"
        " tasks/s"
    )
    if tasks["no-worker"]:
        text.append(f", {tasks['no-worker']} without a worker", style="yellow")
    if tasks["erred"]:
        text.append(f", {tasks['erred']} failed", style="red")
    return text


def _prefixes(prefixes: list[Summary], most: int) -> Table:
    table = _table("Prefix", "Done", "Of", "", "Running", "A run")
    for prefix in prefixes[:most]:
        tasks = prefix["tasks"]
        total = sum(n for state, n in tasks.items() if state != "forgotten")
        done = tasks["memory"] + tasks["erred"]
        duration = prefix["duration"]
        table.add_row(
            Text(prefix["name"], overflow="ellipsis", no_wrap=True),
            str(done),
            str(total),
            ProgressBar(total=max(1, total), completed=done, width=24),
            str(tasks["processing"]),
            "" if duration is None else format_time(duration),
        )
    return _rest(table, len(prefixes) - most)


def _workers(workers: list[Summary], count: int, most: int) -> Table:
    table = _table("Worker", "Status", "CPU", "Memory", "", "Spilled", "Tasks", "Stored")
    for worker in workers[:most]:
        metrics, limit = worker["metrics"], worker["limit"]
        used = metrics["memory"]
        table.add_row(
            Text(worker["name"], overflow="ellipsis", no_wrap=True),
            Text(worker["status"], style=_STYLES.get(worker["status"], "")),
            f"{metrics['cpu']:.0f} %",
            format_bytes(int(used)),
            ProgressBar(total=limit, completed=used, width=16) if limit else "",
            format_bytes(int(metrics["spilled_bytes"])),
            f"{metrics['executing']}/{worker['processing']}",
            str(worker["stored"]),
        )
    return _rest(table, count - most)


def _faults(faults: list[Any]) -> Iterable[Text]:
    for _, message in faults:
        came = message["action"] == "add-worker"
        text = f"{message.get('worker', '')} {'came' if came else 'left'}"
        reason = "" if came else f": {message.get('reason', '')}"
        yield Text(text + reason, style="dim" if came or message.get("expected") else "red")


def _table(*heads: str) -> Table:
    table = Table(box=None, header_style="bold dim", pad_edge=False)
    for i, head in enumerate(heads):
        table.add_column(head, justify="left" if i == 0 or not head else "right")
    return table


def _rest(table: Table, count: int) -> Table:
    if count > 0:
        table.add_row(Text(f"and {count} more", style="dim"))
    return table
