"""Tables of plain HTML, with everything in them shown as text."""

from __future__ import annotations

import html
from typing import Any

__all__ = ["STYLE", "Html", "table"]

STYLE = """
table { border-collapse: collapse; margin: .4em 0 1.2em; }
th, td { text-align: right; padding: 2px 14px 2px 0; border-bottom: 1px solid #eee; }
th { color: #555; font-weight: 600; } th:first-child, td:first-child { text-align: left; }
.big td { font-size: 1.3em; border: 0; padding-right: 2em; } .big th { border: 0; }
.big th, .big td, .tasks td, .tasks th { text-align: left; }
h2 { font-size: 1em; margin: .3em 0; } p { color: #666; }
"""


def table(heads: tuple[Any, ...], rows: list[tuple[Any, ...]], kind: str = "") -> str:
    """Return a table as HTML; a cell that is HTML already is a `Html`."""
    head = "".join(f"<th>{html.escape(str(each))}</th>" for each in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(each)}</td>" for each in row) + "</tr>" for row in rows
    )
    return f'<table class="{kind}"><tr>{head}</tr>{body}</table>'


class Html(str):
    """Text that is HTML already."""


def _cell(value: Any) -> str:
    return value if isinstance(value, Html) else html.escape(str(value))
