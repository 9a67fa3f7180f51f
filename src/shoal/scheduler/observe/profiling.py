"""The profile of the scheduler's own thread, for `Client.profile(scheduler=True)`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import FrameType

from shoal import config
from shoal.diagnostics.profile import Tree
from shoal.diagnostics.sampling import Samples, loop_stack, watch

__all__ = ["LoopProfile"]


class LoopProfile:
    """Looks at the thread of the event loop on which this is made."""

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._samples = Samples(config.get_seconds("distributed.worker.profile.cycle"))
        self._stop: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin to look, unless the configuration says not to."""
        if config.get_bool("distributed.worker.profile.enabled"):
            interval = config.get_seconds("distributed.worker.profile.interval")
            self._stop = watch(self._look, interval)

    def stop(self) -> None:
        """Look no more."""
        if self._stop is not None:
            self._stop()

    def _look(self, frames: Mapping[int, FrameType]) -> int:
        frame = frames.get(self._thread)
        stack = loop_stack(frame) if frame is not None else []
        if not stack:
            return 0
        self._samples.add("scheduler", stack)
        return 1

    def collect(self, start: float | None, stop: float | None) -> Tree:
        """Return what was seen between two times."""
        return self._samples.collect(None, start, stop)
