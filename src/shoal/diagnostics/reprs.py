"""How servers, clients and clusters show themselves, as text and in notebooks.

They bring what they know of themselves; no style or script of another place is asked for.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence, Sized
from typing import TYPE_CHECKING, Any, Protocol

from dask.utils import format_bytes

from shoal.comm.page_tokens import without_token

if TYPE_CHECKING:
    from shoal.comm.status import Status

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


class _Server(Protocol):
    """A server, as it is shown."""

    @property
    def address_safe(self) -> str: ...
    @property
    def status(self) -> Status: ...
    @property
    def dashboard_link(self) -> str: ...
    def _facts(self) -> dict[str, Any]: ...


class _WorkerInfo(Protocol):
    @property
    def memory_limit(self) -> int | None: ...


class _KnownWorker(Protocol):
    @property
    def nthreads(self) -> int: ...
    @property
    def info(self) -> _WorkerInfo: ...


class _KnownClient(Protocol):
    @property
    def real(self) -> bool: ...


class _State(Protocol):
    @property
    def workers(self) -> Mapping[str, _KnownWorker]: ...
    @property
    def clients(self) -> Mapping[str, _KnownClient]: ...
    @property
    def tasks(self) -> Sized: ...


class _Scheduler(_Server, Protocol):
    @property
    def _machine(self) -> object: ...
    @property
    def state(self) -> _State: ...
    def identity(self) -> dict[str, Any]: ...


class _Pool(Protocol):
    @property
    def executing(self) -> int: ...


class _Worker(_Server, Protocol):
    @property
    def name(self) -> object: ...
    @property
    def scheduler_address(self) -> str: ...
    @property
    def nthreads(self) -> int: ...
    @property
    def memory_limit(self) -> int | None: ...
    @property
    def nanny(self) -> str | None: ...
    @property
    def local_directory(self) -> str: ...


class SchedulerRepr:
    """How a scheduler shows itself."""

    def __repr__(self: _Scheduler) -> str:
        facts = self._facts()
        return (
            f"<{type(self).__name__} {facts['Address']!r}, workers: {facts['Workers']}, "
            f"threads: {facts['Threads']}, tasks: {facts['Tasks']}"
            f"{_where_known(facts, 'Memory', 'Dashboard')}>"
        )

    def _facts(self: _Scheduler) -> dict[str, Any]:
        started = self._machine is not None
        workers = list(self.state.workers.values()) if started else []
        return {
            "Address": self.address_safe or f"({self.status.value})",
            "Status": self.status.value,
            "Workers": len(workers),
            "Threads": sum(ws.nthreads for ws in workers),
            "Memory": memory_text(ws.info.memory_limit for ws in workers) or None,
            "Clients": sum(cs.real for cs in self.state.clients.values()) if started else 0,
            "Tasks": len(self.state.tasks) if started else 0,
            "Dashboard": self.dashboard_link or None,
        }

    def _repr_html_(self: _Scheduler) -> str:
        workers = self.identity()["workers"]
        return card(type(self).__name__, self._facts(), workers_table(workers))


class WorkerRepr:
    """How a worker shows itself."""

    def __repr__(self: _Worker) -> str:
        facts = self._facts()
        return (
            f"<{type(self).__name__} {facts['Address']!r}, name: {facts['Name']}, "
            f"status: {facts['Status']}, stored: {facts['Stored']}, "
            f"running: {facts['Running']}/{facts['Threads']}"
            f"{_where_known(facts, 'Memory', 'Dashboard')}>"
        )

    def _facts(self: _Worker) -> dict[str, Any]:
        # Neither is there before the worker has started.
        pool: _Pool | None = getattr(self, "pool", None)
        store: Sized | None = getattr(self, "store", None)
        return {
            "Address": self.address_safe or f"({self.status.value})",
            "Name": self.name,
            "Status": self.status.value,
            "Scheduler": self.scheduler_address,
            "Threads": self.nthreads,
            "Memory": format_bytes(self.memory_limit) if self.memory_limit else None,
            "Running": pool.executing if pool is not None else 0,
            "Stored": len(store) if store is not None else 0,
            "Dashboard": self.dashboard_link or None,
            "Nanny": self.nanny,
            "Local directory": self.local_directory or None,
        }

    def _repr_html_(self: _Worker) -> str:
        return card(type(self).__name__, self._facts())
