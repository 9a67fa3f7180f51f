"""The interface through which a pool's threads tell how much memory runs take."""

from __future__ import annotations

from typing import Protocol

from shoal.worker.core import TaskRun

__all__ = ["Gauge"]


class Gauge(Protocol):
    """Measures what runs take."""

    def begin(self, task: TaskRun, /) -> None:
        """A run begins on this thread."""

    def end(self, task: TaskRun, /) -> None:
        """It has ended."""
