"""How servers, clients and clusters show themselves, as text and in notebooks.

They bring what they know of themselves; no style or script of another place is asked for.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dask.utils import format_bytes

from shoal.comm.page_tokens import without_token

__all__ = [
    "SchedulerRepr",
    "WorkerRepr",
    "card",
    "facts_of_workers",
    "memory_text",
    "workers_table",
]

_MOST = 50  # workers that are shown one by one

_BOX = "border:1px solid #d0d0d0;border-radius:4px;padding:.5em 1em;display:inline-block;"
_CELL = "text-align:left;padding:1px 12px 1px 0;"


def memory_text(limits: Iterable[int | None]) -> str:
    """Return the sum of memory limits as text; nothing where one has none."""
    known = list(limits)
    return format_bytes(sum(each or 0 for each in known)) if known and all(known) else ""


def facts_of_workers(workers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return what people look for first, of workers as in `Client.scheduler_info`."""
    facts: dict[str, Any] = {
        "Workers": len(workers),
        "Threads": sum(worker["nthreads"] for worker in workers.values()),
    }
    memory = memory_text(worker["memory_limit"] for worker in workers.values())
    if memory:
        facts["Memory"] = memory
    return facts


def card(title: str, facts: Mapping[str, Any], *more: str) -> str:
    """Return a heading with a table of facts, and more HTML below.

    Parameters
    ----------
    title : str
        The heading.
    facts : dict
        Text by name; None is left out.
    *more : str
        HTML.
    """
    rows = "".join(
        f'<tr><th style="{_CELL}">{_text(name)}</th><td style="{_CELL}">{_linked(value)}</td></tr>'
        for name, value in facts.items()
        if value is not None
    )
    return (
        f'<div style="{_BOX}"><b style="font-size:1.1em">{_text(title)}</b>'
        f'<table style="margin:.3em 0">{rows}</table>{"".join(more)}</div>'
    )


def workers_table(workers: Mapping[str, Mapping[str, Any]]) -> str:
    """Return workers as a table that is folded away, as in `Client.scheduler_info`."""
    if not workers:
        return ""
    rows: list[Sequence[Any]] = [
        (
            worker["name"],
            address,
            worker["nthreads"],
            format_bytes(worker["memory_limit"]) if worker["memory_limit"] else "no limit",
            format_bytes(worker.get("metrics", {}).get("memory", 0)),
            worker.get("status", ""),
        )
        for address, worker in list(workers.items())[:_MOST]
    ]
    heads = ("Name", "Address", "Threads", "Memory limit", "Memory used", "Status")
    head = "".join(f'<th style="{_CELL}">{name}</th>' for name in heads)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{_text(value)}</td>' for value in row) + "</tr>"
        for row in rows
    )
    left = len(workers) - len(rows)
    rest = f"<p>and {left} more</p>" if left else ""
    return (
        f"<details><summary>Workers ({len(workers)})</summary>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}</details>"
    )


def _linked(value: Any) -> str:
    text = _text(value)
    if not text.startswith(("http://", "https://")):
        return text
    return f'<a href="{text}" target="_blank">{text}</a>'


def _text(value: Any) -> str:
    return html.escape(str(value))


def _where_known(facts: Mapping[str, Any], *names: str) -> str:
    shown = {name: without_token(facts[name]) for name in names if facts[name]}
    return "".join(f", {name.lower()}: {text}" for name, text in shown.items())


class SchedulerRepr:
    """How a scheduler shows itself."""

    def __repr__(self) -> str:
        facts = self._facts()
        return (
            f"<{type(self).__name__} {facts['Address']!r}, workers: {facts['Workers']}, "
            f"threads: {facts['Threads']}, tasks: {facts['Tasks']}"
            f"{_where_known(facts, 'Memory', 'Dashboard')}>"
        )

    def _facts(self) -> dict[str, Any]:
        server: Any = self
        started = server._machine is not None
        workers = list(server.state.workers.values()) if started else []
        return {
            "Address": server.address_safe or f"({server.status.value})",
            "Status": server.status.value,
            "Workers": len(workers),
            "Threads": sum(ws.nthreads for ws in workers),
            "Memory": memory_text(ws.info.memory_limit for ws in workers) or None,
            "Clients": sum(cs.real for cs in server.state.clients.values()) if started else 0,
            "Tasks": len(server.state.tasks) if started else 0,
            "Dashboard": server.dashboard_link or None,
        }

    def _repr_html_(self) -> str:
        server: Any = self
        workers = server.identity()["workers"]
        return card(type(self).__name__, self._facts(), workers_table(workers))


class WorkerRepr:
    """How a worker shows itself."""

    def __repr__(self) -> str:
        facts = self._facts()
        return (
            f"<{type(self).__name__} {facts['Address']!r}, name: {facts['Name']}, "
            f"status: {facts['Status']}, stored: {facts['Stored']}, "
            f"running: {facts['Running']}/{facts['Threads']}"
            f"{_where_known(facts, 'Memory', 'Dashboard')}>"
        )

    def _facts(self) -> dict[str, Any]:
        server: Any = self
        pool, store = getattr(server, "pool", None), getattr(server, "store", None)
        return {
            "Address": server.address_safe or f"({server.status.value})",
            "Name": server.name,
            "Status": server.status.value,
            "Scheduler": server.scheduler_address,
            "Threads": server.nthreads,
            "Memory": format_bytes(server.memory_limit) if server.memory_limit else None,
            "Running": pool.executing if pool is not None else 0,
            "Stored": len(store) if store is not None else 0,
            "Dashboard": server.dashboard_link or None,
            "Nanny": server.nanny,
            "Local directory": server.local_directory or None,
        }

    def _repr_html_(self) -> str:
        return card(type(self).__name__, self._facts())
