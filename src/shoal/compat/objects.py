"""Answers of the scheduler that notebooks show as more than a dict."""

from __future__ import annotations

import html
from typing import Any

from dask.utils import format_bytes

__all__ = ["SchedulerInfo"]


class SchedulerInfo(dict[str, Any]):
    """The scheduler's description of itself and of its workers: `Client.scheduler_info()`.

    Examples
    --------
    >>> SchedulerInfo({"address": "tcp://127.0.0.1:8786", "workers": {}})["address"]
    'tcp://127.0.0.1:8786'
    """

    def _repr_html_(self) -> str:
        workers: dict[str, Any] = self.get("workers", {})
        rows = [self._row(address, info) for address, info in workers.items()]
        memory = sum(info.get("memory_limit") or 0 for info in workers.values())
        threads = sum(info.get("nthreads") or 0 for info in workers.values())
        title = html.escape(f"{self.get('type', 'Scheduler')} {self.get('address', '')}".strip())
        facts = f"{len(workers)} workers, {threads} threads, {format_bytes(memory)} of memory"
        head = "<tr><th>name</th><th>address</th><th>threads</th><th>memory</th></tr>"
        return (
            f"<div><h3>{title}</h3><p>{facts}</p>"
            f"<details><summary>Workers</summary><table>{head}{''.join(rows)}</table></details>"
            "</div>"
        )

    def _row(self, address: str, info: dict[str, Any]) -> str:
        limit = info.get("memory_limit")
        cells = [
            info.get("name", ""),
            address,
            info.get("nthreads", ""),
            format_bytes(limit) if limit else "",
        ]
        return "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells) + "</tr>"
