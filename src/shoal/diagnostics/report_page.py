"""The page of a performance report: a summary, and the other pages behind buttons, in one file."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from dask.utils import format_bytes, format_time, key_split

from shoal.diagnostics.page import Page, script_data

__all__ = ["Transfer", "report_page", "table", "transfers_of", "transfers_page", "work_table"]

_STYLE = """<style>
nav button { font: inherit; padding: .4em 1em; border: 1px solid #ccc; background: #f4f4f4;
  cursor: pointer; }
nav button.on { background: #fff; border-bottom-color: #fff; font-weight: 600; }
table { border-collapse: collapse; margin: .5em 0 1.2em; }
th, td { text-align: left; padding: 2px 14px 2px 0; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
thead th { border-bottom: 1px solid #999; }
iframe { width: 100%; height: 80vh; border: 0; }
pre { background: #f6f6f6; padding: .8em; overflow: auto; }
h2 { font-size: 1.05em; margin-bottom: .2em; }
</style>"""

_SCRIPT = """
const nav = document.getElementById("tabs"), summary = document.getElementById("summary");
const frame = document.getElementById("frame");
function show(i) {
  summary.hidden = i >= 0; frame.hidden = i < 0;
  if (i >= 0) frame.srcdoc = PAGES[i][1];
  [...nav.children].forEach((b, j) => b.classList.toggle("on", j === i + 1));
}
["Summary", ...PAGES.map(p => p[0])].forEach((name, j) => {
  const button = document.createElement("button");
  button.textContent = name; button.onclick = () => show(j - 1);
  nav.appendChild(button);
});
const asked = ["summary", ...PAGES.map(p => p[0].toLowerCase().replaceAll(" ", "-"))]
  .indexOf(location.hash.slice(1));
show(Math.max(asked, 0) - 1);
"""


class Transfer(NamedTuple):
    """Data that a worker got from another one, at once."""

    source: str
    target: str
    start: float
    stop: float
    nbytes: int


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table; what begins with a digit is put to the right."""

    def cell(tag: str, text: Any) -> str:
        text = str(text)
        mark = ' class="number"' if text[:1].isdigit() else ""
        return f"<{tag}{mark}>{html.escape(text)}</{tag}>"

    head = "".join(cell("th", text) for text in heads)
    body = "".join("<tr>" + "".join(cell("td", x) for x in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def report_page(
    title: str,
    facts: Mapping[str, Any],
    work: str,
    code: str,
    pages: Mapping[str, Page],
) -> Page:
    """Put a report together.

    Parameters
    ----------
    title : str
        Its heading.
    facts : dict
        The summary.
    work : str
        HTML, below it.
    code : str
        What ran, as text; none where it is not known.
    pages : dict
        Other pages by the names on their buttons.
    """
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>"
        for name, value in facts.items()
    )
    shown = f"<h2>Code</h2><pre>{html.escape(code)}</pre>" if code else ""
    data = script_data([[name, page.html] for name, page in pages.items()])
    body = (
        f'{_STYLE}<nav id="tabs"></nav>\n<div id="summary"><table>{rows}</table>\n{work}\n{shown}'
        f'</div>\n<iframe id="frame" title="details" hidden></iframe>\n'
        f"<script>const PAGES = {data};\n{_SCRIPT}</script>"
    )
    return Page(title, body)


def work_table(records: Iterable[Mapping[str, Any]]) -> str:
    """Return a table of the kinds of work in a task stream, longest first."""
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        kinds.setdefault(key_split(record["key"]), []).append(record)
    rows = []
    for name, group in kinds.items():
        times = [
            span["stop"] - span["start"]
            for record in group
            for span in record["startstops"]
            if span["action"] == "compute"
        ]
        failed = sum(record["status"] == "error" for record in group)
        nbytes = sum(max(record["nbytes"], 0) for record in group)
        rows.append((sum(times), name, len(group), failed, max(times, default=0.0), nbytes))
    rows.sort(key=lambda row: -row[0])
    return "<h2>Work</h2>" + table(
        ("Kind", "Tasks", "Failed", "Time", "Mean", "Longest", "Results"),
        [
            (
                name,
                count,
                failed,
                format_time(total),
                format_time(total / max(count, 1)),
                format_time(longest),
                format_bytes(nbytes),
            )
            for total, name, count, failed, longest, nbytes in rows
        ],
    )


def transfers_of(records: Iterable[Mapping[str, Any]]) -> list[Transfer]:
    """Return the transfers in a task stream; one that several tasks waited for counts once."""
    found: dict[Transfer, None] = {}
    for record in records:
        for span in record["startstops"]:
            if span["action"] == "transfer":
                transfer = Transfer(
                    span["source"],
                    record["worker"],
                    span["start"],
                    span["stop"],
                    span.get("nbytes", 0),
                )
                found[transfer] = None
    return sorted(found, key=lambda transfer: transfer.start)


def transfers_page(transfers: Sequence[Transfer], most: int = 500) -> Page:
    """Show how much went from which worker to which, and how fast."""
    title = "Data between workers"
    if not transfers:
        return Page(title, "<p>No worker needed data of another one.</p>")
    pairs: dict[tuple[str, str], list[Transfer]] = {}
    for transfer in transfers:
        pairs.setdefault((transfer.source, transfer.target), []).append(transfer)
    rows = []
    for (source, target), group in pairs.items():
        nbytes = sum(transfer.nbytes for transfer in group)
        seconds = sum(transfer.stop - transfer.start for transfer in group)
        rows.append((nbytes, source, target, len(group), seconds))
    rows.sort(reverse=True)
    body = table(
        ("From", "To", "Transfers", "Data", "Time", "Bandwidth"),
        [
            (
                source,
                target,
                count,
                format_bytes(nbytes),
                format_time(seconds),
                f"{format_bytes(int(nbytes / max(seconds, 1e-9)))}/s",
            )
            for nbytes, source, target, count, seconds in rows[:most]
        ],
    )
    left = f"<p>and {len(rows) - most} more pairs</p>" if len(rows) > most else ""
    return Page(title, f"{_STYLE}{_chart(transfers)}{body}{left}")


def _chart(transfers: Sequence[Transfer], width: int = 900, height: int = 200) -> str:
    """Draw the bytes a second that were on their way, over time."""
    begin = min(transfer.start for transfer in transfers)
    end = max(transfer.stop for transfer in transfers)
    bins, step = 120, max(end - begin, 1e-6) / 120
    rates = [0.0] * bins
    for transfer in transfers:
        first = min(int((transfer.start - begin) / step), bins - 1)
        last = min(int((transfer.stop - begin) / step), bins - 1)
        for i in range(first, last + 1):
            rates[i] += transfer.nbytes / (last - first + 1) / step
    top = max(rates) or 1.0
    bar = width / bins
    bars = "".join(
        f'<rect x="{i * bar:.1f}" y="{height - rate / top * height:.1f}" width="{bar:.1f}" '
        f'height="{rate / top * height:.1f}"/>'
        for i, rate in enumerate(rates)
        if rate
    )
    return (
        f"<p>At most {format_bytes(int(top))}/s, over {format_time(end - begin)}.</p>"
        f'<svg viewBox="0 0 {width} {height}" style="width:100%;max-width:{width}px;'
        f'border:1px solid #ccc" fill="#d62728">{bars}</svg>'
    )
