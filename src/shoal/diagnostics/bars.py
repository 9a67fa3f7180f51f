"""Counts of tasks as bars of text. Nothing here knows where the counts come from."""

from __future__ import annotations

from typing import Any, NamedTuple

from dask.utils import format_time

__all__ = ["Counts", "Row", "bar_line", "group_line"]


class Row(NamedTuple):
    """One kind of work."""

    label: Any
    done: int
    total: int
    failed: int


class Counts:
    """How far some work is.

    Parameters
    ----------
    rows : list of Row
        By kind of work.
    done : bool
        Whether nothing is left to do.
    dropped : int
        Tasks that were cancelled, or forgotten by a restart, before they ran.
    """

    __slots__ = ("done", "dropped", "rows")

    def __init__(self, rows: list[Row], done: bool, dropped: int = 0) -> None:
        self.rows = rows
        self.done = done
        self.dropped = dropped

    @property
    def all(self) -> int:
        """All tasks."""
        return sum(row.total for row in self.rows)

    @property
    def remaining(self) -> int:
        """Tasks that are not done."""
        return sum(row.total - row.done for row in self.rows)

    @property
    def failed(self) -> int:
        """Tasks that failed."""
        return sum(row.failed for row in self.rows)


def bar_line(remaining: int, all: int, elapsed: float, width: int = 40) -> str:
    """Draw a bar.

    Examples
    --------
    >>> bar_line(15, 20, 1.7, width=8)
    '[##      ] | 25% Completed |  1.70 s'
    """
    part = 1.0 if not all else (all - remaining) / all
    # Not full, and not at a hundred, before it is done.
    hashes = "#" * int(part * width)
    return f"[{hashes:{width}}] | {int(part * 100):2d}% Completed | {format_time(elapsed):>7}"


def group_line(rows: list[Row], width: int) -> str:
    """Say how far each kind of work is, what is at work first, in at most `width` characters.

    Examples
    --------
    >>> group_line([Row("load", 4, 4, 0), Row("sum", 1, 2, 1)], 40)
    'sum 1/2 (1 failed), load 4/4'
    """
    order = sorted(rows, key=lambda row: (row.done == row.total, row.done == 0))
    text = ", ".join(
        f"{row.label} {row.done}/{row.total}" + (f" ({row.failed} failed)" if row.failed else "")
        for row in order
    )
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…" if width > 1 else ""
