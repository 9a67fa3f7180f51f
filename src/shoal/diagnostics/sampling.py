"""One thread of this process that looks, a hundred times a second, at what its servers do.

Workers and schedulers register what to look at. While none of them works the thread looks seldom,
and without any it ends.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TypeAlias

from shoal.diagnostics.profile import Tree, add_stack, merge, new_tree

__all__ = ["Samples", "contended_seconds", "loop_stack", "undisturbed", "watch"]

logger = logging.getLogger("shoal.diagnostics")

Look: TypeAlias = Callable[[Mapping[int, FrameType]], int]
"""Takes the frames of all threads, and returns how many of them were of interest."""

_IDLE_PAUSE = 0.1  # seconds between two looks while nobody works
_KEPT = 3600  # cycles
_WAKING = 0.0005  # seconds that a thread takes to wake up where nothing is in its way
# Innermost functions of an event loop that waits.
_WAITING = frozenset({"select", "poll", "run_forever", "_run_once", "run_until_complete"})


class Samples:
    """The samples of one kind: a tree per cycle and name, kept for a limited time.

    Parameters
    ----------
    cycle : float
        Seconds that are counted together; the finest that can be asked for later.
    """

    def __init__(self, cycle: float) -> None:
        self._cycle = cycle
        self._done: deque[tuple[float, dict[str, Tree]]] = deque(maxlen=_KEPT)
        self._now: dict[str, Tree] = {}
        self._since = time.time()

    def add(self, name: str, frames: list[FrameType]) -> None:
        """Count a stack, outermost frame first. Called by the sampling thread only."""
        now = time.time()
        if now - self._since >= self._cycle:
            if self._now:
                self._done.append((now, self._now))
                self._now = {}
            self._since = now
        tree = self._now.get(name)
        if tree is None:
            tree = self._now[name] = new_tree()
        add_stack(tree, frames)

    def collect(
        self, name: str | None = None, start: float | None = None, stop: float | None = None
    ) -> Tree:
        """Return all that was seen between two times (seconds since the epoch), of one name or
        all.
        """
        chosen: list[Tree] = []
        for when, trees in [*self._done, (time.time(), self._now)]:
            if start is not None and when < start:
                continue
            if stop is not None and when - self._cycle > stop:
                continue
            found = list(trees.items())
            chosen += [tree for each, tree in found if name is None or each == name]
        return _merge_patiently(chosen)


def _merge_patiently(trees: list[Tree]) -> Tree:
    """Merge trees of which the last may be growing at this moment."""
    for _ in range(10):
        try:
            return merge(trees)
        except RuntimeError:  # a dict changed its size meanwhile
            pass
    return merge(trees[:-1])


class _Sampler:
    """The thread, and the servers that are interested."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._looks: dict[Look, float] = {}
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self.late = 0.0  # seconds that this thread waited for the interpreter, together

    def add(self, look: Look, interval: float) -> None:
        with self._lock:
            self._looks[look] = interval
            if self._thread is None:
                self._wake = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._wake,), name="shoal-profile", daemon=True
                )
                self._thread.start()

    def remove(self, look: Look) -> None:
        with self._lock:
            self._looks.pop(look, None)
            if self._looks or self._thread is None:
                return
            thread, self._thread = self._thread, None
            self._wake.set()
        if thread is not threading.current_thread():
            thread.join(1)

    def _run(self, ended: threading.Event) -> None:
        me = threading.get_ident()
        pause = _IDLE_PAUSE
        began = time.monotonic()
        while not ended.wait(pause):
            self.late += max(0.0, time.monotonic() - began - pause - _WAKING)
            busy = 0
            looks = list(self._looks.items())
            with undisturbed():
                frames = sys._current_frames()
                frames.pop(me, None)
                for look, _ in looks:
                    try:
                        busy += look(frames)
                    except Exception:
                        logger.debug("a look at running code failed", exc_info=True)
            del frames  # they keep the variables of all functions alive
            pause = min((every for _, every in looks), default=_IDLE_PAUSE) if busy else _IDLE_PAUSE
            began = time.monotonic()


_sampler = _Sampler()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Look at frames of running threads in here, and never at their `f_locals`.

    Before Python 3.12 a step from a frame to the one that called it may run the collector, which
    may let go of the interpreter; the thread that is looked at returns from that frame meanwhile,
    and the step ends in memory that is free. `f_locals` does the same where an old value goes.
    """
    if sys.version_info >= (3, 12) or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def loop_stack(frame: FrameType) -> list[FrameType]:
    """Return the stack of an event loop's thread, outermost first; empty while it waits."""
    if frame.f_code.co_name in _WAITING:
        return []
    stack = []
    at: FrameType | None = frame
    while at is not None:
        stack.append(at)
        at = at.f_back
    stack.reverse()
    return stack


def contended_seconds() -> float:
    """Return how long threads of this process waited for the interpreter's lock, by estimate.

    The wait of one thread that wants it now and then; counted while something is watched.
    """
    return _sampler.late


def watch(look: Look, interval: float) -> Callable[[], None]:
    """Have something looked at every so many seconds; return a function that ends it."""
    sampler = _sampler
    sampler.add(look, interval)
    return lambda: sampler.remove(look)


def _forget() -> None:
    # A forked child has no such thread, and no servers either.
    global _sampler
    _sampler = _Sampler()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
