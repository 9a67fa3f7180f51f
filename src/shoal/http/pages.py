"""What the pages show: numbers that the scheduler keeps anyway; no task is looked at one by one."""

from __future__ import annotations

import html
import time
from typing import Any

from dask.utils import format_bytes, format_time

__all__ = ["counts_of", "status_page"]

_MOST = 200  # workers and prefixes that are shown one by one
_STATES = ("queued", "no-worker", "waiting", "processing", "memory", "erred", "released")
_STYLE = """
table { border-collapse: collapse; margin: .4em 0 1.2em; }
th, td { text-align: right; padding: 2px 14px 2px 0; border-bottom: 1px solid #eee; }
th { color: #555; font-weight: 600; } th:first-child, td:first-child { text-align: left; }
.big td { font-size: 1.3em; border: 0; padding-right: 2em; } .big th { border: 0; }
.big th, .big td, .tasks td, .tasks th { text-align: left; }
h2 { font-size: 1em; margin: .3em 0; } p { color: #666; }
"""


def counts_of(scheduler: Any) -> dict[str, Any]:
    """Return the numbers of a scheduler, plain data throughout."""
    state = scheduler.core.state
    workers = list(state.workers.values())
    statuses: dict[str, int] = {}
    for ws in workers:
        statuses[ws.status] = statuses.get(ws.status, 0) + 1
    by_state = dict.fromkeys(_STATES, 0)
    prefixes: dict[str, dict[str, Any]] = {}
    for prefix in state.prefixes.values():
        tasks = dict.fromkeys(_STATES, 0)
        for group in prefix.groups.values():
            for name in _STATES:
                tasks[name] += group.counts[name]
        for name in _STATES:
            by_state[name] += tasks[name]
        prefixes[prefix.name] = {
            "tasks": tasks,
            "seconds": prefix.duration if prefix.duration >= 0 else None,  # none ran
            "nbytes": sum(group.nbytes for group in prefix.groups.values()),
            "suspicious": prefix.suspicious,
        }
    return {
        "id": scheduler.id,
        "address": scheduler.address_safe,
        "seconds": time.time() - scheduler.started_at,
        "clients": sum(client.real for client in state.clients.values()),
        "workers": len(workers),
        "workers_by_status": statuses,
        "threads": sum(ws.nthreads for ws in workers),
        "memory_limit": sum(ws.info.memory_limit or 0 for ws in workers),
        "memory": sum(ws.metrics.get("memory", 0) for ws in workers),
        "tasks": len(state.tasks),
        "tasks_by_state": by_state,
        "prefixes": prefixes,
        "by_worker": [
            {
                "name": str(ws.name),
                "address": ws.address,
                "status": ws.status,
                "threads": ws.nthreads,
                "processing": len(ws.processing),
                "stored": len(ws.held),
                "nbytes": ws.nbytes,
                "memory": ws.metrics.get("memory", 0),
                "memory_limit": ws.info.memory_limit or 0,
            }
            for ws in workers[:_MOST]
        ],
    }


def status_page(counts: dict[str, Any], nonce: str) -> tuple[str, str]:
    """Return title and body of a page that shows the numbers."""
    limit = counts["memory_limit"]
    used = format_bytes(counts["memory"]) + (f" of {format_bytes(limit)}" if limit else "")
    heads = ("Workers", "Threads", "Memory", "Clients", "Tasks")
    facts = (counts["workers"], counts["threads"], used, counts["clients"], counts["tasks"])
    body = [
        f'<style nonce="{html.escape(nonce)}">{_STYLE}</style>',
        f"<p>{html.escape(counts['address'])}, up for {_duration(counts['seconds'])}</p>",
        _table(heads, [facts], "big"),
        "<h2>Tasks by state</h2>",
        _table(_STATES, [tuple(counts["tasks_by_state"].values())], "tasks"),
        "<h2>Tasks by prefix</h2>",
        _prefixes(counts["prefixes"]),
        "<h2>Workers</h2>",
        _workers(counts),
    ]
    return f"shoal scheduler {counts['id']}", "\n".join(body)


def _prefixes(prefixes: dict[str, Any]) -> str:
    if not prefixes:
        return "<p>none</p>"
    # The busiest first.
    ordered = sorted(prefixes.items(), key=lambda item: -sum(item[1]["tasks"].values()))
    rows = [
        (
            name,
            *each["tasks"].values(),
            "" if each["seconds"] is None else format_time(each["seconds"]),
            format_bytes(each["nbytes"]),
        )
        for name, each in ordered[:_MOST]
    ]
    return _table(("Prefix", *_STATES, "a run", "results"), rows) + _rest(len(ordered))


def _workers(counts: dict[str, Any]) -> str:
    if not counts["workers"]:
        return "<p>none</p>"
    rows = [
        (
            each["name"],
            each["status"],
            each["threads"],
            each["processing"],
            each["stored"],
            format_bytes(each["nbytes"]),
            format_bytes(each["memory"]),
            format_bytes(each["memory_limit"]) if each["memory_limit"] else "no limit",
            each["address"],
        )
        for each in counts["by_worker"]
    ]
    heads = ("Worker", "Status", "Threads", "Processing", "Stored", "Data", "Memory", "Limit")
    return _table((*heads, "Address"), rows) + _rest(counts["workers"])


def _rest(count: int) -> str:
    return f"<p>and {count - _MOST} more</p>" if count > _MOST else ""


def _table(heads: tuple[Any, ...], rows: list[tuple[Any, ...]], kind: str = "") -> str:
    head = "".join(f"<th>{html.escape(str(each))}</th>" for each in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(each))}</td>" for each in row) + "</tr>"
        for row in rows
    )
    return f'<table class="{kind}"><tr>{head}</tr>{body}</table>'


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
