"""Titles of processes, as `ps` shows them; they need the package `setproctitle`."""

from __future__ import annotations

import importlib
import os

__all__ = ["enable_proctitle_on_children", "enable_proctitle_on_current", "setproctitle"]

# A variable, as whole trees of processes are to have titles.
_VARIABLE = "DASK_PROCTITLE"
_enabled = os.environ.get(_VARIABLE) == "1"


def enable_proctitle_on_current() -> None:
    """Let `setproctitle` change the title of this process."""
    global _enabled
    _enabled = True


def enable_proctitle_on_children() -> None:
    """Let `setproctitle` change the titles of processes that this one starts."""
    os.environ[_VARIABLE] = "1"


def setproctitle(title: str) -> None:
    """Change this process's title, if that is enabled and the package `setproctitle` is there."""
    if not _enabled:
        return
    try:
        module = importlib.import_module("setproctitle")
    except ImportError:
        return
    module.setproctitle(title)
