"""Logs as text, shown folded in notebooks."""

from __future__ import annotations

import html
from typing import Any

__all__ = ["Log", "Logs"]


class Log(str):
    """The log of one server: a text of many lines."""

    def _repr_html_(self) -> str:
        return f"<pre><code>{html.escape(str(self))}</code></pre>"


class Logs(dict[Any, Log]):
    """Logs by the name or address of their server."""

    def _repr_html_(self) -> str:
        parts = (
            f"<details><summary>{html.escape(str(name))}</summary>{log._repr_html_()}</details>"
            for name, log in sorted(self.items(), key=lambda item: str(item[0]))
        )
        return "\n".join(parts)
