"""How long Python's collector of cyclic garbage took in this process."""

from __future__ import annotations

import gc
import time
from typing import Any

__all__ = ["collecting_seconds", "count_collections"]


class _Clock:
    """A callback of `gc`."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.seconds += time.perf_counter() - self._began


_clock = _Clock()


def count_collections() -> None:
    """Begin to count, once in a process."""
    if _clock not in gc.callbacks:
        gc.callbacks.append(_clock)


def collecting_seconds() -> float:
    """Return the seconds that collections took since `count_collections`."""
    return _clock.seconds
