"""The users' code that sends tasks, for the scheduler's `computations`.

It travels as an annotation, where the configuration asks for it.
"""

from __future__ import annotations

import inspect
import re
import sys
from types import FrameType
from typing import Any

from shoal import config
from shoal.wire.annotations import CODE

__all__ = ["users_code"]

_OURS = ("shoal", "dask", "distributed")
_LONGEST = 10_000  # characters of one frame's code


def users_code() -> dict[str, list[str]]:
    """Return the annotation with the code of those who call, innermost first.

    Empty unless ``distributed.diagnostics.computations.nframes`` is more than 0: so many functions
    are sent along, without those of modules and files that the configuration leaves out.
    """
    name = "distributed.diagnostics.computations"
    most = config.get_int(f"{name}.nframes", minimum=0)
    if not most:
        return {}
    modules = (*_OURS, *config.get_list(f"{name}.ignore-modules"))
    files = [re.compile(text) for text in config.get_list(f"{name}.ignore-files")]
    found: list[str] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and len(found) < most:
        if not _is_left_out(frame, modules, files):
            try:
                found.append(inspect.getsource(frame.f_code)[:_LONGEST])
            except (OSError, TypeError):  # typed into an interpreter
                pass
        frame = frame.f_back
    return {CODE: found} if found else {}


def _is_left_out(frame: FrameType, modules: tuple[Any, ...], files: list[re.Pattern[str]]) -> bool:
    module = frame.f_globals.get("__name__", "")
    if any(module == each or module.startswith(f"{each}.") for each in modules):
        return True
    return any(each.search(frame.f_code.co_filename) for each in files)
