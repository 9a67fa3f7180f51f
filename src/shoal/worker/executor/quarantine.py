"""Runs that must be alone on their worker, because one like them may have killed another worker.

Only a run that was alone can be blamed for certain. The pool asks here with its lock held.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.worker.core import TaskRun

__all__ = ["Quarantine"]


class Quarantine:
    """The runs that wait to be alone.

    Attributes
    ----------
    waiting : list of TaskRun
        In the order in which they came; the first of them may be running.
    """

    def __init__(self) -> None:
        self.waiting: list[TaskRun] = []
        self._current: TaskRun | None = None
        self._seceded = False

    def occupied(self, running: Mapping[TaskRun, float]) -> bool:
        """Whether a run is alone now, be it as a coroutine on the loop."""
        return self._current is not None and not self._seceded and self._current in running

    def note_seceded(self, task: TaskRun | None) -> None:
        """Note a run that gave up its thread: it may wait for another that must be alone."""
        if task is not None and task is self._current:
            self._seceded = True

    def next(self, unstarted: Mapping[TaskRun, bool]) -> TaskRun | None:
        """Take the next run that was not taken back; None when none is left.

        Called when no thread of the pool runs anything, so the last of them has ended.
        """
        if self._current is not None:
            self._current = None
            del self.waiting[0]
        while self.waiting:
            if self.waiting[0] in unstarted:
                self._current, self._seceded = self.waiting[0], False
                return self._current
            del self.waiting[0]
        return None
