"""A task stream as a page: one row per thread, one box per task, as long as it took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dask.utils import key_split

from shoal.diagnostics.page import Page, script_data

__all__ = ["stream_page"]

_SCRIPT = """
const view = document.getElementById("view"), told = document.getElementById("told");
const ROW = 20, canvas = document.createElement("canvas");
let from = 0, to = DATA.length, boxes = [];
view.appendChild(canvas);
function color(name) {
  if (name === "transfer") return "#d62728";
  if (name === "deserialize") return "#999";
  let h = 0; for (const c of name) h = (h * 31 + c.charCodeAt(0)) % 360;
  return `hsl(${h} 60% 62%)`;
}
function draw() {
  const width = view.clientWidth, scale = devicePixelRatio || 1;
  const height = DATA.rows.length * ROW + 2;
  view.style.height = `${height}px`;
  canvas.width = width * scale; canvas.height = height * scale;
  canvas.style.cssText = `width:${width}px;height:${height}px;display:block`;
  const g = canvas.getContext("2d"); g.scale(scale, scale);
  boxes = [];
  for (const [row, start, stop, kind, text, bad] of DATA.spans) {
    const x = (start - from) / (to - from) * width, end = (stop - from) / (to - from) * width;
    if (end < 0 || x > width) continue;
    const w = Math.max(end - x, 1);
    g.fillStyle = bad ? "#000" : color(kind); g.fillRect(x, row * ROW + 2, w, ROW - 3);
    boxes.push([x, x + w, row, text, stop - start]);
  }
  document.getElementById("left").textContent = from.toFixed(3) + " s";
  document.getElementById("right").textContent = to.toFixed(3) + " s";
}
canvas.onmousemove = event => {
  const row = Math.floor(event.offsetY / ROW);
  const hit = boxes.findLast(b => b[2] === row && b[0] <= event.offsetX && event.offsetX <= b[1]);
  told.textContent = hit ? `${hit[3]}\\n${(hit[4] * 1000).toFixed(3)} ms\\n${DATA.rows[row]}` : "";
};
canvas.onwheel = event => {
  event.preventDefault();
  const at = from + (to - from) * event.offsetX / view.clientWidth;
  const factor = event.deltaY > 0 ? 1.25 : 0.8;
  from = Math.max(0, at - (at - from) * factor);
  to = Math.min(DATA.length, at + (to - at) * factor);
  draw();
};
canvas.ondblclick = () => { from = 0; to = DATA.length; draw(); };
window.onresize = draw;
draw();
"""


def stream_page(records: Iterable[Mapping[str, Any]], title: str = "Task stream") -> Page:
    """Draw a task stream.

    Parameters
    ----------
    records : iterable of dict
        As `Client.get_task_stream` returns them.
    """
    rows: dict[tuple[str, Any], int] = {}
    spans: list[list[Any]] = []
    known = list(records)
    if not known:
        return Page(title, '<p id="told">No task ran.</p>')
    begin = min(span["start"] for record in known for span in record["startstops"])
    end = max(span["stop"] for record in known for span in record["startstops"])
    for record in sorted(known, key=lambda record: (record["worker"], str(record["thread"]))):
        row = rows.setdefault((record["worker"], record["thread"]), len(rows))
        for span in record["startstops"]:
            action = span["action"]
            kind = key_split(record["key"]) if action == "compute" else action
            bad = record["status"] == "error" and action == "compute"
            text = f"{action} {record['key']}" + (" (failed)" if bad else "")
            spans.append([row, span["start"] - begin, span["stop"] - begin, kind, text, bad])
    # Spans around a task are drawn first, so that they do not hide the run.
    spans.sort(key=lambda span: span[4].startswith("compute"))
    data = {
        "rows": [f"{worker}, thread {thread}" for worker, thread in rows],
        "spans": spans,
        "length": max(end - begin, 1e-6),
    }
    body = (
        f"<p>{len(known)} tasks on {len(rows)} threads. Turn the wheel to zoom, double-click to see"
        ' all.</p>\n<div id="view"></div><div class="axis"><span id="left"></span>'
        '<span id="right"></span></div><div id="told"></div>\n'
        f"<script>const DATA = {script_data(data)};\n{_SCRIPT}</script>"
    )
    return Page(title, body)
