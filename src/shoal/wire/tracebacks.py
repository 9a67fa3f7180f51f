"""Tracebacks that travel: places in the source and the lines there, without the frames' values.

A traceback is taken apart into a flat table, so that the deepest recursion can be pickled. Lines go
along: who reads the traceback may not have the file, as with modules that only workers have.
"""

from __future__ import annotations

import linecache
import os
import sys
from types import CodeType, FrameType, TracebackType
from typing import Any

__all__ = ["reduce_traceback"]

# Frames that are kept of a longer traceback, at either end.
_ENDS = 1000
_MOST_LINES = 300  # that go along

_STUB = compile("raise LookupError", "<stub>", "exec")

# File, function, name and file of its module.
_Place = tuple[str, str, int, str | None, str | None]


def reduce_traceback(traceback: TracebackType) -> tuple[Any, tuple[Any, ...]]:
    """Return what pickle wants of a traceback: a function and its arguments."""
    places: dict[_Place, int] = {}
    steps: list[tuple[int, int]] = []
    current: TracebackType | None = traceback
    while current is not None:
        frame = current.tb_frame
        place = _place_of(frame.f_code, frame.f_globals)
        steps.append((places.setdefault(place, len(places)), current.tb_lineno))
        current = current.tb_next
    if len(steps) > 2 * _ENDS:
        steps = steps[:_ENDS] + steps[-_ENDS:]
    return rebuild_traceback, (list(places), steps, _lines_of(list(places), steps))


def rebuild_traceback(
    places: list[_Place], steps: list[tuple[int, int]], lines: dict[tuple[str, int], str]
) -> TracebackType | None:
    """Return the traceback again; its frames are empty."""
    _note_lines(lines)
    frames = [_empty_frame(place) for place in places]
    found: TracebackType | None = None
    for number, lineno in reversed(steps):
        # -1: of which part of the line nothing is known.
        found = TracebackType(found, frames[number], -1, lineno)
    return found


def _place_of(code: CodeType, names: dict[str, Any]) -> _Place:
    module, file = names.get("__name__"), names.get("__file__")
    return (
        code.co_filename,
        code.co_name,
        code.co_firstlineno,
        module if isinstance(module, str) else None,
        file if isinstance(file, str) else None,
    )


def _lines_of(places: list[_Place], steps: list[tuple[int, int]]) -> dict[tuple[str, int], str]:
    """Return the lines of the source, as far as they are to be had here, the last steps first."""
    lines: dict[tuple[str, int], str] = {}
    for number, lineno in reversed(steps):
        if len(lines) >= _MOST_LINES:
            break
        filename = places[number][0]
        if (filename, lineno) not in lines:
            try:
                line = linecache.getline(filename, lineno)
            except Exception:  # a loader of a user's
                line = ""
            if line:
                lines[filename, lineno] = line
    return lines


def _note_lines(lines: dict[tuple[str, int], str]) -> None:
    """Have `linecache` know the lines of files that are not here."""
    for (filename, lineno), line in lines.items():
        entry = linecache.cache.get(filename)
        if entry is None:
            if os.path.exists(filename):
                continue
            entry = linecache.cache[filename] = (0, None, [], filename)
        elif len(entry) != 4 or entry[1] is not None or not isinstance(entry[2], _Sparse | list):
            continue
        known = entry[2]
        if not isinstance(known, _Sparse):
            if known:
                continue  # an entry of other code: a notebook's own cell
            known = _Sparse()
            linecache.cache[filename] = (0, None, known, filename)
        known.put(lineno, line)


class _Sparse(list[str]):
    """The lines of a file of which only some are known."""

    def put(self, lineno: int, line: str) -> None:
        self.extend(["\n"] * (lineno - len(self)))
        self[lineno - 1] = line


def _empty_frame(place: _Place) -> FrameType:
    filename, name, first, module, file = place
    code = _STUB.replace(
        co_filename=filename, co_name=name, co_qualname=name, co_firstlineno=max(first, 1)
    )
    names = {"__name__": module, "__file__": file}
    try:
        exec(code, {key: value for key, value in names.items() if value is not None})
    except LookupError:
        traceback = sys.exc_info()[2]
    assert traceback is not None and traceback.tb_next is not None
    return traceback.tb_next.tb_frame
