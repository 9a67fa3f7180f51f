"""Bars of progress in a notebook, with ipywidgets (extra ``jupyter``)."""

from __future__ import annotations

import html
import importlib
import sys
from typing import Any

from dask.utils import format_time

from shoal.diagnostics.bars import Counts, Row

__all__ = ["ProgressWidget", "has_widgets", "in_notebook"]


def in_notebook() -> bool:
    """Whether this is a kernel of Jupyter, whose front end shows widgets."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return getattr(shell, "kernel", None) is not None


def has_widgets() -> bool:
    """Whether ipywidgets is installed."""
    try:
        importlib.import_module("ipywidgets")
    except ImportError:
        return False
    return True


class ProgressWidget:
    """A bar for all tasks, or one for each kind of work.

    Parameters
    ----------
    multi : bool
        One for each kind of work.

    Attributes
    ----------
    widget : ipywidgets.Widget
        The widget that the notebook shows.

    Raises
    ------
    ImportError
        When ipywidgets is not installed.
    """

    def __init__(self, multi: bool = True) -> None:
        try:
            self._kinds = importlib.import_module("ipywidgets")
        except ImportError:
            raise ImportError(
                "progress(notebook=True) needs ipywidgets; install it: pip install 'shoal[jupyter]'"
            ) from None
        self._multi = multi
        self._title = self._kinds.HTML("<b>Progress:</b> waiting for tasks")
        self._bars: dict[Any, tuple[Any, Any]] = {}
        self.counts: Counts | None = None
        self.task: Any = None  # the task that updates this; held here so that it lives
        self.widget = self._kinds.VBox([self._title])

    def draw(self, counts: Counts, elapsed: float) -> None:
        """Show new counts."""
        self.counts = counts
        done = counts.all - counts.remaining
        self._title.value = f"<b>Tasks:</b> {done} / {counts.all} in {format_time(elapsed)}"
        rows = counts.rows
        if not self._multi:
            rows = [Row("all", done, counts.all, counts.failed)]
        for row in sorted(rows, key=lambda row: -row.total):
            bar, text = self._bars.get(row.label) or self._add(row.label)
            bar.value = row.done / row.total if row.total else 1.0
            if row.failed:
                bar.bar_style = "danger"
            elif row.done == row.total:
                bar.bar_style = "success"
            failed = f", <b>{row.failed} failed</b>" if row.failed else ""
            text.value = f"{row.done} / {row.total}{failed}"

    def stop(self, status: str, elapsed: float) -> None:
        """Say how it ended."""
        text = {"finished": "Finished", "error": "Failed"}.get(status, status.capitalize())
        self._title.value = f"<b>{html.escape(text)}:</b> {format_time(elapsed)}"

    def _add(self, label: Any) -> tuple[Any, Any]:
        layout = self._kinds.Layout(width="14em", overflow="hidden")
        name = self._kinds.HTML(f"{html.escape(str(label))}", layout=layout)
        bar = self._kinds.FloatProgress(min=0, max=1, value=0)
        text = self._kinds.HTML("")
        self._bars[label] = bar, text
        row = self._kinds.HBox([name, bar, text])
        self.widget.children = (*self.widget.children, row)
        return bar, text
