"""Places among a pool's threads: who gives one up, who gets one back, and who has none.

The tasks that seceded run on without a place. Threads whose place another one took wait as spare
ones. All of it is guarded by the pool's lock.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

from shoal.worker.executor.quarantine import Quarantine

if TYPE_CHECKING:
    from shoal.task_context import TaskContext
    from shoal.worker.core import TaskRun

__all__ = ["Places"]

_TIMEOUT = 5.0  # seconds that a seceded thread waits for a place while nobody gets one


class Places(ABC):
    """The part of a pool that counts its threads.

    Parameters
    ----------
    nthreads : int
        Tasks that run at a time, besides those that seceded.
    """

    def __init__(self, nthreads: int) -> None:
        self.nthreads = nthreads
        self.lock = threading.Lock()
        self.unstarted: dict[TaskRun, bool] = {}
        self.at_work: dict[int, TaskContext] = {}  # by thread's number: the present or last run
        self.paused = False  # no run is to start
        self._quarantine = Quarantine()
        self._parked: list[threading.Lock] = []
        self._members = 0  # threads that did not secede
        self._spare: list[threading.Lock] = []  # threads kept for when others secede
        self._returning: deque[threading.Lock] = deque()  # seceded threads that want to rejoin
        self._last_return = 0.0  # when one of them last got its place
        self._closed = False
        # Paused, closed, somebody rejoins or did not wait for a place: threads have to look.
        self._wanted_back = False

    @abstractmethod
    def _wake(self, count: int) -> None:
        """With the lock held: see to it that up to `count` more threads look for work."""

    @abstractmethod
    def tell_seceded(self, context: TaskContext) -> None:
        """Tell the loop that a task seceded."""

    def secede(self, context: TaskContext) -> None:
        """Called in a task on one of the threads: another thread takes its place."""
        self._give_place(context)
        self.tell_seceded(context)

    def _give_place(self, context: TaskContext) -> None:
        """Let another thread take the place of the one that runs a task."""
        with self.lock:
            self._quarantine.note_seceded(context.task)
            if self._members > self.nthreads:
                self._members -= 1
                self._look_again()
            elif self._returning:
                self._let_return()
            else:
                self._members -= 1
                if not self.paused:
                    self._wake(len(self.unstarted))

    def rejoin(self, context: TaskContext) -> None:
        """Called in a task that seceded: wait for a place among the threads.

        The tasks there may wait for something that this one holds, so when nobody gets a place for
        long, this one goes on without; threads that end their tasks leave until it is right again.
        """
        with self.lock:
            if self._members < self.nthreads or self._closed:
                self._members += 1
                return
            if self._parked:
                idle = self._parked.pop()
                if len(self._spare) < self.nthreads:
                    self._spare.append(idle)
                    return
                self._members += 1
                self._look_again()
                idle.release()  # it finds that there is one too many, and ends
                return
            gate = threading.Lock()
            gate.acquire()
            self._returning.append(gate)
            self._wanted_back = True
        since = time.monotonic()
        while not gate.acquire(timeout=_TIMEOUT):
            with self.lock:
                now = time.monotonic()
                if gate in self._returning and now - max(since, self._last_return) >= _TIMEOUT:
                    self._returning.remove(gate)
                    self._last_return = now
                    self._members += 1
                    self._look_again()
                    return

    def _let_return(self) -> None:
        """With the lock held: give a place to the thread that waits for one the longest."""
        self._returning.popleft().release()
        self._last_return = time.monotonic()
        self._look_again()

    def _stay_as_spare(self, gate: threading.Lock) -> bool:
        """With the lock held: keep this thread, which has no place; return whether it stays."""
        if self._closed or len(self._spare) >= self.nthreads:
            return False
        self._spare.append(gate)
        return True

    def _look_again(self) -> None:
        """With the lock held: see whether threads have to look before they take another run."""
        self._wanted_back = (
            self._closed
            or self.paused
            or bool(self._returning)
            or self._members > self.nthreads
            or bool(self._quarantine.waiting)
        )
